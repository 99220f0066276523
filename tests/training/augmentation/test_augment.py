"""Random changes of training images: independent of the batch, and as their params say."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from PIL import Image, ImageEnhance, ImageOps
from torch import Tensor

from pipeline.augment_params import Augment
from pipeline.training.augmentation.augment import augment
from pipeline.training.augmentation.colour import boxes, erased
from pipeline.training.augmentation.dice import Dice
from pipeline.training.augmentation.geometry import Motion, moved
from pipeline.training.augmentation.policies import OPERATIONS, VALUES, Operations, change_values, draw, move
from pipeline.training.augmentation.presets import PRESETS, settings_of

KEYS = np.random.default_rng(0).integers(0, 2**64, 200, dtype=np.uint64)
# Each change alone, strong enough to be visible.
ALONE: dict[str, dict[str, Any]] = {
    "flip_vertical": {"flip_vertical": True},
    "crop": {"crop": [0.3, 0.6]},
    "rotate": {"rotate": 90},
    "brightness": {"brightness": 0.5},
    "contrast": {"contrast": 0.5},
    "saturation": {"saturation": 0.9},
    "hue": {"hue": 0.5},
    "grey": {"grey": 0.5},
    "blur": {"blur": 0.5},
    "trivial": {"policy": "trivial"},
    "rand": {"policy": "rand"},
    "erase": {"erase": 0.5},
}
EVERYTHING = {**{key: value for one in ALONE.values() for key, value in one.items()}, "flip": True, "shift": 0.1}


def dice(count: int = len(KEYS), *, seed: int = 0, turn: int = 0) -> Dice:
    """Return the random numbers of the first images."""
    return Dice(KEYS[:count], seed, np.full(count, turn, np.uint64), torch.device("cpu"))


def noise(count: int = len(KEYS), channels: int = 3, height: int = 10, width: int = 12) -> Tensor:
    """Return noise images, all of them different."""
    return torch.randint(
        0, 256, (count, channels, height, width), dtype=torch.uint8, generator=torch.Generator().manual_seed(1)
    )


def as_picture(image: Tensor) -> Image.Image:
    """Convert a tensor of shape (3, height, width), in 0…1."""
    return Image.fromarray((image * 255).round().to(torch.uint8).permute(1, 2, 0).numpy())


def as_array(picture: Image.Image) -> npt.NDArray[np.float64]:
    """Return an array of shape (3, height, width), in 0…1."""
    return np.asarray(picture, np.float64).transpose(2, 0, 1) / 255


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("changes", [*ALONE.values(), EVERYTHING], ids=[*ALONE, "everything"])
def test_form_stays(changes: dict[str, Any], channels: int) -> None:
    """Shape and dtype are kept, and the inputs do not change; grey images stay grey."""
    images = noise(channels=channels)
    after = augment(images, Augment(**changes), dice())
    assert (after.shape, after.dtype) == (images.shape, images.dtype)
    assert torch.equal(images, noise(channels=channels))
    no_colour = channels == 1 and set(changes) <= {"saturation", "hue", "grey"}
    assert torch.equal(after, images) == no_colour


@pytest.mark.parametrize("changes", [*ALONE.values(), EVERYTHING], ids=[*ALONE, "everything"])
def test_batch_does_not_matter(changes: dict[str, Any]) -> None:
    """The change of an image does not depend on the batch or its position."""
    images, params = noise(), Augment(**changes)
    whole = augment(images, params, dice())
    order = np.random.default_rng(1).permutation(len(KEYS))
    for chosen in (order, order[:7], order[7:8]):
        some = Dice(KEYS[chosen], 0, np.zeros(len(chosen), np.uint64), torch.device("cpu"))
        assert torch.equal(augment(images[chosen], params, some), whole[chosen])


@pytest.mark.parametrize("changes", [*ALONE.values()], ids=[*ALONE])
@pytest.mark.parametrize(("seed", "turn"), [(1, 0), (0, 1)])
def test_turns_and_seeds_change_images_anew(changes: dict[str, Any], seed: int, turn: int) -> None:
    """The same seed and turn give the same changes, others give different ones."""
    images, params = noise(), Augment(**changes)
    first = augment(images, params, dice())
    assert torch.equal(first, augment(images, params, dice()))
    assert not torch.equal(first, augment(images, params, dice(seed=seed, turn=turn)))


def test_nothing_to_change_changes_nothing() -> None:
    """A crop of the whole image, a rotation by zero and the preset `none` change no pixel."""
    images = noise()
    for params in (settings_of("none"), Augment(crop=[1, 1], crop_ratio=[1, 1]), Augment(rotate=1e-9)):
        assert torch.equal(augment(images, params, dice()), images)


def test_no_images() -> None:
    """A batch may be empty."""
    assert augment(noise(0), PRESETS["strong"], dice(0)).shape == (0, 3, 10, 12)


def ramp(height: int, width: int) -> Tensor:
    """Return an image whose red and green channels contain the x and y coordinates."""
    x, y = torch.arange(width).expand(height, -1), torch.arange(height)[:, None].expand(-1, width)
    return torch.stack([x, y, torch.zeros_like(x)]).float()[None]


def test_crop_shows_what_it_says() -> None:
    """A crop has the drawn share of the area and aspect ratio, and lies inside the image."""
    images = ramp(40, 60).repeat(len(KEYS), 1, 1, 1).to(torch.uint8)
    after = augment(images, Augment(crop=[0.25, 0.5], crop_ratio=[0.5, 2]), dice()).float()
    # From the centre of the first pixel to that of the last one.
    width = (after[:, 0, 20, -1] - after[:, 0, 20, 0] + 1) / 60
    height = (after[:, 1, -1, 30] - after[:, 1, 0, 30] + 1) / 40
    areas, ratios = width * height, width / height
    assert areas.min() > 0.2
    assert areas.max() < 0.55
    assert areas.std() > 0.04
    assert ratios.min() < 0.7
    assert ratios.max() > 1.4
    for channel, side in ((0, 60), (1, 40)):
        begins, ends = after[:, channel].amin((1, 2)), after[:, channel].amax((1, 2))
        assert (begins < 0.15 * side).any()
        assert (ends > 0.85 * side).any()


@pytest.mark.parametrize("angle", [90.0, 180.0, -90.0])
def test_rotates_clockwise(angle: float) -> None:
    """A quarter rotation is exact, and clockwise."""
    image = noise(1, height=9, width=9).float() / 255
    motion = Motion(torch.tensor([[4.0, 4.0]]), torch.ones(1, 2), torch.tensor([angle]), torch.zeros(1, 2))
    right = torch.rot90(image, round(-angle / 90), (2, 3))
    assert torch.allclose(moved(image, motion), right, atol=1e-5)


def test_factors_are_bounded() -> None:
    """Brightness changes within the allowed share, as often up as down."""
    images = torch.full((len(KEYS), 3, 8, 8), 100, dtype=torch.uint8)
    after = augment(images, Augment(brightness=0.4), dice())[:, 0, 0, 0].float() / 100
    assert 0.595 <= after.min() < 0.65
    assert 1.35 < after.max() <= 1.405
    assert abs((after < 1).float().mean() - 0.5) < 2 / len(KEYS) ** 0.5


def test_shares_are_kept() -> None:
    """The shares of grey, blurred and erased images equal the params."""
    for params in (Augment(grey=0.3), Augment(blur=0.3), Augment(erase=0.3)):
        changed = (augment(noise(), params, dice()) != noise()).flatten(1).any(1)
        assert abs(changed.float().mean() - 0.3) < 4 * math.sqrt(0.21 / len(KEYS)), params


def test_erased_boxes_show_the_mean() -> None:
    """An erased box of at most a third of the image lies inside it, and has its mean colour."""
    images = noise(height=20, width=30).float() / 255
    after = erased(images, 1.0, dice())
    for image, now in zip(images, after, strict=True):
        inside = (image != now).all(0)
        assert 0 < inside.float().mean() < 0.4
        assert torch.allclose(now[:, inside], image.mean((1, 2))[:, None])


def test_boxes_touch_every_edge_and_leave_none() -> None:
    """A box of half the side can lie at any edge, and always has its full size."""
    places = torch.tensor([[0.0, 0.0], [0.999, 0.999], [0.5, 0.0]])
    inside = boxes(torch.Size((3, 3, 8, 10)), torch.full((3, 2), 0.5), places)
    assert inside.float().mean((1, 2, 3)).tolist() == [0.25] * 3
    assert inside[0, 0, 0, 0]
    assert inside[1, 0, -1, -1]
    assert inside[2, 0, 0, 3]


PILLOW: dict[str, Callable[[Image.Image, float], Image.Image]] = {
    "brightness": lambda picture, s: ImageEnhance.Brightness(picture).enhance(1 + 0.99 * s),
    "contrast": lambda picture, s: ImageEnhance.Contrast(picture).enhance(1 + 0.99 * s),
    "saturation": lambda picture, s: ImageEnhance.Color(picture).enhance(1 + 0.99 * s),
    "sharpness": lambda picture, s: ImageEnhance.Sharpness(picture).enhance(1 + 0.99 * s),
    "posterize": lambda picture, s: ImageOps.posterize(picture, 8 - round(6 * abs(s))),
    "solarize": lambda picture, s: ImageOps.solarize(picture, round(255 * (1 - abs(s)))),
    "autocontrast": lambda picture, _: ImageOps.autocontrast(picture),
    "equalize": lambda picture, _: ImageOps.equalize(picture),
}


@pytest.mark.parametrize("signed", [0.5, -0.5])
@pytest.mark.parametrize("name", VALUES)
def test_operations_are_those_of_pillow(name: str, signed: float) -> None:
    """TrivialAugment's operations equal Pillow's of the same names, up to rounding."""
    image = (noise(1, height=16, width=16).float() * 0.6 + 30).round() / 255
    drawn = Operations(
        torch.tensor([OPERATIONS.index(name)]),
        torch.tensor([abs(signed)]),
        torch.tensor([math.copysign(1, signed)]),
        [torch.arange(int(operation == name)) for operation in OPERATIONS],
    )
    after = change_values(image, [drawn])[0].numpy()
    assert np.abs(after - as_array(PILLOW[name](as_picture(image[0]), signed))).max() < 2.5 / 255


def test_every_operation_is_drawn_and_does_something() -> None:
    """Each operation of the policy is drawn equally often, and has an effect."""
    (drawn,) = draw("trivial", dice())
    counts = torch.bincount(drawn.which, minlength=len(OPERATIONS))
    assert counts.min() > 0
    assert counts.max() < 4 * len(KEYS) / len(OPERATIONS)
    still = Motion(
        torch.zeros(len(KEYS), 2), torch.ones(len(KEYS), 2), torch.zeros(len(KEYS)), torch.zeros(len(KEYS), 2)
    )
    now = move(still, [drawn], (224, 224))
    moves = torch.cat([now.middle, now.angle[:, None], now.shear], 1) != 0
    assert moves.any(0).all()
    assert (moves.sum(1) <= 1).all()
    assert now.middle.abs().max() <= 32
    assert now.angle.abs().max() <= 135
    assert now.shear.abs().max() <= 1
    first, second = draw("rand", dice())
    assert not torch.equal(first.which, second.which)
    assert torch.allclose(torch.cat([first.strengths, second.strengths]), torch.tensor(0.3))


def test_groups_are_the_images_that_have_a_number() -> None:
    """Groups computed on the CPU equal those computed from the numbers."""
    drawn, places = dice().groups(7, 5)
    assert torch.equal(drawn, dice().below(7, 5))
    assert len(places) == 5
    assert all(torch.equal(place, torch.nonzero(drawn == number)[:, 0]) for number, place in enumerate(places))
