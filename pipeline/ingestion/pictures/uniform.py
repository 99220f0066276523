"""Makes one image uniform: upright, in sRGB or grey, without transparency, its shorter side limited.

Files that conform already are kept byte by byte. Other JPEGs are written as JPEG, everything else as PNG, which is
lossless. `pipeline export` copies this package next to the model, so it imports only Pillow and numpy; the readers of
HEIC and DICOM are imported when such a file is opened.
"""

import warnings
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from io import BytesIO
from typing import NamedTuple

from PIL import ExifTags, Image, JpegImagePlugin

from pipeline.ingestion.pictures.colours import coloured
from pipeline.ingestion.pictures.formats import is_several, opened, reader_of, visible
from pipeline.ingestion.pictures.memory import MAX_MEMORY, MUCH_MEMORY, bytes_of_coefficients, bytes_of_pixels
from pipeline.ingestion.pictures.unusable import UnusableError
from pipeline.ingestion.pictures.values import SIXTEEN_BITS, STRETCHING, Bounds, as_grey, bounds_of, is_deep, on_white

NO_GATE = nullcontext()
JPEGS = ("JPEG", "MPO")
# No uncompressed image takes more bytes. A larger file has other data appended, and is re-encoded.
MAX_BYTES_PER_PIXEL, MAX_EXTRA = 4, 2**16
# The perceptual hash is computed at this length of the shorter side, in pixels, or at `Form.size` if that is larger.
MIDDLE = 512
MAX_ASPECT = 100
JPEG_QUALITY = 95
# The transposition for each orientation (EXIF 2.3, tag 274). ImageOps.exif_transpose fails on unusual other tags.
UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
# Pillow's limit is off: `MAX_MEMORY` replaces it, and takes scaled decoding into account.
Image.MAX_IMAGE_PIXELS = None


class Form(NamedTuple):
    """The form that images are converted to, from the params below `ingest`."""

    mode: str
    """The colour mode: rgb or grey."""
    size: int
    """The maximum length of the shorter side, in pixels."""
    animations: str
    """What to do with several frames or pages: use the "first", or "refuse"."""
    values: str | Sequence[float]
    """Which values of more than 8 bits become black and white, see `bounds_of`."""


class Uniform(NamedTuple):
    """An image as it is stored."""

    data: bytes
    """The content of the image file."""
    suffix: str
    width: int
    height: int
    shown: Image.Image
    """The image in memory, for the perceptual hash."""
    remark: str
    """The range of its values, if it is a small part of the possible range; else empty."""
    reader: str
    """What the bytes depend on besides Pillow, see `reader_of`."""
    patient: str
    """A hash of the patient's ID in a DICOM file; else empty."""


def uniform(raw: bytes, form: Form, *, one_at_a_time: AbstractContextManager[object] = NO_GATE) -> Uniform:
    """Return the image in the bytes `raw`, converted to `form`.

    `one_at_a_time` is entered while an image is decoded that takes more than `MUCH_MEMORY`.

    Raises:
        UnusableError: the image is refused, mostly because of its header.
        Exception: Pillow's decoders may raise nearly any exception on damaged bytes.
    """
    with warnings.catch_warnings():
        # Unusual metadata is no reason to refuse an image whose pixels can be decoded.
        warnings.simplefilter("ignore")
        image = opened(raw)
        if is_several(image) and form.animations == "refuse":
            raise UnusableError("animation", "more than one frame or page")
        shorter, longer = sorted(image.size)
        if longer > MAX_ASPECT * shorter:
            raise UnusableError("absurd dimensions", f"{image.width} × {image.height}")
        conforms = _conforms(image, form.mode, form.size)
        with one_at_a_time if _prepared(image, raw, form) > MUCH_MEMORY else NO_GATE:
            return _decoded(image, raw if conforms else None, form)


