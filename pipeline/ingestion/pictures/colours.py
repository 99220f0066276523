"""Converts an image to opaque sRGB or grey."""

from io import BytesIO

from PIL import Image, ImageCms


def coloured(image: Image.Image, mode: str) -> Image.Image:
    """Return `image` in sRGB or grey, with transparent pixels on white."""
    if image.mode == "RGBA":
        on_white, profile = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image), image.info
        if "icc_profile" in profile:
            # Convert to sRGB before blending, so that the background is white in sRGB.
            opaque = _in_srgb(image.convert("RGB"))
            on_white = Image.composite(opaque, Image.new("RGB", image.size, "white"), image.getchannel("A"))
        image = on_white
    else:
        image = _in_srgb(image)
    if image.mode == "L" or (mode == "rgb" and image.mode in ("RGB", "YCbCr")):
        return image  # `convert` would copy it.
    return image.convert("RGB" if mode == "rgb" else "L")


def _in_srgb(image: Image.Image) -> Image.Image:
    """Return `image` with its colour profile applied; an unreadable profile counts as sRGB, as in viewers."""
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
