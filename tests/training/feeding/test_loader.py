"""Batches: every image once per round at a cold start, in an order that can be resumed anywhere."""

import math
from itertools import islice
from typing import Any

import numpy as np
import pytest
import torch
from annotated_types import Ge
from conftest import ROOT
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.augment_params import Augment
from pipeline.images.dataset import Dataset
from pipeline.images.pixel_source import PixelSource
from pipeline.params import read_params
from pipeline.train_params import Train
from pipeline.training.drawing.budget import length_of
from pipeline.training.drawing.randomness import keys_of
from pipeline.training.drawing.sampling import Cursor, Draws, Rounds
from pipeline.training.feeding.batches import Batch
from pipeline.training.feeding.loader import EvalLoader, TrainLoader, sample, targets_of

PARAMS = read_params(ROOT / "params.yaml").train


def dataset(count: int, channels: int = 1) -> Dataset:
    """Return `count` noise images, each of a different class, which is its number."""
    random = np.random.default_rng(count)
    ids = sorted(random.bytes(16).hex() for _ in range(count))
    return Dataset(
        ids=np.array(ids, dtype=str),
        labels=np.array([str(number) for number in range(count)], dtype=str),
        images=PixelSource.of(random.integers(0, 256, (count, channels, 4, 4), dtype=np.uint8)),
    )


def loader(count: int, batch_size: int = 4, **changes: Any) -> TrainLoader:
    """Return a loader of `count` images."""
    params: Train = PARAMS.model_copy(update={"batch_size": batch_size, **changes})
    return TrainLoader(dataset(count), [str(number) for number in range(count)], params, cold(dataset(count), params))


def cold(data: Dataset, params: Train = PARAMS) -> Rounds:
    """Return the draws of a cold start."""
    length = length_of(params, images=len(data), changed=len(data), warm=False)
    none = np.empty(0, np.intp)
    draws = Draws(keys=keys_of(data.ids), arrived=none, count=length.draws, start=Cursor(0, 0), seed=params.seed)
    return Rounds(draws=draws, length=length, before=0)


def numbers(batches: list[Batch]) -> list[int]:
    """Return the images in `batches`, in order."""
    return [int(target) for batch in batches for target in batch.targets]


def tensors(batch: Batch) -> list[torch.Tensor]:
    """Return all tensors of a batch."""
    return [value for value in (*batch[:3], batch.weights, *(batch.other or ())) if isinstance(value, torch.Tensor)]


def same(one: list[Batch], other: list[Batch]) -> bool:
    """Whether both are the same batches, bit for bit."""
    pairs = zip(one, other, strict=False)
    return len(one) == len(other) and all(
        torch.equal(first, second) for pair in pairs for first, second in zip(*map(tensors, pair), strict=True)
    )


counts = st.integers(2, 40)
SMALLEST = min(limit.ge for limit in Train.model_fields["batch_size"].metadata if isinstance(limit, Ge))  # type: ignore[type-var]
sizes = st.integers(SMALLEST, 12)  # type: ignore[arg-type]


@settings(max_examples=50)
@given(counts, sizes, st.integers(0, 100))
def test_every_image_once_a_round(count: int, batch_size: int, epoch: int) -> None:
    """Each round has every image exactly once, in as few batches as possible of nearly the same size."""
    loads = loader(count, batch_size)
    loads.set_epoch(epoch)
    batches = list(loads)
    assert sorted(numbers(batches)) == list(range(count))
    assert len(batches) == len(loads) == math.ceil(count / batch_size)
    lengths = {len(batch.targets) for batch in batches}
    assert max(lengths) <= batch_size
    assert max(lengths) - min(lengths) <= 1


@given(counts, sizes)
def test_no_batch_of_one_image(count: int, batch_size: int) -> None:
    """No batch has a single image, which batch normalisation could not handle."""
    assert min(len(batch.targets) for batch in loader(count, batch_size)) > 1


def test_images_come_with_their_own_targets() -> None:
    """Pixels and targets stay together."""
    data = dataset(20)
    loads = loader(20, augment=Augment(shift=0, flip=False))
    for batch in loads:
        assert np.array_equal(batch.images.numpy(), data.images.pixels[batch.targets.numpy()])
        assert (batch.images.dtype, batch.targets.dtype) == (torch.uint8, torch.int64)


def test_epochs_differ_and_repeat() -> None:
    """Each epoch has its own reproducible order."""
    loads = loader(40)
    epochs = []
    for epoch in (0, 1, 0):
        loads.sampler.set_epoch(epoch)
        epochs.append(list(loads))
    assert numbers(epochs[0]) != numbers(epochs[1])
    assert same(epochs[0], epochs[2])
    assert numbers(epochs[0]) != numbers(list(loader(40, seed=1)))


