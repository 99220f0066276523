"""Files of every format are read with the right pixels, or refused by name, even if malicious."""

import resource
import struct
import sys
from collections.abc import Callable
from io import BytesIO

import numpy as np
import pillow_heif
import pytest
from conftest import ROOT
from hypothesis import given, settings
from PIL import ExifTags, Image
from support.damage import changed, cut
from support.formats import encoded, gradient, others, photoshop, written_by_pillow

from pipeline.ingestion.pictures.formats import is_by_another
from pipeline.ingestion.refusals import UNUSABLE, Refusal
from pipeline.ingestion.standardising import Picture, make_uniform
from pipeline.params import Ingest, read_params

PARAMS = read_params(ROOT / "params.yaml").ingest
GRADIENT = np.asarray(gradient("RGB")).astype(int)
NEW = ("DDS", "HEIF", "ICO", "PCX", "PSD", "SGI", "TGA")
FILES = [(kind, mode, raw) for kind, mode, raw in (*written_by_pillow(), *others()) if kind in NEW]
# Photoshop files that Pillow would read wrongly, or not at all.
UNREAD = ("1", "16 bits", "no merged picture")


def picture(raw: bytes, params: Ingest = PARAMS) -> Picture:
    """Return the picture of a usable file."""
    made = make_uniform(raw, params)
    assert isinstance(made, Picture), made
    return made


def pixels(made: Picture) -> "np.ndarray[tuple[int, ...], np.dtype[np.int64]]":
    """Return the stored colours as signed numbers."""
    return np.asarray(Image.open(BytesIO(made.data)).convert("RGB")).astype(np.int64)


def refused(raw: bytes, params: Ingest = PARAMS) -> Refusal:
    """Return why a file cannot be used."""
    made = make_uniform(raw, params)
    assert isinstance(made, Refusal), made
    assert made.reason in UNUSABLE
    assert len(made.detail.splitlines()) == 1
    return made


@pytest.mark.parametrize(("kind", "mode", "raw"), [pytest.param(*file, id=" ".join(file[:2])) for file in FILES])
def test_pixels_are_those_of_the_picture(kind: str, mode: str, raw: bytes) -> None:
    """Each format and mode gives the picture that was written, on white where it is transparent."""
    if kind == "PSD" and mode in UNREAD:
        assert refused(raw).reason == "unsupported pixels"
        return
    found = pixels(picture(raw))
    if kind == "ICO":  # Pillow scales icons to 32 pixels.
        opened = Image.open(BytesIO(raw)).convert("RGBA")
        expected = np.asarray(Image.alpha_composite(Image.new("RGBA", opened.size, "white"), opened).convert("RGB"))
    else:
        image = gradient({"LA": "L", "RGBA": "RGB"}.get(mode, mode)).convert("RGB")
        is_clear = mode in ("LA", "RGBA") and np.arange(image.width)[None, :, None] >= image.width // 2
        expected = np.where(is_clear, 255, np.asarray(image))
    assert np.abs(found - expected).max() <= 2


def test_largest_icon_is_taken() -> None:
    """The largest size in an ICO file is taken, at any place in its list."""
    raw = encoded(gradient("RGB").resize((128, 128)), "ICO", sizes=[(16, 16), (128, 128), (48, 48)])
    assert (picture(raw).width, picture(raw).height) == (128, 128)


def test_layers_are_no_animation() -> None:
    """The merged picture of a Photoshop file is taken, whatever the number of layers."""
    raw = photoshop(gradient("RGB"))
    layers = struct.pack(">Ih", 2 + 2 * 26, 2) + 2 * (struct.pack(">4iH", 0, 0, 1, 1, 0) + b"8BIMnorm" + bytes(0))
    at = 34 + struct.unpack_from(">I", raw, 30)[0]
    with_layers = raw[:at] + struct.pack(">I", len(layers)) + layers + raw[at + 4 :]
    assert np.array_equal(pixels(picture(with_layers)), GRADIENT)


@pytest.mark.parametrize("kind", ["TGA", "DDS"])
def test_channel_that_makes_all_transparent_is_none(kind: str) -> None:
    """If the fourth channel would hide all pixels, it is not used as alpha."""
    image = gradient("RGB").convert("RGBA")
    image.putalpha(0)
    assert np.array_equal(pixels(picture(encoded(image, kind))), GRADIENT)


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_heic_is_turned_once(orientation: int) -> None:
    """A phone's HEIC picture is upright, whether its orientation is stored once or twice."""
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    plain = picture(encoded(gradient("RGB"), "HEIF"))
    turned = picture(encoded(gradient("RGB"), "HEIF", exif=exif.tobytes()))
    assert {plain.width, plain.height} == {turned.width, turned.height}
    back = {1: 0, 3: 2, 6: 1, 8: 3}[orientation]
    assert np.abs(np.rot90(pixels(turned), back) - pixels(plain)).mean() < 1


def test_several_pictures_in_heic_are_an_animation() -> None:
    """Several pictures in a HEIC file are handled as an animation, by the param."""
    both = pillow_heif.from_pillow(gradient("RGB"))
    both.add_from_pillow(gradient("RGB").rotate(180))
    both.save(out := BytesIO(), quality=-1, chroma=444)
    raw = out.getvalue()
    assert refused(raw).reason == "animation"
    first = picture(raw, PARAMS.model_copy(update={"animations": "first"}))
    assert np.abs(pixels(first) - GRADIENT).max() <= 2