def _prepared(image: Image.Image, raw: bytes, form: Form) -> int:
    """Return the memory in bytes that decoding `image` takes, and set up a JPEG to be decoded at a smaller scale."""
    shorter, middle = min(image.size), max(MIDDLE, form.size)
    further = bytes_of_coefficients(image, raw) if image.format in JPEGS else 0
    if image.format in JPEGS:
        # Decode at twice the target size or more, as Pillow's thumbnails do; the exact filter does the rest.
        sides = (2 * middle * image.width // shorter, 2 * middle * image.height // shorter)
        image.draft(_drafted(image, form.mode), sides)
    if is_deep(image) and form.values != "dtype":
        further += STRETCHING * image.width * image.height
    memory = bytes_of_pixels(image) + further + len(raw)
    if memory > MAX_MEMORY:
        what = f"{image.width} × {image.height} pixels would take {memory >> 20} MiB to decode"
        raise UnusableError("too large", what)
    return memory


def _decoded(image: Image.Image, raw: bytes | None, form: Form) -> Uniform:
    """Decode `image` and return it as it is stored: as the bytes `raw`, if they are given and conform."""
    suffix = "jpg" if image.format in JPEGS else "png"
    image.info["as_shown"] = form.values == "dtype"
    image.load()
    bounds = bounds_of(image, form.values) if is_deep(image) else None
    remark, reader = bounds.remark if bounds else "", reader_of(image, is_deep=bounds is not None)
    said = (remark, reader, image.info.get("patient", ""))
    # Scale down first, so that the other steps are cheap even for a very large image.
    orientation, middle = _orientation(image), max(MIDDLE, form.size)
    shown = _scaled(_continuous(visible(image), middle, bounds), middle)
    shown = coloured(_upright(shown, orientation), form.mode)
    most = MAX_BYTES_PER_PIXEL * image.width * image.height + MAX_EXTRA
    if raw is not None and orientation not in UPRIGHT and len(raw) <= most:
        return Uniform(raw, suffix, *image.size, shown, *said)
    stored = _scaled(shown, form.size)
    # Else Pillow would write the profile, which has been applied; a profile made by Pillow contains the current time.
    stored.info = {}
    out = BytesIO()
    if suffix == "jpg":
        stored.save(out, "JPEG", quality=JPEG_QUALITY, subsampling=_subsampling(image))
    else:
        (stored.convert("RGB") if stored.mode == "YCbCr" else stored).save(out, "PNG")
    return Uniform(out.getvalue(), suffix, *stored.size, shown, *said)


def _subsampling(image: Image.Image) -> int:
    """Return Pillow's `subsampling`: 0 (4:4:4) if the JPEG `image` has full chroma resolution, else the default."""
    assert isinstance(image, JpegImagePlugin.JpegImageFile)
    return 0 if JpegImagePlugin.get_sampling(image) == 0 else -1


def _drafted(image: Image.Image, mode: str) -> str | None:
    """Return the mode to decode a JPEG in: its coded mode, to avoid conversions, or None if that is not safe."""
    # JFIF guarantees YCbCr; the coding of other JPEGs would be a guess.
    as_coded = image.mode == "RGB" and "jfif" in image.info and "icc_profile" not in image.info
    return {"rgb": "YCbCr", "grey": "L"}[mode] if as_coded else None


def _conforms(image: Image.Image, mode: str, size: int) -> bool:
    """Whether `image` can be stored unchanged, by its header. The orientation may follow the pixels: not checked."""
    return (
        image.format in ("JPEG", "PNG")
        and image.mode in (("RGB", "L") if mode == "rgb" else ("L",))
        and min(image.size) <= size
        and not is_several(image)
        and not image.has_transparency_data
        and "icc_profile" not in image.info
    )


def _continuous(image: Image.Image, size: int, bounds: Bounds | None) -> Image.Image:
    """Return `image` in a mode whose values can be averaged: no palette, no bilevel image, at most 8 bits.

    An image of more bits, black and white at `bounds`, is also scaled to `size`, because it takes much memory.
    """
    if bounds is not None and image.mode != "F" and bounds[:2] == SIXTEEN_BITS:
        # Pillow's conversion would clip 16 bits to 8.
        image = _scaled(on_white(image).convert("I"), size).point(lambda value: value / 256).convert("L")
    elif bounds is not None:
        # Adds 0.5, because Pillow's conversion rounds down.
        image = _scaled(as_grey(image, bounds), size).point(lambda value: value * 1 + 0.5).convert("L")
    if image.has_transparency_data and image.mode != "RGBA":
        return image.convert("RGBA")
    return image.convert({"1": "L", "P": "RGB"}[image.mode]) if image.mode in ("1", "P") else image


def _upright(image: Image.Image, orientation: object) -> Image.Image:
    turn = UPRIGHT.get(orientation) if isinstance(orientation, int) else None
    return image if turn is None else image.transpose(turn)


def _orientation(image: Image.Image) -> object:
    try:
        return image.getexif().get(ExifTags.Base.Orientation)
    except Exception:  # noqa: BLE001 (metadata that cannot be read is as good as none)
        return None


def _scaled(image: Image.Image, size: int) -> Image.Image:
    shorter = min(image.size)
    if shorter <= size:
        return image
    width, height = (max(1, round(side * size / shorter)) for side in image.size)
    return image.resize((width, height), Image.Resampling.BICUBIC, reducing_gap=3.0)
