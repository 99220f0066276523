"""docs/formats.md describes what the code does with files of each format."""

from collections.abc import Iterator
from io import BytesIO

import numpy as np
from conftest import ROOT
from PIL import Image
from support.formats import encoded, gradient, others, written_by_pillow

from pipeline.ingestion.refusals import Refusal
from pipeline.ingestion.standardising import Picture, make_uniform
from pipeline.params import Ingest, read_params

PAGE = (ROOT / "docs/formats.md").read_text(encoding="utf-8")
PARAMS = read_params(ROOT / "params.yaml").ingest
NAMES = {
    "1": "black and white",
    "L": "grey",
    "LA": "grey, transparent",
    "P": "palette",
    "I;16": "grey of 16 bits",
    "I": "grey of 32 bits",
    "F": "floating-point grey",
    "RGB": "colour",
    "RGBA": "colour, transparent",
}
HOW = {
    "dtype": "dtype",
    "percentile": "percentile",
    "[0, 4095]": [0.0, 4095.0],
    "[0, 1]": [0.0, 1.0],
}
# Greys from black to white, in even steps.
RAMPS = {
    "16 bits, 0…65535": ("PNG", np.uint16, 65_535),
    "16 bits, 0…4095": ("PNG", np.uint16, 4095),
    "32 bits, 0…100000": ("TIFF", np.int32, 100_000),
    "floats, 0…1": ("TIFF", np.float32, 1),
}


def result(raw: bytes, params: Ingest = PARAMS) -> str:
    """Describe the result for the file `raw`."""
    made = make_uniform(raw, params)
    if isinstance(made, Refusal):
        return f"no: {made.reason} ({made.detail})"
    kept = "as it came" if made.data == raw else {"jpg": "as JPEG", "png": "as PNG"}[made.suffix]
    colour = "grey" if image_of(made).mode == "L" else "colour"
    return f"yes: {colour}, stored {kept}" + (", by `ingest.range`" if "deep" in made.reader else "")


def image_of(picture: Picture) -> Image.Image:
    """Return the stored image."""
    return Image.open(BytesIO(picture.data))


def formats() -> Iterator[str]:
    """Return the rows of the table of formats; kinds of pixels with the same result share a row."""
    modes: dict[tuple[str, str], list[str]] = {}
    for kind, mode, raw in (*written_by_pillow(), *others()):
        modes.setdefault((kind, result(raw)), []).append(NAMES.get(mode, mode))
    yield "| format | pixels | read |"
    yield "|---|---|---|"
    for (kind, read), found in modes.items():
        yield f"| {kind} | {'; '.join(found)} | {read} |"


def ranges() -> Iterator[str]:
    """Return the rows of the table of ranges: the stored values for black, middle and white of each ramp."""
    yield f"| values | {' | '.join(f'`{how}`' for how in HOW)} |"
    yield "|---" * (1 + len(HOW)) + "|"
    for name, (kind, dtype, white) in RAMPS.items():
        values = np.linspace(0, white, 401).astype(dtype)[None, :].repeat(16, 0)
        raw = encoded(Image.fromarray(values), kind)
        made = [make_uniform(raw, PARAMS.model_copy(update={"range": how, "size": 1024})) for how in HOW.values()]
        yield f"| {name} | {' | '.join(map(stored, made))} |"


def stored(made: Picture | Refusal) -> str:
    """Return the first, middle and last value of a ramp, or the reason why it is refused."""
    if isinstance(made, Refusal):
        return "refused"
    values = [image_of(made).getpixel((at, 8)) for at in (0, 200, 400)]
    return ", ".join(map(str, values)) + (" (with a warning)" if made.remark else "")


def test_tables_are_those_of_the_code() -> None:
    """Both tables equal those made by reading a file for each row."""
    for rows in (formats(), ranges()):
        table = "\n".join(rows)
        assert table in PAGE, f"put this into docs/formats.md:\n\n{table}\n"


def test_gradient_has_something_to_show() -> None:
    """The table's files contain pictures with more than one colour."""
    for mode in ("1", "L", "P", "RGB", "F"):
        assert len(np.unique(np.asarray(gradient(mode)))) > 1
