"""An own augmentation must be a function of (seed, turn, id)."""

from pathlib import Path

import numpy as np
import pytest
import torch
from support.own import write_package
from training.feeding.test_loader import cold, dataset

from pipeline.errors import ParamError
from pipeline.params import read_params
from pipeline.training.augmentation.dice import Dice
from pipeline.training.drawing.randomness import Purpose, keys_of
from pipeline.training.feeding.loader import TrainLoader

NAME = "mine.changes:change"
PARAMS = read_params().train.model_copy(update={"augment": NAME, "batch_size": 4})
START = "import random\nimport torch\n\n\ndef change(images, dice):\n"
NOISE = f"{START}    return (images // 2 + dice.several('noise', 16).reshape(-1, 1, 4, 4) * 100).to(images.dtype)\n"


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make an empty project the working directory."""
    monkeypatch.chdir(tmp_path)


def batches(batch_size: int = 4, start: int = 0) -> dict[int, list[torch.Tensor]]:
    """Return the changed images of the first round, from the batch `start` on, by number."""
    params = PARAMS.model_copy(update={"batch_size": batch_size, "epochs": 1})
    data = dataset(10)
    loader = TrainLoader(data, [str(number) for number in range(10)], params, cold(data, params))
    loader.load_state_dict({"position": start})
    pairs = (
        (int(target), image) for batch in loader for target, image in zip(batch.targets, batch.images, strict=True)
    )
    found: dict[int, list[torch.Tensor]] = {}
    for number, image in pairs:
        found.setdefault(number, []).append(image)
    return found


def test_changes_are_of_each_image(monkeypatch: pytest.MonkeyPatch) -> None:
    """The change of an image does not depend on the batch, nor on resuming a training."""
    write_package(monkeypatch, changes=NOISE)
    whole = batches()
    assert not torch.equal(whole[0][0] - whole[0][0].min(), whole[1][0] - whole[1][0].min())
    for other in (batches(batch_size=5), batches(start=1)):
        assert other
        for number, images in other.items():
            assert all(torch.equal(one, whole[number][0]) for one in images)


def test_images_are_not_written_to(monkeypatch: pytest.MonkeyPatch) -> None:
    """A function that modifies its input gets a copy."""
    data = dataset(4)
    before = data.images.pixels.copy()
    write_package(monkeypatch, changes=f"{START}    return images.fill_(7)\n")
    params = PARAMS.model_copy(update={"epochs": 1})
    (batch,) = TrainLoader(data, ["0", "1", "2", "3"], params, cold(data, params))
    assert (batch.images == 7).all()
    assert np.array_equal(data.images.pixels, before)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "torch.rand_like(images.float()).mul(255).byte()",
            "it changes the same images differently each time; take all ran",
        ),
        (
            "images.roll(random.randrange(1, 10**6), 3) + random.randrange(256)",
            "it changes the same images differently",
        ),
        ("images.float()", "it was given images of dtype torch.uint8, and returns torch.float32; return images of the"),
        (
            "images[:, :, 1:]",
            "it was given images of shape (4, 1, 4, 4), and returns (4, 1, 3, 4); return images of the",
        ),
        ("None", "it returns something of type NoneType; return the changed images"),
        ("images / 0 + undefined", "mine/changes.py:6: NameError: name 'undefined' is not defined; correct it"),
    ],
)
def test_what_does_not_work(monkeypatch: pytest.MonkeyPatch, text: str, said: str) -> None:
    """An invalid function is a one-line error with a hint."""
    write_package(monkeypatch, changes=f"{START}    return {text}\n")
    random_before = torch.get_rng_state()
    with pytest.raises(ParamError) as raised:
        batches(batch_size=5)
    torch.set_rng_state(random_before)
    assert str(raised.value).startswith(f"{NAME}: ") or "\n" in str(raised.value)
    assert said.replace("(4,", "(5,") in str(raised.value)


def test_names_of_uses() -> None:
    """The same name gives the same numbers, and other names, including internal ones, give others."""
    keys = keys_of(dataset(1000).ids)
    dice = Dice(keys, 0, np.zeros(1000, np.uint64), torch.device("cpu"))
    one, other = dice.between("turn", 0, 1), dice.between("noise", 0, 1)
    assert torch.equal(one, dice.between("turn", 0, 1))
    assert abs(float(torch.corrcoef(torch.stack([one, other]))[0, 1])) < 0.1
    assert not any(torch.equal(one, dice.between(purpose, 0, 1)) for purpose in Purpose)
    several = dice.several("noise", 50)
    assert several.shape == (1000, 50)
    assert 0 <= float(several.min()) < 0.001
    assert 0.999 < float(several.max()) < 1
    assert float(several.mean()) == pytest.approx(0.5, abs=0.01)
    assert float(torch.corrcoef(several.T).fill_diagonal_(0).abs().max()) < 0.2