def test_added_images_leave_the_order_of_the_old_ones() -> None:
    """New images do not change the relative order of the old ones."""
    data = dataset(40)
    half = Dataset(ids=data.ids[::2], labels=data.labels[::2], images=PixelSource.of(data.images.pixels[::2]))
    classes = [str(number) for number in range(40)]
    everything, old = (numbers(list(TrainLoader(images, classes, PARAMS, cold(images)))) for images in (data, half))
    assert [number for number in everything if number % 2 == 0] == old


@settings(max_examples=50)
@given(counts, sizes, st.integers(0, 3), st.data())
def test_jump_gives_the_rest_of_the_epoch(count: int, batch_size: int, epoch: int, data: st.DataObject) -> None:
    """After resuming anywhere, the rest of an epoch is the same."""
    whole, first, second = (loader(count, batch_size) for _ in range(3))
    for loads in (whole, first, second):
        loads.set_epoch(epoch)
    expected = list(whole)
    done = data.draw(st.integers(0, len(expected) - 1))
    batches = iter(first)
    before = list(islice(batches, done))
    state = first.state_dict()
    assert state == {"position": done}
    second.load_state_dict(state)
    assert same([*before, *second], expected)
    assert same([*before, *batches], expected)  # Reading ahead has changed nothing.
    for loads in (first, second):
        loads.set_epoch(epoch + 1)
        assert sorted(numbers(list(loads))) == list(range(count))
        assert loads.state_dict() == {"position": 0}


def test_end_of_an_epoch_is_the_start_of_the_next() -> None:
    """After the last batch the position is that of the next epoch."""
    loads = loader(20)
    batches = iter(loads)
    positions = [loads.state_dict()["position"] for _ in islice(batches, 5)]
    assert positions == [1, 2, 3, 4, 0]
    assert list(batches) == []
    assert len(list(loads)) == 5


def test_next_epoch_begins_at_its_start() -> None:
    """Only the resumed epoch is short."""
    loads = loader(20)
    loads.load_state_dict({"position": 3})
    assert [len(list(loads)) for _ in range(3)] == [2, 5, 5]


def test_epoch_that_was_broken_off_is_begun_again() -> None:
    """An epoch that was left and is started again without a state is complete."""
    loads = loader(20)
    expected = list(loads)
    assert len(list(islice(loads, 2))) == 2
    assert same(list(loads), expected)


def test_evaluation_changes_nothing() -> None:
    """For evaluation images come in the order of their ids, unchanged."""
    data = dataset(10, channels=3)
    loads = EvalLoader(data, list(data.labels), batch_size=4)
    for _ in range(2):
        batches = list(loads)
        assert [len(batch.targets) for batch in batches] == [4, 4, 2]
        assert len(loads) == 3
        assert numbers(batches) == list(range(10))
        assert np.array_equal(torch.cat([batch.images for batch in batches]).numpy(), data.images.pixels)


def test_evaluation_of_nothing() -> None:
    """Without images there are no batches."""
    loads = EvalLoader(dataset(0), [], batch_size=4)
    assert (len(loads), list(loads)) == (0, [])


def test_targets_are_positions_among_the_classes() -> None:
    """A target is the position among the classes in any order; an unknown class is an error."""
    labels = np.array(["dog", "cat", "dog"])
    assert targets_of(labels, ["dog", "emu", "cat"]).tolist() == [0, 2, 0]
    assert targets_of(labels[:0], []).shape == (0,)
    with pytest.raises(KeyError):
        targets_of(labels, ["dog"])


@given(st.integers(1, 40), st.integers(1, 50), sizes)
def test_sample_is_a_function_of_seed_and_ids(count: int, most: int, batch_size: int) -> None:
    """A sample depends only on seed and ids, and has no batch of one image, unless it is the only one."""
    data = dataset(count)
    batches = list(sample(data, count=most, batch_size=batch_size, seed=3))
    images = torch.cat(batches)
    assert len(images) == min(count, most)
    assert max(map(len, batches)) <= batch_size
    assert min(map(len, batches)) > 1 or len(images) == 1
    assert torch.equal(images, torch.cat(list(sample(data, count=most, batch_size=batch_size, seed=3))))
    more = torch.cat(list(sample(data, count=most + 5, batch_size=batch_size, seed=3)))
    assert torch.equal(images, more[: len(images)])
    known = {image.tobytes() for image in data.images.pixels}
    assert len({image.numpy().tobytes() for image in images} & known) == len(images)
