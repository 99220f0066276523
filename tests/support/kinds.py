"""An image file of every kind that ingest treats differently."""

from pathlib import Path

import numpy as np
from PIL import Image, ImageCms


def noise(seed: int, width: int = 40, height: int = 30, mode: str = "RGB") -> Image.Image:
    """Return coarse noise, which survives scaling."""
    shape = (7, 9, len(Image.new(mode, (1, 1)).getbands()))
    pixels = np.random.default_rng(seed).integers(0, 256, shape, np.uint8)
    return Image.fromarray(pixels.squeeze(), mode).resize((width, height))


def put_kinds(folder: Path) -> None:
    """Write an image of every kind that ingest treats differently into `folder`."""
    folder.mkdir(parents=True)
    for name, image in {
        "rgb.jpg": noise(0),
        "rgb.png": noise(1),
        "large.jpg": noise(2, 700, 500),
        "large.png": noise(3, 300, 600),
        "grey.jpg": noise(4, mode="L"),
        "grey.png": noise(5, mode="L"),
        "grey alpha.png": noise(6, mode="LA"),
        "alpha.png": noise(7, mode="RGBA"),
        "cmyk.jpg": noise(8, mode="CMYK"),
        "cmyk.tif": noise(9, mode="CMYK"),
        "palette.gif": noise(12).quantize(16),
        "palette.png": noise(13).quantize(16),
        "two.png": noise(14, mode="L").convert("1"),
        "sixteen.png": Image.fromarray(np.asarray(noise(15, mode="L")).astype(np.uint16) * 257),
        "lossy.webp": noise(16),
        "old.bmp": noise(17),
    }.items():
        image.save(folder / name)
    noise(18).save(
        folder / "turned.jpg", exif=b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"
    )
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    noise(19).save(folder / "profile.png", icc_profile=profile)
    noise(20).save(folder / "clear.gif", transparency=0)
