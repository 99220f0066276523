"""As long as the recipe's version is the same, the stored bytes of every format and mode are the same.

Run `python tests/ingestion/test_recipe.py` to write `golden_bytes.csv` again, but only for a new version of Pillow or
an increased `standardising.VERSION`; otherwise users' images would differ from those that their models know.
"""

import csv
import hashlib
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import PIL
import pytest
from conftest import ROOT
from PIL import ExifTags, Image, ImageCms
from support import release

from pipeline.ingestion import recipe
from pipeline.ingestion.pictures.formats import FORMATS
from pipeline.ingestion.recipe import HASHED_CODE, keeps_originals, recipe_of, todays_name
from pipeline.ingestion.refusals import Refusal
from pipeline.ingestion.standardising import make_uniform
from pipeline.params import Ingest, read_params
from pipeline.versioning.lock import StageRecord

TABLE = Path(__file__).parent / "golden_bytes.csv"
PARAMS = {
    mode: read_params(ROOT / "params.yaml").ingest.model_copy(update={"mode": mode, "size": 24, "animations": "first"})
    for mode in ("rgb", "grey")
}
# The modes that Pillow writes in each format.
MODES = {
    "AVIF": ("RGB", "RGBA"),
    "BMP": ("1", "L", "P", "RGB", "RGBA"),
    "GIF": ("1", "L", "P", "RGB", "RGBA"),
    "JPEG": ("L", "RGB", "CMYK"),
    "JPEG2000": ("L", "LA", "I;16", "RGB", "RGBA"),
    "PNG": ("1", "L", "LA", "P", "I;16", "RGB", "RGBA"),
    "PPM": ("1", "L", "I;16", "RGB"),
    "TIFF": ("1", "L", "LA", "P", "I;16", "RGB", "RGBA", "CMYK", "YCbCr", "LAB"),
    "WEBP": ("RGB", "RGBA"),
}
# Make files independent of the number of cores, and of speed settings.
OPTIONS: dict[str, dict[str, Any]] = {"AVIF": {"max_threads": 1, "speed": 6}}


