"""Any image becomes an upright sRGB or grey image of limited size, or is refused with a reason."""

import struct
import time
import warnings
import zlib
from contextlib import nullcontext
from hashlib import md5
from io import BytesIO
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from conftest import ROOT
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import ExifTags, Image, ImageCms, JpegImagePlugin
from sklearn.datasets import load_sample_image

from pipeline.ingestion.pictures.memory import MAX_MEMORY
from pipeline.ingestion.pictures.uniform import MAX_ASPECT
from pipeline.ingestion.refusals import UNUSABLE, Refusal
from pipeline.ingestion.standardising import Picture, make_uniform
from pipeline.params import Ingest, read_params

RGB = read_params(ROOT / "params.yaml").ingest.model_copy(update={"size": 64})
GREY = RGB.model_copy(update={"mode": "grey"})
FIRST = RGB.model_copy(update={"animations": "first"})
PHOTO = Image.fromarray(load_sample_image("china.jpg"))
SMALL = PHOTO.resize((60, 40))
RED, GREEN, WHITE = (255, 0, 0), (0, 255, 0), (255, 255, 255)

Pixels = npt.NDArray[np.int64]


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    """Return `image` as the bytes of a file."""
    out = BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def uniform(raw: bytes, params: Ingest = RGB) -> Picture:
    """Standardise a usable image, and assert what holds for all results."""
    picture = make_uniform(raw, params)
    assert isinstance(picture, Picture), picture
    image = opened(picture)
    assert image.format == {"jpg": "JPEG", "png": "PNG"}[picture.suffix]
    assert image.mode in (("RGB", "L") if params.mode == "rgb" else ("L",))
    assert image.size == (picture.width, picture.height)
    assert min(image.size) <= params.size
    assert "icc_profile" not in image.info
    assert not image.has_transparency_data
    again = make_uniform(picture.data, params)
    assert isinstance(again, Picture)
    assert again.data == picture.data
    assert make_uniform(raw, params) == picture
    return picture


