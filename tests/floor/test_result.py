"""Results of stages."""

from pipeline.result import ImageChange


def test_changes_of_images() -> None:
    """Changes of images add up, and have a short text."""
    change = ImageChange(new=1600, removed=12)
    assert str(change.then(ImageChange(1, 0))) == "1,601 new images, 12 removed"
    assert str(ImageChange(1)) == "1 new image"
    assert str(ImageChange()) == "0 new images"