def drawn(mode: str, width: int = 40, height: int = 30) -> Image.Image:
    """Return a computed picture with smooth and sharp parts."""
    y, x = np.mgrid[:height, :width]
    planes = (x * 6 % 256, (x * y) % 256, (y * 8 + (x > 20) * 90) % 256, 255 - (x // 8 * 32) % 256)
    if mode == "I;16":
        return Image.fromarray((planes[0] * 250 + planes[1]).astype(np.uint16))
    image = Image.fromarray(np.stack(planes, axis=-1).astype(np.uint8), "RGBA")
    if mode == "LA":
        return Image.merge("LA", (image.convert("RGB").convert("L"), image.getchannel("A")))
    if mode == "LAB":
        return Image.frombytes("LAB", image.size, image.convert("RGB").tobytes())
    return image if mode == "RGBA" else image.convert("RGB").convert(mode)


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    """Return `image` as the bytes of a file."""
    out = BytesIO()
    image.save(out, kind, **OPTIONS.get(kind, {}), **options)
    return out.getvalue()


def files() -> Iterator[tuple[str, bytes]]:
    """Yield files of all kinds with their names."""
    for kind, modes in MODES.items():
        for mode in modes:
            yield f"{kind} {mode}", encoded(drawn(mode), kind)
            yield f"{kind} {mode} small", encoded(drawn(mode, 20, 16), kind)
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[ExifTags.Base.Orientation] = orientation
        for kind in ("JPEG", "PNG", "WEBP"):
            yield f"{kind} orientation {orientation}", encoded(drawn("RGB", 20, 16), kind, exif=exif)
    yield "JPEG 4:4:4 orientation 8", encoded(drawn("RGB", 20, 16), "JPEG", exif=exif, subsampling=0)
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    swapped = srgb.replace(b"rXYZ", b"????", 1).replace(b"gXYZ", b"rXYZ", 1).replace(b"????", b"gXYZ", 1)
    for kind in ("PNG", "TIFF", "WEBP"):
        yield f"{kind} profile and transparency", encoded(drawn("RGBA"), kind, icc_profile=swapped)
    yield "JPEG progressive", encoded(drawn("RGB"), "JPEG", progressive=True)
    yield "JPEG 4:4:4", encoded(drawn("RGB"), "JPEG", subsampling=0)
    yield "JPEG large", encoded(drawn("RGB", 1300, 1200), "JPEG")
    yield "MPO", encoded(drawn("RGB"), "MPO", save_all=True, append_images=[drawn("RGB")])
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    yield "TIFF LAB profile", encoded(drawn("LAB"), "TIFF", icc_profile=profile)
    yield "PNG transparent colour", encoded(drawn("RGB"), "PNG", transparency=(0, 0, 8))
    yield "PNG transparent entry", encoded(drawn("P"), "PNG", transparency=3)
    yield "PNG transparent grey of 16 bits", encoded(drawn("I;16"), "PNG", transparency=500)
    yield "PNG narrow grey of 16 bits", encoded(Image.fromarray(np.asarray(drawn("L")) * np.uint16(16)), "PNG")
    yield "TIFF floats", encoded(drawn("L").convert("F").point(lambda value: value / 255), "TIFF")
    yield "TIFF 32 bits narrow", encoded(drawn("L").convert("I"), "TIFF")
    yield "PNG transparent grey", encoded(drawn("L"), "PNG", transparency=80)
    yield "GIF animated", encoded(drawn("P"), "GIF", save_all=True, append_images=[drawn("P").rotate(90)])
    yield "TIFF 32 bits", encoded(drawn("I;16").convert("I"), "TIFF")
    yield "TIFF compressed", encoded(drawn("RGB"), "TIFF", compression="tiff_lzw")
    yield "WEBP lossless", encoded(drawn("RGBA"), "WEBP", lossless=True)


def rows() -> list[dict[str, str]]:
    """Yield what is stored of each file in each colour mode."""
    found = []
    for (name, raw), (mode, params) in ((file, one) for file in files() for one in PARAMS.items()):
        made = make_uniform(raw, params)
        row = {"pillow": PIL.__version__, "file": name, "mode": mode}
        if isinstance(made, Refusal):
            found.append({**row, "stored": f"{made.reason}: {made.detail}", "size": "", "key": "", "descriptor": ""})
            continue
        stored, size = f"{made.md5}.{made.suffix}", f"{made.width}×{made.height}"
        descriptor = hashlib.md5(made.shows.descriptor).hexdigest()
        found.append({**row, "stored": stored, "size": size, "key": str(made.shows.key), "descriptor": descriptor})
    return found


def test_stored_bytes_are_the_golden_ones() -> None:
    """Bytes, size and perceptual hash of every format and mode equal the table's."""
    with TABLE.open(encoding="utf-8", newline="") as file:
        golden = list(csv.DictReader(file))
    assert golden[0]["pillow"] == PIL.__version__, "Pillow is another one: write the table again"
    assert rows() == golden, "raise standardising.VERSION, and write the table again"


def test_every_format_is_in_the_table() -> None:
    """Every accepted format is in the table."""
    assert set(MODES) == set(FORMATS)


@pytest.mark.parametrize(
    ("name", "value"),
    [("mode", "grey"), ("size", 25), ("animations", "refuse"), ("range", "percentile"), ("range", [0.0, 1.0])],
)
def test_recipe_names_what_decides_on_the_bytes(name: str, value: object) -> None:
    """Another colour mode, size, or rule for animations or range changes the recipe; other params do not."""
    params = PARAMS["rgb"]
    assert recipe_of(params.model_copy(update={name: value})) != recipe_of(params)
    assert recipe_of(params.model_copy(update={"shard_size": 1, "max_refused": 0.1})) == recipe_of(params)


def earlier(params: Ingest) -> str:
    """Return the recipe as release 6b401a0 names it: a hash of params and source text."""
    made_by = "".join(release.files()[path].decode() for path in HASHED_CODE)
    return hashlib.md5(f"{params.mode} {params.size} {params.animations} {made_by}".encode()).hexdigest()


def ingested(params: Ingest, **deps: str) -> StageRecord:
    """Return what dvc.lock records for that release's ingest."""
    files = release.files()
    code = {path: hashlib.md5(files[path]).hexdigest() for path in release.stages()["ingest"]["deps"] if path in files}
    return StageRecord(deps={**code, **deps}, outs={}, params={"ingest": params.model_dump()})


def test_earlier_release_has_the_same_recipe(monkeypatch: pytest.MonkeyPatch) -> None:
    """The earlier release's recipe equals version 1 with its Pillow, if the params are the same."""
    params, other = PARAMS["rgb"], PARAMS["grey"]
    monkeypatch.setattr(PIL, "__version__", "13.0.0")
    monkeypatch.setattr(recipe, "VERSION", 1)
    name = todays_name(earlier(params), ingested(params))
    assert name == recipe_of(params) != recipe_of(other)
    monkeypatch.setattr(recipe, "VERSION", 2)
    assert name != recipe_of(params)
    assert keeps_originals(name, recipe_of(params))
    assert not keeps_originals(name, recipe_of(other))
    assert not keeps_originals(recipe_of(params), name)
    assert not keeps_originals("", recipe_of(params))
    monkeypatch.setattr(PIL, "__version__", "13.1.0")
    assert not keeps_originals(name, recipe_of(params))


def test_other_code_has_another_recipe() -> None:
    """The recipe of other code, or of an index without one, is unknown; current names are unchanged."""
    params = PARAMS["rgb"]
    unknown = ingested(params, **{"pipeline/images.py": "0" * 32})
    assert todays_name(earlier(params), unknown) == earlier(params)
    assert todays_name("", ingested(params)) == ""
    assert todays_name(recipe_of(PARAMS["grey"]), ingested(params)) == recipe_of(PARAMS["grey"])
    assert todays_name(earlier(params), StageRecord(deps={}, outs={})) == earlier(params)


if __name__ == "__main__":
    golden = rows()
    with TABLE.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, golden[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(golden)
