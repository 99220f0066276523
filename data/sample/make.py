"""Makes the sample archives in this folder from Fashion-MNIST (Zalando, MIT licence).

Needs Debian's package `dataset-fashion-mnist`; run as `python data/sample/make.py`. The same bytes every time.
"""

import gzip
import zipfile
from collections.abc import Iterator
from io import BytesIO
from itertools import islice
from pathlib import Path

import numpy as np
from PIL import Image

SOURCE = Path("/usr/share/datasets/fashion-mnist")
HERE = Path(__file__).parent
NAMES = ("T-shirt", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")
OLD, NEW = NAMES[:8], NAMES[8:]


def read(name: str, header: int) -> np.ndarray:
    """Return the numbers in the IDX file `name` after its header."""
    return np.frombuffer(gzip.decompress((SOURCE / name).read_bytes()), np.uint8, offset=header)


def images_of(number: int) -> Iterator[np.ndarray]:
    """Return the 28 × 28 images of class `number`, in the order of the data set."""
    pixels = read("train-images-idx3-ubyte.gz", 16).reshape(-1, 28, 28)
    return iter(pixels[read("train-labels-idx1-ubyte.gz", 8) == number])


def png(pixels: np.ndarray) -> bytes:
    """Return `pixels` as a PNG file."""
    file = BytesIO()
    Image.fromarray(pixels).save(file, "PNG", optimize=True)
    return file.getvalue()


def main() -> None:
    """Write the three archives."""
    supply = {name: enumerate(images_of(number)) for number, name in enumerate(NAMES)}
    for archive, classes, count in (
        ("1-initial.zip", OLD, 1000),
        ("2-more.zip", OLD, 3000),
        ("3-new-classes.zip", NEW, 600),
    ):
        with zipfile.ZipFile(HERE / archive, "w") as file:
            for name in classes:
                for number, pixels in islice(supply[name], count // len(classes)):
                    # A fixed date, so that the archives have the same bytes each time.
                    member = zipfile.ZipInfo(f"{name}/{number:04d}.png", (1980, 1, 1, 0, 0, 0))
                    file.writestr(member, png(pixels))


if __name__ == "__main__":
    main()
