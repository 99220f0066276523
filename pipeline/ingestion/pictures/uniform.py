"""One image made uniform: orientation applied, colours in sRGB or grey, no transparency, the shorter side bounded.

Bytes that are so already are kept as they are; other JPEGs are written as JPEG, everything else as PNG, which loses
nothing. `pipeline export` copies this module and memory.py next to the model, so they import Pillow and numpy alone.
"""

import warnings
from contextlib import AbstractContextManager, nullcontext
from io import BytesIO
from typing import NamedTuple

import numpy as np
from PIL import ExifTags, Image, ImageCms, JpegImagePlugin

from pipeline.ingestion.pictures.memory import MAX_MEMORY, MUCH_MEMORY, bytes_of_coefficients, bytes_of_pixels

NO_GATE = nullcontext()
JPEGS = ("JPEG", "MPO")
FORMATS = ("AVIF", "BMP", "GIF", "JPEG", "JPEG2000", "PNG", "PPM", "TIFF", "WEBP")
# No uncompressed image is larger; what is has something else appended, and is re-encoded.
MAX_BYTES_PER_PIXEL, MAX_EXTRA = 4, 2**16
# What an image shows is judged at this length of the shorter side, whatever size it is stored at.
MIDDLE = 512
MAX_ASPECT = 100
JPEG_QUALITY = 95
# Grey of 16 bits that reaches no further is likely to be of 12 bits, and shown nearly black.
NARROW = 4096
# What turns an image upright, by its orientation (EXIF 2.3, tag 274). ImageOps.exif_transpose fails on odd other tags.
UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
# Ours comes after scaled decoding and answers in our words.
Image.MAX_IMAGE_PIXELS = None


class UnusableError(ValueError):
    """An image that is refused: the reason, one of a few phrases, and what else is known."""

    def __str__(self) -> str:
        return ": ".join(self.args)


class Uniform(NamedTuple):
    """An image as it is stored."""

    data: bytes
    """A whole file."""
    suffix: str
    width: int
    height: int
    shown: Image.Image
    """What it shows, at a size that does not depend on the one that it is stored at."""
    remark: str
    """What people should know of it, empty where there is nothing."""


def uniform(
    raw: bytes, *, mode: str, size: int, animations: str, one_at_a_time: AbstractContextManager[object] = NO_GATE
) -> Uniform:
    """The image in the bytes `raw`, in the colours `mode`, with a shorter side of at most `size` pixels.

    `animations` says whether of several frames or pages the "first" is taken. `one_at_a_time` is entered while an image
    is decoded that takes more than `MUCH_MEMORY`.

    Raises:
        UnusableError: it is refused for what its header says.
        Exception: nearly any, of Pillow's decoders on damaged bytes.
    """
    with warnings.catch_warnings():
        # Odd metadata is no reason to refuse pixels that decode.
        warnings.simplefilter("ignore")
        Image.init()  # Until then Pillow knows but the commonest formats.
        image = Image.open(BytesIO(raw), formats=FORMATS)
        if _is_animated(image) and animations == "refuse":
            raise UnusableError("animation", "more than one frame or page")
        shorter, longer = sorted(image.size)
        if longer > MAX_ASPECT * shorter:
            raise UnusableError("absurd dimensions", f"{image.width} × {image.height}")
        conforms, middle = _conforms(image, mode, size), max(MIDDLE, size)
        with one_at_a_time if _prepared(image, raw, mode, middle) > MUCH_MEMORY else NO_GATE:
            return _decoded(image, raw if conforms else None, mode, size)


