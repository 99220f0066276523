"""What decoding an image takes of memory, by its header: upper bounds, measured at 48 megapixels."""

from PIL import Image, ImageFile

# What decoding may take: 48 megapixels in most formats. JPEGs may have more, since they are scaled while it is done.
MAX_MEMORY = 512 * 2**20
# What takes more than this is decoded while nothing else is that does.
MUCH_MEMORY = 128 * 2**20
# Bytes a pixel that a decoder takes besides the image that it makes.
DECODERS = {"AVIF": 6, "DDS": 8, "DICOM": 20, "HEIF": 8, "JPEG2000": 16, "PSD": 4, "SGI": 4, "TIFF": 4, "WEBP": 9}
# Pillow has four bytes a pixel for these at most, and copies images of other modes, and what has transparency.
PLAIN = {"1", "L", "RGB", "CMYK", "YCbCr", "LAB", "HSV", "F"}


def bytes_of_pixels(image: Image.Image) -> int:
    """What its pixels take, at the size at which they are decoded, the decoder's own copy and Pillow's included."""
    is_copied = image.mode not in PLAIN or image.has_transparency_data
    return image.width * image.height * ((9 if is_copied else 4) + DECODERS.get(image.format or "", 0))


def bytes_of_coefficients(image: Image.Image, raw: bytes) -> int:
    """What libjpeg keeps of all of a JPEG, however small it is decoded, where it comes in several scans."""
    components = len(image.getbands())
    assert isinstance(image, ImageFile.ImageFile)
    assert image.fp is not None
    start = raw.rfind(b"\xff\xda", 0, image.fp.tell())  # Of the first scan: marker, length, components.
    several = "progressive" in image.info or (start >= 0 and raw[start + 4] < components)
    return 2 * components * image.width * image.height if several else 0
