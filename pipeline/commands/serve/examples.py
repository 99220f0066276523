"""Sample image files, one for each way in which files are converted, to check an exported model's preprocessing."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import ExifTags, Image

SMALL, LARGE = (400, 300), (4000, 3000)
TURNED = 6


def save_examples(folder: Path) -> list[Path]:
    """Save the files into `folder`, and return their paths. They show coarse noise, which survives any resizing."""
    files = []
    for name, image, options in _examples():
        files.append(folder / name)
        image.save(files[-1], **options)
    return files


def _examples() -> Iterator[tuple[str, Image.Image, dict[str, Any]]]:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (9, 12, 4), np.uint8))
    clear = noise.resize(SMALL, Image.Resampling.BICUBIC)
    plain = clear.convert("RGB")
    grey = plain.convert("L")
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = TURNED
    yield "colour.png", plain, {}
    yield "grey.png", grey, {}
    yield "transparent colour.png", clear, {}
    yield "transparent grey.png", clear.convert("LA"), {}
    yield "transparent palette.png", plain.quantize(16), {"transparency": 3}
    yield "16 bits.png", Image.fromarray(np.asarray(grey).astype(np.uint16) * 257), {}
    yield "12 bits in 16.png", Image.fromarray(np.asarray(grey).astype(np.uint16) * 16), {}
    yield "1 bit.png", grey.convert("1"), {}
    yield "CMYK.jpg", plain.convert("CMYK"), {}
    yield "turned.jpg", plain, {"exif": exif}
    yield "large.jpg", plain.resize(LARGE, Image.Resampling.BILINEAR), {}