def opened(picture: Picture) -> Image.Image:
    """Return the stored image."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Conforming files are kept with their odd metadata.
        image = Image.open(BytesIO(picture.data))
        image.load()
    return image


def pixels(image: Image.Image | Picture) -> Pixels:
    """Return pixels as signed numbers, to subtract them."""
    return np.asarray(opened(image) if isinstance(image, Picture) else image).astype(np.int64)


def refused(raw: bytes, params: Ingest = RGB) -> Refusal:
    """Return why the image is not usable."""
    refusal = make_uniform(raw, params)
    assert isinstance(refusal, Refusal), refusal
    assert refusal.reason in UNUSABLE
    assert not refusal.is_passing
    assert len(refusal.detail.splitlines()) == 1
    return refusal


def chunk(kind: bytes, data: bytes) -> bytes:
    """Return a chunk of a PNG file."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(  # noqa: PLR0913 (what a PNG header says)
    width: int, height: int, rows: bytes = b"", *, depth: int = 8, colour: int = 2, extra: bytes = b""
) -> bytes:
    """Return a PNG file that claims these dimensions, whatever `rows` contains."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    start = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + extra
    return start + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def test_pictures_that_conform_are_kept() -> None:
    """Conforming files are kept bit for bit."""
    for raw in (encoded(SMALL, "PNG"), encoded(SMALL, "JPEG"), encoded(SMALL, "JPEG", progressive=True)):
        assert uniform(raw).data == raw
    for raw in (encoded(SMALL.convert("L"), "PNG"), encoded(SMALL.convert("L"), "JPEG")):
        assert uniform(raw).data == raw
        assert uniform(raw, GREY).data == raw


def test_pictures_that_are_kept_are_not_hashed_again() -> None:
    """A known perceptual hash is reused only if the bytes are stored unchanged."""
    kept, changed = (make_uniform(encoded(SMALL, kind), RGB, md5="known") for kind in ("PNG", "BMP"))
    assert isinstance(kept, Picture)
    assert kept.md5 == "known"
    assert isinstance(changed, Picture)
    assert changed.md5 == md5(changed.data).hexdigest()


@pytest.mark.parametrize("params", [RGB, GREY], ids=["rgb", "grey"])
@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("BMP", {}),
        ("PNG", {}),
        ("PPM", {}),
        ("TIFF", {}),
        ("TIFF", {"compression": "tiff_lzw"}),
        ("WEBP", {"lossless": True}),
        ("JPEG2000", {}),
        ("GIF", {}),
    ],
)
def test_lossless_formats_lose_nothing(kind: str, options: dict[str, Any], params: Ingest) -> None:
    """Images of every lossless format become PNG with the same pixels."""
    image = SMALL.convert("L").convert("RGB") if kind == "GIF" else SMALL
    picture = uniform(encoded(image, kind, **options), params)
    assert picture.suffix == "png"
    expected = image if params is RGB else image.convert("L")
    assert np.array_equal(pixels(opened(picture).convert(expected.mode)), pixels(expected))


@pytest.mark.parametrize("params", [RGB, GREY], ids=["rgb", "grey"])
@pytest.mark.parametrize(
    ("kind", "options", "suffix"),
    [
        ("JPEG", {"quality": 95}, "jpg"),
        ("JPEG", {"quality": 95, "progressive": True}, "jpg"),
        ("MPO", {"quality": 95}, "jpg"),
        ("AVIF", {"quality": 95}, "png"),
        ("WEBP", {"quality": 95}, "png"),
    ],
)
def test_lossy_formats_lose_little(kind: str, options: dict[str, Any], suffix: str, params: Ingest) -> None:
    """Images of every lossy format look the same; JPEGs of any size stay JPEGs."""
    for image in (SMALL, PHOTO):
        picture = uniform(encoded(image, kind, **options), params)
        assert picture.suffix == suffix
        expected = (image if params is RGB else image.convert("L")).resize(
            opened(picture).size, Image.Resampling.LANCZOS
        )
        assert np.abs(pixels(picture) - pixels(expected)).mean() < 6


@pytest.mark.parametrize("size", [8, 63, 64, 65, 200, 427, 4096])
@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_shorter_side_is_bounded(kind: str, size: int) -> None:
    """The shorter side is limited, the aspect ratio is kept, and nothing is enlarged."""
    params = RGB.model_copy(update={"size": size})
    for image in (PHOTO, PHOTO.transpose(Image.Transpose.ROTATE_90)):
        picture = uniform(encoded(image, kind), params)
        assert min(picture.width, picture.height) == min(size, 427)
        assert abs(max(picture.width, picture.height) - 640 * min(size, 427) / 427) <= 1


def test_scaled_jpegs_look_like_scaled_pixels() -> None:
    """Decoding a JPEG at reduced size gives nearly the same pixels as scaling it afterwards."""
    decoded, whole = pixels(uniform(encoded(PHOTO, "JPEG", quality=95))), pixels(uniform(encoded(PHOTO, "PNG")))
    assert np.abs(decoded - whole).mean() < 6


UPRIGHT = pixels(SMALL)
STORED = {
    1: UPRIGHT,
    2: UPRIGHT[:, ::-1],
    3: UPRIGHT[::-1, ::-1],
    4: UPRIGHT[::-1],
    5: UPRIGHT.swapaxes(0, 1),
    6: UPRIGHT.swapaxes(0, 1)[::-1],
    7: UPRIGHT.swapaxes(0, 1)[::-1, ::-1],
    8: UPRIGHT.swapaxes(0, 1)[:, ::-1],
}


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "WEBP"])
@pytest.mark.parametrize("orientation", STORED)
def test_orientation_is_applied(orientation: int, kind: str) -> None:
    """Images of any EXIF orientation are stored upright (EXIF 2.3, tag 274)."""
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    options = {"lossless": True} if kind == "WEBP" else {"quality": 100, "subsampling": 0} if kind == "JPEG" else {}
    raw = encoded(Image.fromarray(STORED[orientation].astype(np.uint8)), kind, exif=exif, **options)
    picture = uniform(raw)
    assert (picture.width, picture.height) == SMALL.size
    assert opened(picture).getexif().get(ExifTags.Base.Orientation, 1) == 1
    assert np.abs(pixels(picture) - UPRIGHT).mean() <= (4 if kind == "JPEG" else 0)


def test_orientation_beside_odd_metadata() -> None:
    """Invalid other tags do not prevent the rotation."""
    tags = [
        (0x112, 3, 1, 6),
        (0x11B, 5, 1, 0xFFFFFF),
        (0x10F, 2, 0xFFFF, 0xFFFF),
        (0x8769, 4, 1, 5),
        (0x9999, 99, 1, 1),
    ]
    exif = b"Exif\0\0II*\0\x08\0\0\0" + struct.pack("<H", len(tags))
    exif += b"".join(struct.pack("<HHII", *tag) for tag in tags) + bytes(4)
    picture = uniform(encoded(Image.fromarray(STORED[6].astype(np.uint8)), "PNG", exif=exif))
    assert np.array_equal(pixels(picture), UPRIGHT)


@pytest.mark.parametrize("orientation", [0, 9, 65535])
def test_orientation_that_does_not_exist_is_ignored(orientation: int) -> None:
    """An invalid orientation is ignored."""
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    assert np.array_equal(pixels(uniform(encoded(SMALL, "PNG", exif=exif))), UPRIGHT)


@pytest.mark.parametrize(
    "exif", [b"Exif\0\0", b"Exif\0\0II*\0", b"Exif\0\0MM\0*\0\0\0\x08\xff\xff", b"Exif\0\0" + b"\xff" * 50, b"nonsense"]
)
@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_broken_metadata_is_ignored(exif: bytes, kind: str) -> None:
    """Unreadable metadata is ignored if the pixels can be read."""
    assert np.abs(pixels(uniform(encoded(SMALL, kind, exif=exif))) - UPRIGHT).mean() < 10


@pytest.mark.parametrize("params", [RGB, GREY], ids=["rgb", "grey"])
@pytest.mark.parametrize("kind", ["PNG", "TIFF", "PPM"])
def test_16_bits_are_scaled(kind: str, params: Ingest) -> None:
    """16 bits per pixel become 8 bits of the same brightness without clipping."""
    values = np.linspace(0, 65535, 60 * 40).astype(np.uint16).reshape(40, 60)
    stored = pixels(uniform(encoded(Image.fromarray(values), kind), params))
    assert np.abs(stored - values / 257).max() <= 1


def test_16_bits_of_colour_are_scaled() -> None:
    """16 bits per channel become 8 bits in the same way."""
    row = struct.pack(">9H", 0, 32768, 65535, 65535, 0, 32768, 100, 1000, 10000)
    stored = pixels(uniform(png(3, 1, b"\0" + row, depth=16)))
    assert np.abs(stored - np.array([[[0, 128, 255], [255, 0, 128], [0, 4, 39]]])).max() <= 1


def test_16_bits_with_a_transparent_grey() -> None:
    """A 16-bit grey that means transparency becomes white."""
    row = struct.pack(">3H", 0, 32768, 65535)
    raw = png(3, 1, b"\0" + row, depth=16, colour=0, extra=chunk(b"tRNS", struct.pack(">H", 0)))
    stored = pixels(opened(uniform(raw)).convert("L"))
    assert np.abs(stored - np.array([[255, 128, 255]])).max() <= 1


def test_one_bit() -> None:
    """Black and white stay black and white."""
    image = SMALL.convert("1")
    assert np.array_equal(pixels(opened(uniform(encoded(image, "PNG"))).convert("L")), pixels(image.convert("L")))


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("params", [RGB, GREY], ids=["rgb", "grey"])
def test_transparent_pixels_show_white(kind: str, params: Ingest) -> None:
    """Images with an alpha channel are put on white; half transparent pixels are mixed."""
    image = Image.new("RGBA", (3, 1))
    for position, alpha in enumerate((255, 128, 0)):
        image.putpixel((position, 0), (*RED, alpha))
    stored = pixels(
        uniform(encoded(image, kind, **({"lossless": True, "exact": True} if kind == "WEBP" else {})), params)
    )
    expected = [[76, 165, 255]] if params is GREY else [[RED, (255, 127, 127), WHITE]]
    assert np.abs(stored - np.array(expected)).max() <= 1


@pytest.mark.parametrize("params", [RGB, GREY], ids=["rgb", "grey"])
def test_transparent_greys_show_white(params: Ingest) -> None:
    """Grey images with an alpha channel or one transparent grey are put on white."""
    image = Image.new("LA", (2, 1))
    image.putdata([(50, 255), (50, 0)])
    for raw in (encoded(image, "PNG"), png(2, 1, b"\0\x32\x00", colour=0, extra=chunk(b"tRNS", b"\0\0"))):
        assert pixels(opened(uniform(raw, params)).convert("L")).tolist() == [[50, 255]]


@pytest.mark.parametrize("transparency", [1, b"\xff\x00"], ids=["one colour", "table"])
@pytest.mark.parametrize("kind", ["PNG", "GIF"])
def test_transparent_palette_colours_show_white(kind: str, transparency: int | bytes) -> None:
    """A transparent palette colour becomes white, whatever colour the palette has."""
    if kind == "GIF" and isinstance(transparency, bytes):
        transparency = 1
    image = Image.new("P", (2, 1))
    image.putpalette([*RED, *GREEN])
    image.putpixel((1, 0), 1)
    raw = encoded(image, kind, transparency=transparency)
    assert pixels(uniform(raw)).tolist() == [[list(RED), list(WHITE)]]


def test_transparent_colour_shows_white() -> None:
    """A colour that means transparency becomes white."""
    raw = png(2, 1, b"\0" + bytes([*RED, *GREEN]), extra=chunk(b"tRNS", struct.pack(">3H", *GREEN)))
    assert pixels(uniform(raw)).tolist() == [[list(RED), list(WHITE)]]


@pytest.mark.parametrize("params", [RGB, GREY], ids=["rgb", "grey"])
def test_inks_become_colours(params: Ingest) -> None:
    """A CMYK JPEG becomes a colour or grey image."""
    for inks, colour in (((0, 255, 255, 0), RED), ((0, 0, 0, 0), WHITE), ((0, 0, 0, 255), (0, 0, 0))):
        picture = uniform(encoded(Image.new("CMYK", (16, 16), inks), "JPEG"), params)
        expected = pixels(Image.new("RGB", (16, 16), colour).convert("RGB" if params is RGB else "L"))
        assert picture.suffix == "jpg"
        assert np.abs(pixels(picture) - expected).max() <= 3


SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
# A profile in which the first channel means green and the second red.
SWAPPED = SRGB.replace(b"rXYZ", b"????", 1).replace(b"gXYZ", b"rXYZ", 1).replace(b"????", b"gXYZ", 1)
LAB = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "WEBP"])
def test_colour_profiles_are_applied(kind: str) -> None:
    """Colours are converted to sRGB by the image's profile."""
    options = {"lossless": True} if kind == "WEBP" else {"quality": 95} if kind == "JPEG" else {}
    picture = uniform(encoded(Image.new("RGB", (16, 16), RED), kind, icc_profile=SWAPPED, **options))
    assert np.abs(pixels(picture) - np.array(GREEN)).max() <= 4


