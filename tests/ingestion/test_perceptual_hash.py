"""Perceptual hashes are shared by copies of an image, and differ for other images."""

from io import BytesIO
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image, ImageEnhance, ImageOps
from sklearn.datasets import load_digits, load_sample_images

from pipeline.ingestion.perceptual_hash import STEPS, PerceptualHash, perceptual_hash

PHOTOS = [Image.fromarray(photo) for photo in load_sample_images().images]
GRADIENT = Image.fromarray(np.add.outer(np.arange(48), 3 * np.arange(64)).astype(np.uint8))


def reencoded(image: Image.Image, kind: str, **options: Any) -> Image.Image:
    """Return `image` after saving and opening it."""
    out = BytesIO()
    image.save(out, kind, **options)
    return Image.open(BytesIO(out.getvalue()))


def distance(one: Image.Image, other: Image.Image) -> float:
    """Return the distance of two images relative to the contrast of the first."""
    first, second = (_terms(perceptual_hash(image)) for image in (one, other))
    return float(np.linalg.norm(first - second) / np.linalg.norm(first))


def _terms(shows: PerceptualHash) -> npt.NDArray[np.float64]:
    """Return the terms of a descriptor in grey levels."""
    numbers = np.frombuffer(shows.descriptor, np.int8).astype(np.float64)
    terms: npt.NDArray[np.float64] = numbers[2:] * 2.0 ** float(numbers[0]) / STEPS
    return terms


def test_form() -> None:
    """A key has 16 hexadecimal digits and a descriptor 64 bytes for any image."""
    for image in (*PHOTOS, GRADIENT):
        key, descriptor = perceptual_hash(image)
        assert len(key) == 16
        assert int(key, 16) >= 0
        assert len(descriptor) == 64


@pytest.mark.parametrize("photo", PHOTOS)
def test_lossless_copies_are_the_same(photo: Image.Image) -> None:
    """A lossless copy, in grey or in colour, has the same hash."""
    expected = perceptual_hash(photo)
    grey = photo.convert("L")
    for copy in (photo.copy(), reencoded(photo, "PNG"), reencoded(photo, "BMP"), grey, grey.convert("RGB")):
        assert perceptual_hash(copy) == expected


@pytest.mark.parametrize("photo", PHOTOS)
@pytest.mark.parametrize("quality", [95, 75, 40])
def test_jpegs_are_near(photo: Image.Image, quality: int) -> None:
    """JPEG compression changes a photograph's hash only a little."""
    assert distance(photo, reencoded(photo, "JPEG", quality=quality)) < 0.02


@pytest.mark.parametrize("photo", PHOTOS)
@pytest.mark.parametrize("width", [1280, 500, 320, 100, 64])
def test_scaled_copies_are_near(photo: Image.Image, width: int) -> None:
    """Scaling up or down changes the hash only a little."""
    scaled = photo.resize((width, width * photo.height // photo.width), Image.Resampling.LANCZOS)
    assert distance(photo, scaled) < 0.05


@pytest.mark.parametrize("photo", PHOTOS)
def test_most_copies_have_the_same_key(photo: Image.Image) -> None:
    """Most copies of a photograph share its key, and thus its split."""
    copies = [reencoded(photo, "JPEG", quality=quality) for quality in (95, 90, 85, 80)]
    copies += [photo.resize((width, width * photo.height // photo.width)) for width in (600, 500, 400, 320)]
    same = sum(perceptual_hash(copy).key == perceptual_hash(photo).key for copy in copies)
    assert same >= len(copies) / 2


def test_other_images_are_far() -> None:
    """Other photographs, and mirrored or inverted ones, are far away."""
    photo, other = PHOTOS
    for image in (other, ImageOps.mirror(photo), ImageOps.flip(photo), ImageOps.invert(photo)):
        assert distance(photo, image) > 0.5
        assert perceptual_hash(image).key != perceptual_hash(photo).key


def test_brightness_alone_is_in_the_mean() -> None:
    """A darker copy has the same terms and another mean, which is the second byte of the descriptor."""
    pixels = np.asarray(GRADIENT).astype(int)
    dark, bright = (Image.fromarray((pixels // 2 + shift).astype(np.uint8)) for shift in (0, 100))
    assert perceptual_hash(dark).key == perceptual_hash(bright).key
    means = [np.frombuffer(perceptual_hash(image).descriptor, np.int8)[1].item() for image in (dark, bright)]
    assert means[1] - means[0] == 100


def test_contrast_changes_the_octave() -> None:
    """A descriptor keeps its precision at low contrast."""
    faint = ImageEnhance.Contrast(PHOTOS[0]).enhance(0.1)
    terms, faint_terms = (np.frombuffer(perceptual_hash(image).descriptor, np.int8) for image in (PHOTOS[0], faint))
    assert faint_terms[0] < terms[0]
    assert np.abs(faint_terms[2:].astype(int)).max() > 30


@pytest.mark.parametrize("size", [(1, 1), (1, 200), (200, 1), (2, 3), (64, 64), (65, 63), (1000, 10)])
@pytest.mark.parametrize("grey", [0, 1, 127, 128, 255])
def test_flat_images(size: tuple[int, int], grey: int) -> None:
    """A flat image of any size has the hash of a single pixel of its grey."""
    assert perceptual_hash(Image.new("L", size, grey)) == perceptual_hash(Image.new("L", (1, 1), grey))


def test_flat_images_differ_by_their_grey() -> None:
    """Black and white images differ."""
    assert len({perceptual_hash(Image.new("L", (9, 9), grey)).key for grey in (0, 64, 128, 192, 255)}) == 5


@pytest.mark.parametrize("size", [(2, 2), (1, 2), (3, 129), (5000, 4), (64, 64), (128, 128)])
def test_strongest_contrast_overflows_nothing(size: tuple[int, int]) -> None:
    """For half black, half white images no term is clipped or overflows, however the halves are placed."""
    width, height = size
    for across in [here for here, side in ((True, width), (False, height)) if side > 1]:
        image = Image.new("L", size, 0)
        image.paste(255, (width // 2, 0, width, height) if across else (0, height // 2, width, height))
        numbers = np.frombuffer(perceptual_hash(image).descriptor, np.int8)
        assert numbers[0] >= 0
        assert np.abs(numbers[2:].astype(int)).max() <= 127
        assert distance(image, ImageOps.invert(image)) == pytest.approx(2, abs=0.05)


def test_small_images_of_different_things_differ() -> None:
    """Nearly all of 1,797 handwritten digits, 8 pixels high, have different keys."""
    digits = load_digits().images
    keys = {perceptual_hash(Image.fromarray((digit * 15).astype(np.uint8))).key for digit in digits}
    assert len(keys) > 0.99 * len(digits)


def test_hashes_never_change() -> None:
    """Hashes equal those of earlier versions; otherwise images would move between splits."""
    key, descriptor = perceptual_hash(GRADIENT)
    assert key == "1ad40b053f23734a"
    golden = np.frombuffer(
        bytes.fromhex(
            "06f6b3ed000000000000f8fe0000000000000000000000fd0000ff0000000000"
            "000000000000000000000000fe00000000000000000000000000000000000000"
        ),
        np.int8,
    )
    # The last bit of a single-precision sum differs between machines.
    assert np.abs(np.frombuffer(descriptor, np.int8).astype(int) - golden).max() <= 1
