"""Values above 8 bits: `ingest.range` defines black and white, and dark images are reported."""

import struct
from io import BytesIO
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from conftest import ROOT
from PIL import Image
from support.formats import encoded

from pipeline.ingestion.refusals import Refusal
from pipeline.ingestion.standardising import Picture, make_uniform
from pipeline.params import read_params

PARAMS = read_params(ROOT / "params.yaml").ingest.model_copy(update={"size": 256})
RAMP = np.linspace(0, 1, 1024).reshape(32, 32)
KINDS: dict[str, tuple[str, type[np.generic]]] = {
    "16 bits": ("PNG", np.uint16),
    "16 bits of a TIFF": ("TIFF", np.uint16),
    "32 bits": ("TIFF", np.int32),
    "floats": ("TIFF", np.float32),
}


def raw_of(values: npt.NDArray[Any], kind: str) -> bytes:
    """Return a file with these values."""
    name, dtype = KINDS[kind]
    return encoded(Image.fromarray(values.astype(dtype)), name)


def stored(raw: bytes, how: object) -> tuple[npt.NDArray[np.int64], Picture]:
    """Return the stored values with this `ingest.range`, and the picture."""
    made = make_uniform(raw, PARAMS.model_copy(update={"range": how}))
    assert isinstance(made, Picture), made
    return np.asarray(Image.open(BytesIO(made.data))).astype(np.int64), made


@pytest.mark.parametrize("kind", KINDS)
def test_bounds_that_are_given(kind: str) -> None:
    """Values from low to high become 0 to 255 linearly; values beyond are black or white."""
    values = (RAMP * 6000).round() - (1000 if kind in ("32 bits", "floats") else 0)
    found, made = stored(raw_of(values, kind), [500, 4500])
    assert np.abs(found - np.clip((values - 500) / 4000 * 255, 0, 255)).max() <= 0.51
    assert made.remark == ""


@pytest.mark.parametrize("kind", KINDS)
def test_percentile(kind: str) -> None:
    """The image's 0.5th and 99.5th percentiles become black and white, so that single hot pixels do not count."""
    values = (RAMP * 3000).round() + 20_000
    values[0, 0], values[31, 31] = 0, 60_000
    found, made = stored(raw_of(values, kind), "percentile")
    low, high = np.percentile(values, (0.5, 99.5))
    assert np.abs(found - np.clip((values - low) / (high - low) * 255, 0, 255)).max() <= 0.51
    assert made.remark == ""
    assert made.reader == "deep"


def test_twelve_bits_are_no_darker_than_eight() -> None:
    """12 bits in 16 are nearly black unchanged; both kinds of range show them."""
    values = RAMP * 4095
    dark, made = stored(raw_of(values, "16 bits"), "dtype")
    assert dark.max() == 15
    assert made.remark == "0…4,095 of 0…65,535"
    for how in ([0, 4095], "percentile"):
        found, made = stored(raw_of(values, "16 bits"), how)
        assert found.max() == 255
        assert 125 < found.mean() < 130
        assert made.remark == ""


@pytest.mark.parametrize(
    ("low", "high", "how", "remark"),
    [
        (0, 6553, "dtype", "0…6,553 of 0…65,535"),
        (0, 6554, "dtype", ""),
        (60_000, 61_000, "dtype", "60,000…61,000 of 0…65,535"),
        (0, 65_535, [0, 65_535], ""),
        (100, 200, [0, 4095], "100…200 of 0…4,095"),
        (5000, 9000, [0, 4095], "5,000…9,000 of 0…4,095"),
        (100, 200, "percentile", ""),
    ],
)
def test_little_of_the_range_is_said(low: int, high: int, how: object, remark: str) -> None:
    """Less than a tenth of the range is reported, wherever the values are, and whatever the range is."""
    assert stored(raw_of(low + RAMP * (high - low), "16 bits"), how)[1].remark == remark


def test_whole_range_of_the_type_is_the_default() -> None:
    """The type's whole range in numbers gives the same bytes as the default."""
    raw = raw_of(RAMP * 65_535, "16 bits")
    assert stored(raw, "dtype")[1].md5 == stored(raw, [0, 65_535])[1].md5


def test_floats_that_are_no_numbers() -> None:
    """NaN becomes black, and does not count for percentiles; an image of only NaN is refused."""
    values = RAMP.copy()
    values[:4], values[4, :4], values[5, :4] = np.nan, np.inf, -np.inf
    found, _ = stored(raw_of(values, "floats"), "percentile")
    assert (found[:4] == 0).all()
    assert (found[4, :4] == 255).all()
    assert found[20:].mean() > 180
    nothing = make_uniform(raw_of(np.full((8, 8), np.nan), "floats"), PARAMS.model_copy(update={"range": "percentile"}))
    assert nothing == Refusal("unsupported pixels", "it has no finite value that is not transparent")


@pytest.mark.parametrize("how", ["dtype", "percentile", [0, 5]])
@pytest.mark.parametrize("kind", ["16 bits", "floats"])
def test_one_value(kind: str, how: object) -> None:
    """An image of one value is valid, and causes no division by zero."""
    made = make_uniform(raw_of(np.full((8, 8), 700), kind), PARAMS.model_copy(update={"range": how}))
    assert isinstance(made, Picture) != (kind == "floats" and how == "dtype")


def test_unsigned_values_of_32_bits() -> None:
    """The upper half of 32-bit values is bright, although Pillow reads them as negative."""
    values = (RAMP * (2**32 - 1)).astype(np.uint32)
    signed = encoded(Image.fromarray(values.view(np.int32)), "TIFF")
    raw = signed.replace(struct.pack("<HHIH", 339, 3, 1, 2), struct.pack("<HHIH", 339, 3, 1, 1))
    assert raw != signed
    found, _ = stored(raw, [0, 2**32 - 1])
    assert np.abs(found - RAMP * 255).max() <= 1


def test_transparent_value_is_white() -> None:
    """A value that means transparency becomes white, and does not count for percentiles."""
    values = (RAMP * 1000 + 100).round()
    values[:8] = 60_000
    raw = encoded(Image.fromarray(values.astype(np.uint16)), "PNG", transparency=60_000)
    found, _ = stored(raw, "percentile")
    assert (found[:8] == 255).all()
    assert found[8].max() < 10


def test_memory_of_stretching_is_counted() -> None:
    """The memory for stretching is counted, and an image that needs too much is refused."""
    raw = encoded(Image.new("I;16", (6000, 5000)), "PNG")
    assert isinstance(make_uniform(raw, PARAMS), Picture)
    refusal = make_uniform(raw, PARAMS.model_copy(update={"range": "percentile"}))
    assert isinstance(refusal, Refusal)
    assert refusal.reason == "too large"