def test_colour_profiles_are_applied_before_greying() -> None:
    """A grey image has the brightness of the converted colours."""
    grey = pixels(uniform(encoded(Image.new("RGB", (16, 16), RED), "PNG", icc_profile=SWAPPED), GREY))
    assert np.abs(grey - pixels(Image.new("RGB", (16, 16), GREEN).convert("L"))).max() <= 4


@pytest.mark.parametrize("profile", [SRGB, LAB, b"nonsense", SRGB[:200]], ids=["sRGB", "Lab", "nonsense", "cut"])
@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA", "P"])
def test_other_colour_profiles_change_nothing(mode: str, profile: bytes) -> None:
    """The sRGB profile, and one that is unreadable or for another kind of image, leave the pixels unchanged."""
    image = SMALL.convert(mode)
    picture = uniform(encoded(image, "PNG", icc_profile=profile))
    assert np.abs(pixels(opened(picture).convert("RGB")) - pixels(image.convert("RGB"))).max() <= 2


@pytest.mark.parametrize("params", [RGB, GREY], ids=["rgb", "grey"])
@pytest.mark.parametrize("profile", [SRGB, SWAPPED], ids=["sRGB", "swapped"])
def test_stored_bytes_hold_no_clock(profile: bytes, params: Ingest) -> None:
    """Stored bytes of an image with a profile do not depend on the time, although profiles have a date."""
    raw = encoded(SMALL, "PNG", icc_profile=profile)
    before = make_uniform(raw, params)
    started = int(time.time())
    while int(time.time()) == started:
        time.sleep(0.05)
    assert make_uniform(raw, params) == before


