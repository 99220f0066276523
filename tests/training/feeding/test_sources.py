"""The input of training: augmented images, or stored features of a few views of each image."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import ROOT
from support.stored import Plain, store_images

from pipeline import paths
from pipeline.augment_params import Augment
from pipeline.errors import ParamError
from pipeline.features.backbone import Backbone
from pipeline.images.dataset import Dataset, load, read_manifest
from pipeline.models.network import Network, Spec, build
from pipeline.params import Params, read_params
from pipeline.training.augmentation.augment import augment
from pipeline.training.augmentation.dice import Dice
from pipeline.training.drawing.randomness import keys_of
from pipeline.training.drawing.sampling import ARRIVAL, Drawn
from pipeline.training.feeding.sources import CPU, AugmentedImages, InputSource, KeptFeatures, PlainImages, sources_of

SPEC = Spec(model="small", size=8, mode="grey", classes=("cat", "dog"))
SHIFTED = Augment(shift=0.4, flip=True)
TURNS = np.array([0, 3, 4, ARRIVAL, 7], np.uint64)
DRAWN = Drawn(np.array([5, 0, 5, 2, 3]), TURNS)


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make a project with stored images."""
    monkeypatch.chdir(tmp_path)
    store_images(train=[Plain("cat", shade) for shade in range(6)], val=[Plain("dog", 100), Plain("dog", 101)])


def params(**train: Any) -> Params:
    """Return params with changes to the section `train`."""
    here = read_params(ROOT / "params.yaml")
    changed = here.train.model_copy(update={"augment": SHIFTED, "freeze": "backbone", **train})
    return here.model_copy(update={"train": changed, "compute": here.compute.model_copy(update={"workers": 1})})


def dataset(split: str = "train") -> Dataset:
    """Return the images of a split."""
    return load(read_manifest(split), mode="grey", size=8, framing="fill", compute=params().compute)


def network(seed: int = 0) -> Network:
    """Return a network with random weights from `seed`."""
    torch.manual_seed(seed)
    return build(SPEC)


def sources(here: Params, seed: int = 0) -> tuple[InputSource, InputSource]:
    """Return the sources of a training."""
    return sources_of(network(seed), SPEC, (dataset(), dataset("val")), here, CPU)


def test_images() -> None:
    """Without a frozen backbone images are augmented in each turn, and evaluated unchanged."""
    training, validation = sources(params(freeze="none"))
    assert isinstance(training, AugmentedImages)
    assert isinstance(validation, PlainImages)
    (inputs,) = training.batches([DRAWN])
    assert inputs.values.dtype == torch.uint8
    assert inputs.values.shape == (5, 1, 8, 8)
    assert not paths.FEATURES.exists()


@pytest.mark.parametrize("views", [1, 3])
def test_features(views: int) -> None:
    """Features of a view are those of the image augmented as in that turn; views alternate."""
    here = params(views=views)
    training, validation = sources(here)
    assert isinstance(training, KeptFeatures)
    (inputs,) = training.batches([DRAWN])
    data, backbone = dataset(), Backbone(network(), SPEC)
    turns = TURNS % np.uint64(views)
    images = torch.from_numpy(next(iter(data.images.batches([DRAWN.positions]))))
    dice = Dice(keys_of(data.ids)[DRAWN.positions], here.train.seed, turns, CPU)
    assert np.array_equal(inputs.values.numpy(), backbone(augment(images, SHIFTED, dice)))
    assert inputs.mixture is None
    (plain,) = validation.batches([Drawn(np.arange(2), np.zeros(2, np.uint64))])
    pixels = torch.from_numpy(next(iter(dataset("val").images.batches([np.arange(2)]))))
    assert np.array_equal(plain.values.numpy(), backbone(pixels))


@pytest.mark.parametrize("augment", ["none", Augment()])
def test_one_view_is_enough_where_nothing_changes(augment: Any) -> None:
    """Without augmentation there is one view, whatever number is requested."""
    training, _ = sources(params(augment=augment, views=4))
    (first,) = training.batches([DRAWN])
    assert torch.equal(first.values[0], first.values[2])
    (path,) = paths.FEATURES.glob("*.features")
    assert path.stat().st_size == 6 * 128 * 4


def test_nothing_is_looked_at_before_the_weights_are_there() -> None:
    """Features are computed at the first batch, when the weights are loaded."""
    trained = network()
    training, _ = sources_of(trained, SPEC, (dataset(), dataset("val")), params(), CPU)
    trained.load_state_dict(network(1).state_dict())
    (inputs,) = training.batches([DRAWN])
    other, _ = sources(params(), seed=1)
    (wanted,) = other.batches([DRAWN])
    assert torch.equal(inputs.values, wanted.values)


@pytest.mark.parametrize("augment", ["strong", Augment(mixup=0.2), Augment(cutmix=1.0)])
def test_mixed_images_have_no_features_of_their_own(augment: Any) -> None:
    """Mixed images have no stored features: a one-line error with a hint."""
    with pytest.raises(ParamError, match=r"train.freeze is backbone, .* set mixup and cutmix to 0"):
        sources(params(augment=augment))
