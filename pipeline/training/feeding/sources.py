"""Inputs of a network in training: augmented images, or features of a frozen backbone."""

from collections.abc import Iterable, Iterator
from functools import cached_property
from itertools import tee
from typing import NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor

from pipeline.errors import ParamError
from pipeline.features.backbone import Backbone, has_features
from pipeline.features.code import code_of_views
from pipeline.features.source import FeatureSource, Views
from pipeline.images.dataset import Dataset
from pipeline.images.pixel_source import Positions
from pipeline.models.device import to_device
from pipeline.models.layers import BACKBONE
from pipeline.models.network import Network, Spec
from pipeline.param_types import is_own
from pipeline.params import Params
from pipeline.paths import PARAMS
from pipeline.train_params import Train
from pipeline.training.augmentation.augment import augment
from pipeline.training.augmentation.dice import Dice
from pipeline.training.augmentation.mixing import Mixture, mix
from pipeline.training.augmentation.own_changes import change
from pipeline.training.augmentation.presets import settings_of
from pipeline.training.drawing.randomness import keys_of
from pipeline.training.drawing.sampling import Drawn

CPU = torch.device("cpu")


class Inputs(NamedTuple):
    """The inputs of a network for one batch."""

    values: Tensor
    """Images of shape (n, channels, height, width), uint8, or features of shape (n, width), float32."""
    mixture: Mixture | None = None
    """How the images were mixed with others, if they were."""


class InputSource(Protocol):
    """A source of inputs for the images of a split."""

    @property
    def where(self) -> torch.device:
        """The device that the inputs are meant for; they may not be on it yet."""

    def batches(self, drawn: Iterable[Drawn]) -> Iterator[Inputs]:
        """Yield the inputs for each batch of drawn images."""


class PlainImages:
    """Images without augmentation."""

    def __init__(self, dataset: Dataset, where: torch.device = CPU) -> None:
        self._images, self.where = dataset.images, where

    def batches(self, drawn: Iterable[Drawn]) -> Iterator[Inputs]:
        """Yield the inputs for each batch of drawn images."""
        return (Inputs(torch.from_numpy(images)) for images in self._images.batches(chosen for chosen, _ in drawn))


class AugmentedImages:
    """Augmented images: each is changed at random, a whole batch at once."""

    def __init__(self, dataset: Dataset, params: Train, where: torch.device = CPU) -> None:
        """Augmentation runs on the device `where`."""
        self._images, self._keys = dataset.images, keys_of(dataset.ids)
        self._seed, self._size, self._settings = params.seed, params.size, settings_of(params.augment)
        self._own = params.augment if isinstance(params.augment, str) and is_own(params.augment) else None
        self.where = where

    def batches(self, drawn: Iterable[Drawn]) -> Iterator[Inputs]:
        """Yield the inputs for each batch of drawn images."""
        here, ahead = tee(drawn)
        loaded = self._images.batches(chosen for chosen, _ in ahead)
        for number, ((chosen, turns), images) in enumerate(zip(here, loaded, strict=True)):
            shown = to_device(torch.from_numpy(images), self.where)
            dice = Dice(self._keys[chosen], self._seed, turns, self.where)
            if self._own:
                yield Inputs(change(self._own, shown, dice, is_first=number == 0))
            else:
                yield Inputs(*mix(augment(shown, self._settings, dice, self._size), self._settings, dice))


class KeptFeatures:
    """Cached features of images, or of several views of each; missing ones are computed at the first iteration."""

    def __init__(
        self, dataset: Dataset, backbone: Backbone, views: Views | None, *, limit: int, alive: Dataset | None = None
    ) -> None:
        """The cache takes at most `limit` bytes; if room is short, features of the images in `alive` stay, too."""
        self._dataset, self._backbone, self._views, self._limit = dataset, backbone, views, limit
        self._alive = None if alive is None else alive.images.slots.md5s

    def batches(self, drawn: Iterable[Drawn]) -> Iterator[Inputs]:
        """Yield the inputs for each batch of drawn images."""
        count = 1 if self._views is None else self._views.count
        asked = ((chosen, (turns % np.uint64(count)).astype(np.intp)) for chosen, turns in drawn)
        return (Inputs(torch.from_numpy(features)) for features in self._source.batches(asked))

    @property
    def where(self) -> torch.device:
        """The device that the features are meant for."""
        return self._backbone.where

    @cached_property
    def _source(self) -> FeatureSource:
        # Created at first use: the network gets its final weights only after this object is created.
        images = self._dataset.images
        return FeatureSource(images, self._backbone, self._views, limit=self._limit, alive=self._alive)


class Sources(NamedTuple):
    """The input sources of both splits that a training uses."""

    training: InputSource
    validation: InputSource


def sources_of(
    network: Network, spec: Spec, splits: tuple[Dataset, Dataset], params: Params, where: torch.device
) -> Sources:
    """Return the input sources of the training and the validation images, `splits`, for the device `where`.

    Raises:
        ParamError: the params ask for mixed images, but features are cached for single images.
    """
    training, validation = splits
    # Augmentation by the project's own code has no cache key.
    if params.train.freeze != BACKBONE or is_own(params.train.augment) or not has_features(network, spec):
        return Sources(AugmentedImages(training, params.train, where), PlainImages(validation, where))
    settings = settings_of(params.train.augment)
    if settings.mixup or settings.cutmix:
        what = "train.freeze is backbone, so features of single images are kept, and train.augment mixes images"
        raise ParamError(PARAMS, what, "set mixup and cutmix to 0, or augment to light or none")
    backbone, limit = Backbone(network, spec), params.compute.features * 2**20
    views = views_of(training, params.train)
    return Sources(
        KeptFeatures(training, backbone, views, limit=limit, alive=validation),
        KeptFeatures(validation, backbone, None, limit=limit),
    )


def views_of(dataset: Dataset, params: Train) -> Views | None:
    """Return the views of the images of `dataset` that `params` request; None if augmentation changes nothing."""
    settings, keys = settings_of(params.augment), keys_of(dataset.ids)
    recipe = settings.model_dump_json(exclude_defaults=True)
    if recipe == "{}":
        return None

    def change(images: Tensor, positions: Positions, numbers: Positions) -> Tensor:
        dice = Dice(keys[positions], params.seed, numbers.astype(np.uint64), CPU)
        return augment(images, settings, dice, params.size)

    named = f"{recipe} {params.seed} {code_of_views()}"
    return Views(count=params.views, recipe=named, ids=list(dataset.ids), change=change)