def animation(kind: str) -> bytes:
    """Return an animation of two frames, the first one red."""
    frames = [Image.new("RGB", (16, 16), colour) for colour in (RED, GREEN)]
    options = {"lossless": True} if kind == "WEBP" else {"quality": 100} if kind == "AVIF" else {}
    return encoded(frames[0], kind, save_all=True, append_images=frames[1:], **options)


@pytest.mark.parametrize("kind", ["GIF", "PNG", "TIFF", "WEBP", "AVIF"])
def test_animations(kind: str) -> None:
    """Images with several frames or pages are refused, or their first frame is taken, depending on the param."""
    assert refused(animation(kind)) == Refusal("animation", "more than one frame or page")
    picture = uniform(animation(kind), FIRST)
    assert np.abs(pixels(opened(picture).convert("RGB")) - np.array(RED)).max() <= (8 if kind == "AVIF" else 0)
    assert getattr(opened(picture), "n_frames", 1) == 1


def test_stereo_pictures_are_no_animations() -> None:
    """The first picture of a stereo MPO file, as many phones write, is taken."""
    raw = encoded(SMALL, "MPO", save_all=True, append_images=[SMALL.transpose(Image.Transpose.ROTATE_180)])
    assert np.abs(pixels(uniform(raw)) - UPRIGHT).mean() < 8


