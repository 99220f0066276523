"""One image made uniform: orientation applied, colours in sRGB or grey, no transparency, the shorter side bounded.

Bytes that are so already are kept as they are; other JPEGs are written as JPEG, everything else as PNG, which loses
nothing. `pipeline export` copies this package next to the model, so it imports Pillow and numpy alone, and what reads
HEIC and DICOM only where it meets such a file.
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
# No uncompressed image is larger; what is has something else appended, and is re-encoded.
MAX_BYTES_PER_PIXEL, MAX_EXTRA = 4, 2**16
# What an image shows is judged at this length of the shorter side, whatever size it is stored at.
MIDDLE = 512
MAX_ASPECT = 100
JPEG_QUALITY = 95
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


class Form(NamedTuple):
    """What images are made: `ingest` says it."""

    mode: str
    """rgb or grey."""
    size: int
    """Longest that the shorter side may be, in pixels."""
    animations: str
    """Whether of several frames or pages the "first" is taken."""
    values: str | Sequence[float]
    """Which values of more than 8 bits are black and white, see `bounds_of`."""


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
    """Which of its values are used, where they take little of the range; else empty."""
    reader: str
    """What its bytes depend on besides Pillow, see `reader_of`."""
    patient: str
    """The patient that a DICOM file is of, as a hash; else empty."""


def uniform(raw: bytes, form: Form, *, one_at_a_time: AbstractContextManager[object] = NO_GATE) -> Uniform:
    """The image in the bytes `raw` in this `form`.

    `one_at_a_time` is entered while an image is decoded that takes more than `MUCH_MEMORY`.

    Raises:
        UnusableError: it is refused for what its header says.
        Exception: nearly any, of Pillow's decoders on damaged bytes.
    """
    with warnings.catch_warnings():
        # Odd metadata is no reason to refuse pixels that decode.
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
    """What decoding `image` takes, in bytes; a JPEG will be decoded scaled, but not too far for what it shows."""
    shorter, middle = min(image.size), max(MIDDLE, form.size)
    further = bytes_of_coefficients(image, raw) if image.format in JPEGS else 0
    if image.format in JPEGS:
        # Twice the size aimed at is what Pillow's own thumbnails leave to the exact filter.
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
    """`image` as it is to be stored: as the bytes `raw`, if they conform."""
    suffix = "jpg" if image.format in JPEGS else "png"
    image.info["as_shown"] = form.values == "dtype"
    image.load()
    bounds = bounds_of(image, form.values) if is_deep(image) else None
    remark, reader = bounds.remark if bounds else "", reader_of(image, is_deep=bounds is not None)
    said = (remark, reader, image.info.get("patient", ""))
    # Made small first, so that the rest costs little even where the file holds a poster.
    orientation, middle = _orientation(image), max(MIDDLE, form.size)
    shown = _scaled(_continuous(visible(image), middle, bounds), middle)
    shown = coloured(_upright(shown, orientation), form.mode)
    most = MAX_BYTES_PER_PIXEL * image.width * image.height + MAX_EXTRA
    if raw is not None and orientation not in UPRIGHT and len(raw) <= most:
        return Uniform(raw, suffix, *image.size, shown, *said)
    stored = _scaled(shown, form.size)
    # Pillow would write the profile along, which is applied by now, and which holds the clock where it is Pillow's own.
    stored.info = {}
    out = BytesIO()
    if suffix == "jpg":
        stored.save(out, "JPEG", quality=JPEG_QUALITY, subsampling=_subsampling(image))
    else:
        (stored.convert("RGB") if stored.mode == "YCbCr" else stored).save(out, "PNG")
    return Uniform(out.getvalue(), suffix, *stored.size, shown, *said)


def _subsampling(image: Image.Image) -> int:
    """How to write chroma, as Pillow counts: as fine as luminance where the JPEG `image` has it so, else by default."""
    assert isinstance(image, JpegImagePlugin.JpegImageFile)
    return 0 if JpegImagePlugin.get_sampling(image) == 0 else -1


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
        and not is_several(image)
        and not image.has_transparency_data
        and "icc_profile" not in image.info
    )


def _continuous(image: Image.Image, size: int, bounds: Bounds | None) -> Image.Image:
    """`image` in a mode in which its values can be averaged: no palette, not two colours, not more than 8 bits.

    What has more, and black and white at `bounds`, is scaled to `size` already, since it takes so much memory.
    """
    if bounds is not None and image.mode != "F" and bounds[:2] == SIXTEEN_BITS:
        # Pillow's own conversion would clip 16 bits to 8.
        image = _scaled(on_white(image).convert("I"), size).point(lambda value: value / 256).convert("L")
    elif bounds is not None:
        # Pillow's own rounds down.
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