@pytest.mark.parametrize(("package", "kind"), [("pillow_heif", "HEIF"), ("pydicom", "DICOM")])
def test_missing_package_is_named(package: str, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the package that reads it, a file is refused with the command to install the package."""
    raw = next(raw for found, _, raw in others() if found == kind)
    with monkeypatch.context() as missing:
        missing.setitem(sys.modules, package, None)
        refusal = refused(raw)
    name = {"HEIF": "a HEIC file", "DICOM": "a DICOM file"}[kind]
    command = package.replace("_", "-")
    assert refusal.detail.startswith(f"{name}; run `pip install {command}`, then `dvc repro --force ingest`")
    assert refusal.is_outdated  # The package is installed.


def test_versions_of_packages_are_known() -> None:
    """The version that read a file is recorded and compared; missing packages have none."""
    (reader,) = {picture(raw).reader for kind, mode, raw in others() if kind == "HEIF" and mode == "RGB"}
    assert reader.startswith("pillow-heif ")
    assert not is_by_another(reader)
    assert is_by_another("pillow-heif 0.0.1")
    assert not is_by_another("deep")
    assert picture(encoded(gradient("RGB"), "PNG")).reader == ""
    assert picture(encoded(gradient("I;16"), "PNG")).reader == "deep"


def tga(width: int, height: int, *, kind: int = 2, depth: int = 24) -> bytes:
    """Return a TGA file that claims these dimensions."""
    return struct.pack("<BBB5x4xHHBB", 0, 0, kind, width, height, depth, 0) + bytes(100)


def sized(kind: str, mode: str, at: int, form: str) -> Callable[[int, int], bytes]:
    """Return a file of `kind` with a function that sets the dimensions in its header, at offset `at`."""
    raw = encoded(gradient(mode), kind) if kind != "PSD" else photoshop(gradient(mode))

    def claiming(width: int, height: int) -> bytes:
        claim = struct.pack(form, *((height, width) if kind in ("PSD", "DDS") else (width, height)))
        return raw[:at] + claim + raw[at + len(claim) :]

    return claiming


HEADERS = {
    "TGA": tga,
    "TGA in runs": lambda width, height: tga(width, height, kind=10),
    "PCX": lambda width, height: sized("PCX", "RGB", 8, "<HH")(width - 1, height - 1),
    "SGI": sized("SGI", "RGB", 6, ">HH"),
    "PSD": sized("PSD", "RGB", 14, ">II"),
    "DDS": sized("DDS", "RGB", 12, "<II"),
    "DDS grey": sized("DDS", "L", 12, "<II"),
}


@pytest.mark.parametrize("kind", HEADERS)
def test_hostile_headers_are_refused_undecoded(kind: str) -> None:
    """Dimensions that need too much memory are refused without allocating it."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert refused(HEADERS[kind](60_000, 60_000)).reason in ("too large", "not an image", "unsupported format")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50 * 2**10


def test_icons_that_are_larger_than_they_say() -> None:
    """A PNG in an icon that is larger than the icon's list states is not decoded."""
    inside = encoded(Image.new("L", (20_000, 20_000)), "PNG")
    entry = struct.pack("<BBBBHHII", 16, 16, 0, 0, 1, 32, len(inside), 22)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert refused(struct.pack("<HHH", 0, 1, 1) + entry + inside).reason == "too large"
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50 * 2**10


def test_heic_that_claims_another_size() -> None:
    """A HEIC header with a larger or smaller size than its picture's is not trusted."""
    raw = encoded(gradient("RGB"), "HEIF")
    at = raw.index(b"ispe") + 8
    for side in (8, 60_000):
        refused(raw[:at] + struct.pack(">II", side, side) + raw[at + 8 :])


def test_photoshop_with_a_million_resources() -> None:
    """A file of a million small resources is refused before all of them are read."""
    one = b"8BIM" + struct.pack(">HHI", 1000, 0, 0)
    raw = photoshop(gradient("RGB"))
    (size,) = struct.unpack_from(">I", raw, 30)
    many = raw[:30] + struct.pack(">I", 20_000 * len(one)) + 20_000 * one + raw[34 + size :]
    assert "resources" in refused(many).detail


@pytest.mark.parametrize(
    "raw",
    [
        b"\n\0 a text\n" * 100,
        b"\x01\xda" + b"a" * 1000,
        "\n\t text in two bytes".encode("utf-16-le") * 9,
        bytes([5, 1, 2, *range(200)]),
        b"\0\0\2" + b"text" * 9,
    ],
)
def test_what_looks_a_little_like_an_image_is_none(raw: bytes) -> None:
    """Text that resembles the start of a format without a signature is not an image."""
    assert refused(raw).reason in ("not an image", "unsupported pixels")


BASES = [raw for _, _, raw in FILES]


@settings(max_examples=150, deadline=None)
@given(cut(BASES))
def test_any_truncation(raw: bytes) -> None:
    """A file truncated anywhere is a picture or a refusal, without an exception."""
    made = make_uniform(raw, PARAMS)
    assert isinstance(made, Picture) or made.reason in UNUSABLE


@settings(max_examples=300, deadline=None)
@given(changed(BASES, 0, 200))
def test_any_damage(raw: bytes) -> None:
    """A file with some bytes changed is a picture or a refusal, without an exception."""
    made = make_uniform(raw, PARAMS)
    assert isinstance(made, Picture) or made.reason in UNUSABLE