@pytest.mark.parametrize(("width", "height"), [(1, 1), (2, 1), (1, MAX_ASPECT), (MAX_ASPECT * 2, 2)])
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "BMP", "GIF"])
def test_tiny_and_long_images(kind: str, width: int, height: int) -> None:
    """One pixel is an image, and so is a line of pixels up to a limit."""
    picture = uniform(encoded(Image.new("RGB", (width, height), RED), kind))
    assert (picture.width, picture.height) == (width, height)


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_longer_images_are_refused(kind: str) -> None:
    """Longer images are refused."""
    assert refused(encoded(Image.new("RGB", (MAX_ASPECT + 1, 1)), kind)).reason == "absurd dimensions"
    assert refused(encoded(Image.new("RGB", (2, 2 * MAX_ASPECT + 1)), kind)).reason == "absurd dimensions"


@pytest.mark.parametrize(
    ("width", "height"), [(50_000, 50_000), (2**31 - 1, 2**31 - 1), (MAX_MEMORY // 4 // 4096, 4096)]
)
def test_bombs_are_refused_undecoded(width: int, height: int) -> None:
    """An image that claims too many pixels is refused without decoding."""
    assert refused(png(width, height, bytes(1000))).reason in ("too large", "broken")


def resized_header(data: bytes, width: int, height: int) -> bytes:
    """Return the JPEG `data` with other dimensions in its header."""
    start = next(data.index(marker) for marker in (b"\xff\xc0", b"\xff\xc2") if marker in data)
    return data[: start + 5] + struct.pack(">HH", height, width) + data[start + 9 :]


def test_jpegs_in_several_scans_are_refused_where_libjpeg_would_keep_all_of_them() -> None:
    """Large JPEGs in several scans are refused, since scaling while decoding saves no memory; single scans are not."""
    image = Image.new("RGB", (64, 64), RED)
    progressive = resized_header(encoded(image, "JPEG", progressive=True), 60_000, 60_000)
    assert "would take" in refused(progressive).detail
    plain = encoded(image, "JPEG")
    apart = bytearray(plain)
    apart[plain.rindex(b"\xff\xda") + 4] = 1  # A separate scan for the first component.
    assert refused(resized_header(bytes(apart), 60_000, 60_000)).reason in ("too large", "broken")
    assert isinstance(make_uniform(resized_header(plain, 20_000, 20_000), RGB), Picture)


def test_only_one_large_image_is_decoded_at_a_time() -> None:
    """Only large images pass through the lock."""
    passed = []

    class Gate(nullcontext[None]):
        def __enter__(self) -> None:
            passed.append(True)

    for side, gates in ((64, 0), (6000, 1)):
        assert isinstance(
            make_uniform(encoded(Image.new("RGB", (side, side)), "PNG"), RGB, one_at_a_time=Gate()), Picture
        )
        assert len(passed) == gates


@pytest.mark.parametrize("inflated", [0, 10**7])
def test_images_that_hold_more_or_less_than_they_claim(inflated: int) -> None:
    """Pixels beyond the claimed dimensions are ignored; an image with missing pixels is truncated or broken."""
    result = make_uniform(png(8, 8, bytes(inflated)), RGB)
    assert isinstance(result, Picture) == bool(inflated)


def test_no_dimensions() -> None:
    """An image without pixels is refused."""
    for width, height in ((0, 0), (0, 5), (5, 0)):
        refused(png(width, height))


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", "empty"),
        (b"\0", "not an image"),
        (bytes(10_000), "not an image"),
        (b"<!DOCTYPE html><html><body>404 Not Found</body></html>", "not an image"),
        (b"<svg xmlns='http://www.w3.org/2000/svg' width='9' height='9'/>", "unsupported format"),
        (b"PK\3\4" + bytes(100), "not an image"),
        (b"%PDF-1.7\n", "unsupported format"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "unsupported format"),
        (b"\x89PNG\r\n\x1a\n", "not an image"),
        (encoded(SMALL, "JPEG")[:-1000], "truncated"),
        (encoded(SMALL, "PNG")[:-1000], "truncated"),
        (encoded(SMALL, "BMP")[:-1000], "truncated"),
        (encoded(SMALL, "JPEG")[:10], "truncated"),
    ],
)
def test_unusable_files(raw: bytes, reason: str) -> None:
    """Files that are no images, or incomplete, are refused with a reason."""
    assert refused(raw).reason == reason


