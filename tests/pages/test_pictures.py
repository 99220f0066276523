"""Pictures inside a page."""

import pytest
from PIL import Image
from support.pictures import decoded
from support.reported import noise

from pipeline.pages import pictures


def test_small_images_keep_every_pixel() -> None:
    """They are shown magnified."""
    image = noise(0, 28)
    assert decoded(pictures.data_uri(image)).convert("RGB").tobytes() == image.tobytes()


@pytest.mark.parametrize("size", [(400, 300), (97, 20), (1, 500)])
def test_large_images_are_scaled(size: tuple[int, int]) -> None:
    """To fit, with their shape."""
    made = decoded(pictures.data_uri(Image.new("RGB", size)))
    assert max(made.size) == pictures.SIDE
    assert made.width / made.height == pytest.approx(size[0] / size[1], rel=0.1) or min(made.size) == 1


def test_pictures_are_bounded() -> None:
    """Those that do not fit any more are left out, the last ones."""
    third = "x" * (pictures.LIMIT // 3)
    assert list(pictures.bounded(range(5), [third] * 5)) == [0, 1, 2]
