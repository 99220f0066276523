"""Wide-gamut colours become sRGB; the expected values are computed from the standard, not by the same library."""

from io import BytesIO

import numpy as np
import pytest
from conftest import ROOT
from PIL import Image
from support.formats import encoded
from support.profiles import display_p3, p3_in_srgb

from pipeline.ingestion.standardising import Picture, make_uniform
from pipeline.params import read_params

PARAMS = read_params(ROOT / "params.yaml").ingest.model_copy(update={"size": 64})
# What browsers show for `color(display-p3 …)`, as computed by CSS Color 4.
GOLDEN = {
    (255, 0, 0): (255, 0, 0),
    (200, 50, 50): (218, 24, 40),
    (128, 128, 128): (128, 128, 128),
    (100, 200, 50): (45, 203, 0),
    (120, 110, 90): (122, 110, 87),
    (60, 80, 160): (54, 81, 166),
}


def stored(kind: str, mode: str = "RGB") -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    """Return the stored colours of squares, shape (colours, 3)."""
    image = Image.new("RGB", (16 * len(GOLDEN), 16))
    for at, colour in enumerate(GOLDEN):
        image.paste(colour, (16 * at, 0, 16 * at + 16, 16))
    options = {"JPEG": {"quality": 100, "subsampling": 0}}.get(kind, {})
    made = make_uniform(encoded(image.convert(mode), kind, icc_profile=display_p3(), **options), PARAMS)
    assert isinstance(made, Picture), made
    return np.asarray(Image.open(BytesIO(made.data)).convert("RGB")).astype(np.int64)[8, 8::16]


def test_golden_values_are_those_of_the_standard() -> None:
    """The golden values follow from the published matrices and the curve."""
    expected = p3_in_srgb(np.array(list(GOLDEN)))
    assert np.abs(expected - np.array(list(GOLDEN.values()))).max() <= 0.5


@pytest.mark.parametrize(("kind", "mode"), [("PNG", "RGB"), ("PNG", "RGBA"), ("TIFF", "RGB"), ("HEIF", "RGB")])
def test_display_p3_becomes_srgb(kind: str, mode: str) -> None:
    """A phone's photograph has the same colours in sRGB as on the phone, if sRGB contains them."""
    assert np.abs(stored(kind, mode) - np.array(list(GOLDEN.values()))).max() <= 2


def test_display_p3_of_a_jpeg() -> None:
    """So has a JPEG, which is decoded, converted and encoded again, up to JPEG's precision."""
    assert np.abs(stored("JPEG") - np.array(list(GOLDEN.values()))).max() <= 5
