"""Pictures inside a page."""

import pytest
from PIL import Image
from support.pictures import decoded
from support.reported import noise

from pipeline.pages import pictures


def test_small_images_keep_every_pixel() -> None:
    """Small images keep every pixel, and are magnified by the browser."""
    image = noise(0, 28)
    assert decoded(pictures.data_uri(image)).convert("RGB").tobytes() == image.tobytes()


@pytest.mark.parametrize("size", [(400, 300), (97, 20), (1, 500)])
def test_large_images_are_scaled(size: tuple[int, int]) -> None:
    """Large images are scaled to fit, with their aspect ratio."""
    made = decoded(pictures.data_uri(Image.new("RGB", size)))
    assert max(made.size) == pictures.SIDE
    assert made.width / made.height == pytest.approx(size[0] / size[1], rel=0.1) or min(made.size) == 1


def test_pictures_are_bounded() -> None:
    """If pictures exceed the limit, the last ones are left out."""
    third = "x" * (pictures.LIMIT // 3)
    assert list(pictures.bounded(range(5), [third] * 5)) == [0, 1, 2]