def test_a_zip_that_is_called_like_an_image_is_named() -> None:
    """A zip file with an image's name is named as such, and not opened, since archives are found by their names."""
    assert "those of a zip file" in refused(b"PK\3\4" + bytes(100)).detail


@pytest.mark.parametrize(
    ("raw", "kind"),
    [
        (b"\xff" * 18 + encoded(SMALL, "TGA")[18:], "a TGA file"),
        (encoded(SMALL, "ICNS"), "an ICNS file"),
        (encoded(SMALL, "PDF"), "a PDF file"),
        (encoded(SMALL, "EPS"), "a PostScript file (EPS)"),
        (b"\xc5\xd0\xd3\xc6" + bytes(30), "a PostScript file (EPS)"),
        (encoded(SMALL, "QOI"), "a QOI file"),
        (encoded(SMALL, "DIB"), "a DIB file"),
        (b"\xff\x0a" + bytes(20), "a JPEG XL file"),
        (b"<?xml version='1.0'?>\n<svg/>", "an SVG file"),
        (b"\0\0\0\x18ftypisom" + bytes(40), "an MP4 file"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_other_formats_are_named(raw: bytes, kind: str) -> None:
    """The message for an unsupported format names it, and a remedy."""
    assert refused(raw) == Refusal("unsupported format", f"{kind}; not read here, convert it to PNG or JPEG")


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("params", [RGB, GREY], ids=["rgb", "grey"])
def test_profiles_are_applied_beside_transparency(kind: str, params: Ingest) -> None:
    """A profile is applied to an opaque picture in the same way with and without an alpha channel."""
    options = {"lossless": True} if kind == "WEBP" else {}
    plain, alpha = (
        pixels(uniform(encoded(SMALL.convert(mode), kind, icc_profile=SWAPPED, **options), params))
        for mode in ("RGB", "RGBA")
    )
    assert (plain == alpha).all()
    clear = Image.new("RGBA", (16, 16), (255, 0, 0, 0))
    assert (pixels(uniform(encoded(clear, kind, icc_profile=SWAPPED, **options), params)) == 255).all()


@pytest.mark.parametrize(
    ("mode", "scale", "said"),
    [
        ("F", 1 / 255, "floating-point pixels, in 0…1; set ingest.range, or save it with 8 or 16 bits"),
        ("I", 1, "32-bit pixels, in 0…255; set ingest.range, or save it with 8 or 16 bits"),
        ("I", 2**23, "32-bit pixels, in 0…2,139,095,040; set ingest.range, or save it with 8 or 16 bits"),
    ],
)
def test_pixels_of_unknown_range_are_refused(mode: str, scale: float, said: str) -> None:
    """Pixels of unknown range are refused, since they could become black or white."""
    grey = Image.fromarray(np.arange(256, dtype=np.uint8).reshape(16, 16)).convert(mode)
    values = Image.fromarray((np.asarray(grey) * scale).astype({"F": np.float32, "I": np.int32}[mode]))
    assert refused(encoded(values, "TIFF")) == Refusal("unsupported pixels", said)


def test_narrow_range_is_said() -> None:
    """12 bits in 16 are stored nearly black, with a message; a full range has no message."""
    values = np.arange(4096, dtype=np.uint16).reshape(64, 64)
    assert uniform(encoded(Image.fromarray(values), "PNG")).remark == "0…4,095 of 0…65,535"
    assert uniform(encoded(Image.fromarray(values * 16), "PNG")).remark == ""


@pytest.mark.parametrize("value", [0, 500])
def test_transparent_value_of_16_bits(value: int) -> None:
    """Only the given value becomes white; it is compared with all 16 bits."""
    values = np.array([[0, 100], [500, 40_000]], dtype=np.uint16).repeat(8, 0).repeat(8, 1)
    stored = pixels(uniform(encoded(Image.fromarray(values), "PNG", transparency=value)))
    expected = np.where(values == value, 255, values // 256)
    assert (stored == expected).all()


@pytest.mark.parametrize(("subsampling", "expected"), [(0, 0), (2, 2)])
def test_turned_jpegs_keep_their_chroma(subsampling: int, expected: int) -> None:
    """Rotated JPEGs without chroma subsampling are written without it."""
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    stored = uniform(encoded(SMALL, "JPEG", subsampling=subsampling, exif=exif))
    assert JpegImagePlugin.get_sampling(opened(stored)) == expected


def test_pictures_never_change() -> None:
    """Stored bytes equal those of earlier versions; otherwise a new version would cause a training."""
    gradient = np.add.outer(np.arange(80), 2 * np.arange(80)).astype(np.uint8)
    picture = uniform(encoded(Image.fromarray(gradient), "BMP"))
    assert md5(pixels(picture).astype(np.uint8).tobytes()).hexdigest() == "d069836fe4caed538ef7a77c1a235eef"


BASES = [
    encoded(SMALL, "JPEG"),
    encoded(SMALL, "JPEG", progressive=True, exif=b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\3\0\1\0\0\0\6\0\0\0\0\0\0\0"),
    encoded(SMALL.resize((20, 20)), "PNG", icc_profile=SRGB),
    encoded(SMALL.resize((20, 20)).convert("P"), "PNG", transparency=3),
    encoded(SMALL.resize((20, 20)).convert("P"), "GIF"),
    encoded(SMALL.resize((20, 20)), "TIFF", compression="tiff_lzw"),
    encoded(SMALL.resize((20, 20)), "WEBP"),
    encoded(SMALL.resize((20, 20)), "BMP"),
]


def check_any(raw: bytes, params: Ingest) -> None:
    """Assert that `raw` becomes a picture or a refusal, without an exception."""
    result = make_uniform(raw, params)
    if isinstance(result, Refusal):
        assert result.reason in UNUSABLE
        assert len(result.detail.splitlines()) == 1
    else:
        assert opened(result).size == (result.width, result.height)
        assert min(opened(result).size) <= params.size


@given(st.binary(max_size=200), st.sampled_from([RGB, GREY]))
@example(b"\xff\xd8\xff", RGB)
def test_any_bytes(raw: bytes, params: Ingest) -> None:
    """Arbitrary bytes raise no exception."""
    check_any(raw, params)


@settings(max_examples=200)
@given(st.sampled_from(BASES).flatmap(lambda base: st.tuples(st.just(base), st.integers(0, len(base)))))
def test_any_truncation(cut: tuple[bytes, int]) -> None:
    """An image truncated anywhere raises no exception."""
    base, end = cut
    check_any(base[:end], RGB)


@settings(max_examples=400)
@given(st.data(), st.sampled_from(BASES), st.sampled_from([RGB, GREY, FIRST]))
def test_any_damage(data: st.DataObject, base: bytes, params: Ingest) -> None:
    """An image with some bytes changed raises no exception."""
    damaged = bytearray(base)
    # Most errors are in the headers.
    position = st.integers(0, 200) | st.integers(0, len(base) - 1)
    for place, value in data.draw(st.lists(st.tuples(position, st.integers(0, 255)), min_size=1, max_size=5)):
        damaged[place] = value
    check_any(bytes(damaged), params)


def test_what_is_appended_is_left_out() -> None:
    """An image with megabytes of appended data is encoded again without them."""
    raw = encoded(SMALL, "PNG") + bytes(10**6)
    stored = uniform(raw)
    assert len(stored.data) < 10**5
    assert np.array_equal(pixels(opened(stored)), pixels(SMALL))


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_size_moves_no_image_to_another_split(kind: str) -> None:
    """The perceptual hash does not depend on the size at which the image is stored."""
    photograph = Image.fromarray(load_sample_image("china.jpg"))
    raw = encoded(photograph.resize((2000, 1300)), kind)
    shown = {uniform(raw, RGB.model_copy(update={"size": size})).shows for size in (8, 20, 64, 256, 512)}
    assert len(shown) == 1
