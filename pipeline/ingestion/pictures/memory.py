"""Estimates the memory needed to decode an image, from its header: upper bounds, measured at 48 megapixels."""

from PIL import Image, ImageFile

# The most memory that decoding may take, in bytes: 48 megapixels in most formats. JPEGs may be larger, because they are
# scaled during decoding.
MAX_MEMORY = 512 * 2**20
# Images that take more than this, in bytes, are decoded one at a time.
MUCH_MEMORY = 128 * 2**20
# Bytes per pixel that a decoder needs in addition to the decoded image.
DECODERS = {"AVIF": 6, "DDS": 8, "DICOM": 20, "HEIF": 8, "JPEG2000": 16, "PSD": 4, "SGI": 4, "TIFF": 4, "WEBP": 9}
# Modes that Pillow stores in at most four bytes per pixel. Images of other modes, or with transparency, are copied.
PLAIN = {"1", "L", "RGB", "CMYK", "YCbCr", "LAB", "HSV", "F"}


def bytes_of_pixels(image: Image.Image) -> int:
    """Return the bytes that decoding the pixels of `image` takes, including copies by the decoder and by Pillow."""
    is_copied = image.mode not in PLAIN or image.has_transparency_data
    return image.width * image.height * ((9 if is_copied else 4) + DECODERS.get(image.format or "", 0))


def bytes_of_coefficients(image: Image.Image, raw: bytes) -> int:
    """Return the bytes of a JPEG's coefficients, which libjpeg keeps, at any scale, if there are several scans."""
    components = len(image.getbands())
    assert isinstance(image, ImageFile.ImageFile)
    assert image.fp is not None
    start = raw.rfind(b"\xff\xda", 0, image.fp.tell())  # The first SOS segment: marker, length, components.
    several = "progressive" in image.info or (start >= 0 and raw[start + 4] < components)
    return 2 * components * image.width * image.height if several else 0