def _prepared(image: Image.Image, raw: bytes, mode: str, middle: int) -> int:
    """What decoding `image` takes, in bytes; a JPEG will be decoded scaled, but not below the size `middle`."""
    shorter = min(image.size)
    coefficients = bytes_of_coefficients(image, raw) if image.format in JPEGS else 0
    if image.format in JPEGS:
        # Twice the size aimed at is what Pillow's own thumbnails leave to the exact filter.
        image.draft(_drafted(image, mode), (2 * middle * image.width // shorter, 2 * middle * image.height // shorter))
    memory = bytes_of_pixels(image) + coefficients + len(raw)
    if memory > MAX_MEMORY:
        what = f"{image.width} × {image.height} pixels would take {memory >> 20} MiB to decode"
        raise UnusableError("too large", what)
    return memory


def _decoded(image: Image.Image, raw: bytes | None, mode: str, size: int) -> Uniform:
    """`image` as it is to be stored: as the bytes `raw`, if they conform."""
    suffix = "jpg" if image.format in JPEGS else "png"
    image.load()
    remark = _check_values(image)
    # Made small first, so that the rest costs little even where the file holds a poster.
    orientation, middle = _orientation(image), max(MIDDLE, size)
    shown = _coloured(_upright(_scaled(_continuous(image, middle), middle), orientation), mode)
    most = MAX_BYTES_PER_PIXEL * image.width * image.height + MAX_EXTRA
    if raw is not None and orientation not in UPRIGHT and len(raw) <= most:
        return Uniform(raw, suffix, *image.size, shown, remark)
    stored = _scaled(shown, size)
    # Pillow would write the profile along, which is applied by now, and which holds the clock where it is Pillow's own.
    stored.info = {}
    out = BytesIO()
    if suffix == "jpg":
        stored.save(out, "JPEG", quality=JPEG_QUALITY, subsampling=_subsampling(image))
    else:
        (stored.convert("RGB") if stored.mode == "YCbCr" else stored).save(out, "PNG")
    return Uniform(out.getvalue(), suffix, *stored.size, shown, remark)


def _check_values(image: Image.Image) -> str:
    """What is to be said of the range of its values; refuses those of which it is not known what is black and white."""
    if image.mode != "F" and not image.mode.startswith("I"):
        return ""
    low, high = (image if image.mode == "F" else image.convert("I")).getextrema()
    assert isinstance(low, int | float)
    assert isinstance(high, int | float)
    # Of 32 bits is what TIFF has so; in other formats Pillow says it of 16.
    is_long = image.mode == "I" and image.format == "TIFF" and not (low >= 0 and 2**8 <= high < 2**16)
    if image.mode == "F" or is_long:
        found = f"32-bit pixels, in {low:,}…{high:,}" if is_long else f"floating-point pixels, in {low:g}…{high:g}"
        raise UnusableError("unsupported pixels", f"{found}; save it with 8 or 16 bits")
    return f"its values reach to {high} of 65535 only, so it is nearly black" if high < NARROW else ""


def _subsampling(image: Image.Image) -> int:
    """How to write chroma, as Pillow counts: as fine as luminance where the JPEG `image` has it so, else by default."""
    assert isinstance(image, JpegImagePlugin.JpegImageFile)
    return 0 if JpegImagePlugin.get_sampling(image) == 0 else -1


def _is_animated(image: Image.Image) -> bool:
    """Whether it has several frames or pages; a camera's JPEG with others appended (MPO) is one picture."""
    return bool(getattr(image, "is_animated", False)) and image.format != "MPO"


def _drafted(image: Image.Image, mode: str) -> str | None:
    """The mode to decode a JPEG in: as it is coded, where nothing needs another one, so that nothing is converted."""
    # JFIF says that it is coded so; of other JPEGs one would have to guess.
    as_coded = image.mode == "RGB" and "jfif" in image.info and "icc_profile" not in image.info
    return {"rgb": "YCbCr", "grey": "L"}[mode] if as_coded else None


def _conforms(image: Image.Image, mode: str, size: int) -> bool:
    """Whether it is stored as it is, as far as its header says; its orientation may stand behind the pixels."""
    return (
        image.format in ("JPEG", "PNG")
        and image.mode in (("RGB", "L") if mode == "rgb" else ("L",))
        and min(image.size) <= size
        and not _is_animated(image)
        and not image.has_transparency_data
        and "icc_profile" not in image.info
    )


def _continuous(image: Image.Image, size: int) -> Image.Image:
    """`image` in a mode in which its values can be averaged: no palette, not two colours, not 16 bits.

    What has 16 bits is scaled to `size` already, since it takes so much memory.
    """
    if image.mode.startswith("I"):
        # Pillow's own conversion would clip 16 bits to 8.
        image = _scaled(_on_white(image).convert("I"), size).point(lambda value: value / 256).convert("L")
    if image.has_transparency_data and image.mode != "RGBA":
        return image.convert("RGBA")
    return image.convert({"1": "L", "P": "RGB"}[image.mode]) if image.mode in ("1", "P") else image


def _on_white(image: Image.Image) -> Image.Image:
    """An `image` of 16 bits in which the value that stands for transparency is white."""
    if not isinstance(value := image.info.get("transparency"), int):
        return image
    pixels = np.array(image)
    pixels[pixels == value] = 65535
    return Image.fromarray(pixels)


def _upright(image: Image.Image, orientation: object) -> Image.Image:
    turn = UPRIGHT.get(orientation) if isinstance(orientation, int) else None
    return image if turn is None else image.transpose(turn)


def _orientation(image: Image.Image) -> object:
    try:
        return image.getexif().get(ExifTags.Base.Orientation)
    except Exception:  # noqa: BLE001 (metadata that cannot be read is as good as none)
        return None


def _coloured(image: Image.Image, mode: str) -> Image.Image:
    """`image` in sRGB or grey, on white where it is transparent."""
    if image.mode == "RGBA":
        on_white, profile = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image), image.info
        if "icc_profile" in profile:
            # In sRGB first: white is to be white.
            opaque = _in_srgb(image.convert("RGB"))
            on_white = Image.composite(opaque, Image.new("RGB", image.size, "white"), image.getchannel("A"))
        image = on_white
    else:
        image = _in_srgb(image)
    if image.mode == "L" or (mode == "rgb" and image.mode in ("RGB", "YCbCr")):
        return image  # Converting it would copy it.
    return image.convert("RGB" if mode == "rgb" else "L")


def _in_srgb(image: Image.Image) -> Image.Image:
    """`image` with its colour profile applied; one that cannot be read is taken for sRGB, as viewers do."""
    profile = image.info.get("icc_profile")
    if not profile or image.mode == "L":
        return image
    if image.mode not in ("RGB", "CMYK"):
        image = image.convert("RGB")
    try:
        source, target = ImageCms.ImageCmsProfile(BytesIO(profile)), ImageCms.createProfile("sRGB")
        return ImageCms.profileToProfile(image, source, target, outputMode="RGB") or image
    except (ImageCms.PyCMSError, OSError, ValueError):
        return image


def _scaled(image: Image.Image, size: int) -> Image.Image:
    shorter = min(image.size)
    if shorter <= size:
        return image
    width, height = (max(1, round(side * size / shorter)) for side in image.size)
    return image.resize((width, height), Image.Resampling.BICUBIC, reducing_gap=3.0)
