"""Encode an image in memory as the bytes of an image file, losslessly, so that it is processed like a file."""

from io import BytesIO

import numpy as np
from PIL import ExifTags, Image

from pipeline.errors import ImagesError

# Pillow modes that are encoded as PNG; other modes are encoded as TIFF.
PNG = {"1", "L", "LA", "P", "RGB", "RGBA", "I;16"}


def bytes_of(image: object, name: str) -> bytes:
    """Return `image` as the bytes of an image file; bytes are returned unchanged. `Model.predict` lists the types.

    Raises:
        ImagesError: `image` has an unsupported type or shape; the message calls it `name`.
    """
    if isinstance(image, bytes):
        return image
    if isinstance(image, np.ndarray):
        image = _pictured(image, name)
    if not isinstance(image, Image.Image):
        what = f"{type(image).__name__} is no image"
        raise ImagesError(name, what, "pass a path, bytes, an image of Pillow's, or an array")
    image.load()  # Pillow rotates a TIFF upright here, and only then updates its EXIF orientation.
    out, exif = BytesIO(), Image.Exif()
    if (turned := image.getexif().get(ExifTags.Base.Orientation)) is not None:
        exif[ExifTags.Base.Orientation] = turned
    if image.mode in PNG:
        image.save(out, "PNG", exif=exif, compress_level=1)
    else:
        image.save(out, "TIFF", exif=exif)
    return out.getvalue()


def _pictured(array: "np.ndarray[tuple[int, ...], np.dtype[np.generic]]", name: str) -> Image.Image:
    is_colour = array.ndim == 3 and array.shape[2] in (3, 4) and array.dtype == np.uint8
    is_grey = array.ndim == 2 and array.dtype in (np.uint8, np.uint16)
    if not array.size or not (is_colour or is_grey):
        what = f"an array of {array.dtype} of shape {array.shape} is no image"
        raise ImagesError(name, what, "pass uint8 of shape (height, width) or (height, width, 3 or 4)")
    return Image.fromarray(array)
