"""One image made uniform: the pure function that ingest maps over what is new.

Orientation applied, colours in sRGB or grey, no transparency, the shorter side bounded. Bytes that are so already
are kept as they are; other JPEGs are written as JPEG, everything else as PNG, which loses nothing.
"""

import warnings
from io import BytesIO
from typing import Any, NamedTuple

from PIL import ExifTags, Image, ImageCms, UnidentifiedImageError

from pipeline.errors import one_line
from pipeline.params import Ingest
from pipeline.phash import PerceptualHash, perceptual_hash

FORMATS = ("AVIF", "BMP", "GIF", "JPEG", "JPEG2000", "PNG", "PPM", "TIFF", "WEBP")
# Decoded, this is 256 MiB with transparency; JPEGs may have more since they are scaled while they are decoded.
MAX_PIXELS = 64 * 2**20
MAX_ASPECT = 100
# The reasons that lie in an image's own bytes, so that the same bytes need not be looked at again.
UNUSABLE = {"empty", "not an image", "truncated", "broken", "animation", "absurd dimensions", "too large"}
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


class Picture(NamedTuple):
    """An image as it is stored."""

    data: bytes
    suffix: str
    width: int
    height: int
    shows: PerceptualHash


class Refusal(NamedTuple):
    """Why something is not usable: one of a few phrases that one can count, and what else is known."""

    reason: str
    detail: str

    @property
    def is_passing(self) -> bool:
        """Whether it speaks of the place at that moment, not of the bytes, so that the next run looks again."""
        return self.reason in ("vanished", "unreadable", "changed")

    @classmethod
    def of_place(cls, error: OSError) -> "Refusal":
        """Why a file of data/raw cannot be read at all."""
        reason = "vanished" if isinstance(error, FileNotFoundError) else "unreadable"
        return cls(reason, error.strerror or one_line(error))


def make_uniform(raw: bytes, params: Ingest) -> Picture | Refusal:
    """The image in the bytes `raw` as it is to be stored, or why it cannot be used."""
    if not raw:
        return Refusal("empty", "0 bytes")
    try:
        with warnings.catch_warnings():
            # Odd metadata is no reason to refuse pixels that decode.
            warnings.simplefilter("ignore")
            return _make_uniform(raw, params)
    except UnidentifiedImageError:
        return Refusal("not an image", "no known format")
    except MemoryError:
        return Refusal("too large", "does not fit into memory")
    except Exception as error:  # noqa: BLE001 (Pillow's decoders raise nearly anything on damaged bytes)
        said = one_line(error)
        return Refusal("truncated" if "truncated" in said.lower() else "broken", said)


def _make_uniform(raw: bytes, params: Ingest) -> Picture | Refusal:
    Image.init()  # Until then Pillow knows but the commonest formats.
    image = Image.open(BytesIO(raw), formats=FORMATS)
    source, frames = image.format, getattr(image, "n_frames", 1)
    if frames > 1 and source != "MPO" and params.animations == "refuse":
        return Refusal("animation", f"{frames} frames")
    shorter, longer = sorted(image.size)
    if longer > MAX_ASPECT * shorter:
        return Refusal("absurd dimensions", f"{image.width} × {image.height}")
    if source in ("JPEG", "MPO"):
        # Twice the size aimed at is what Pillow's own thumbnails leave to the exact filter.
        image.draft(None, (2 * params.size * image.width // shorter, 2 * params.size * image.height // shorter))
    if image.width * image.height > MAX_PIXELS:
        return Refusal("too large", f"{image.width} × {image.height} pixels")
    image.load()
    uniform = _scaled(_coloured(_upright(image), params.mode), params.size)
    # Pillow would write the profile along, which is applied by now, and which holds the clock where it is Pillow's own.
    uniform.info = {}
    shows = perceptual_hash(uniform)
    if _conforms(image, params):
        return Picture(raw, "jpg" if source == "JPEG" else "png", *uniform.size, shows)
    out = BytesIO()
    if source in ("JPEG", "MPO"):
        uniform.save(out, "JPEG", quality=JPEG_QUALITY)
        return Picture(out.getvalue(), "jpg", *uniform.size, shows)
    uniform.save(out, "PNG")
    return Picture(out.getvalue(), "png", *uniform.size, shows)


def _conforms(image: Image.Image, params: Ingest) -> bool:
    modes = ("RGB", "L") if params.mode == "rgb" else ("L",)
    return (
        image.format in ("JPEG", "PNG")
        and image.mode in modes
        and min(image.size) <= params.size
        and getattr(image, "n_frames", 1) == 1
        and _orientation(image) not in UPRIGHT
        and not image.has_transparency_data
        and "icc_profile" not in image.info
    )


def _upright(image: Image.Image) -> Image.Image:
    turn = UPRIGHT.get(_orientation(image))
    return image.copy() if turn is None else image.transpose(turn)


def _orientation(image: Image.Image) -> Any:
    try:
        return image.getexif().get(ExifTags.Base.Orientation)
    except Exception:  # noqa: BLE001 (metadata that cannot be read is as good as none)
        return None


def _coloured(image: Image.Image, mode: str) -> Image.Image:
    """`image` in sRGB or grey, on white where it is transparent."""
    if image.mode.startswith("I"):
        # 16 bits a pixel, which Pillow's own conversion to 8 would clip.
        image = image.convert("I").point(lambda value: value / 256).convert("L")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    if mode == "rgb" and image.mode == "L":
        return image
    return _in_srgb(image).convert("RGB" if mode == "rgb" else "L")


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
    return image.resize((width, height), Image.Resampling.LANCZOS, reducing_gap=3.0)
