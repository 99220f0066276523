"""The colours of an image in sRGB or grey, and nothing transparent."""

from io import BytesIO

from PIL import Image, ImageCms


def coloured(image: Image.Image, mode: str) -> Image.Image:
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
