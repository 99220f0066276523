"""The length of a training depends on the number of new images, within limits."""

from itertools import pairwise
from typing import Any

from conftest import ROOT
from hypothesis import given
from hypothesis import strategies as st

from pipeline.params import read_params
from pipeline.train_params import Train
from pipeline.training.drawing.budget import Length, length_of

PARAMS = read_params(ROOT / "params.yaml").train


def params(**changes: Any) -> Train:
    """Return this project's params with `changes`."""
    here: Train = PARAMS.model_copy(update={"optimizer": "schedule_free", **changes})
    return here


anything = st.builds(
    params,
    optimizer=st.sampled_from(["schedule_free", "adamw"]),
    epochs=st.integers(1, 30),
    passes=st.floats(1, 50),
    min_steps=st.integers(1, 50),
    warm_epochs=st.integers(1, 5),
    batch_size=st.integers(4, 100),
)


def warm(images: int, changed: int, **changes: Any) -> Length:
    """Return the length of a warm start."""
    return length_of(params(**changes), images=images, changed=changed, warm=True)


def test_worked_by_hand() -> None:
    """Whole batches for the new images, between the minimum and `epochs`; `epochs` at a cold start."""
    bounds = {"epochs": 12, "passes": 11.0, "min_steps": 10, "batch_size": 64}
    assert warm(10_000, 100, **bounds) == (1088, 1, 17)
    assert warm(10_000, 1, **bounds) == warm(10_000, 0, **bounds) == (640, 1, 10)
    assert warm(1000, 400, **bounds) == (4416, 4, 18)
    assert warm(1000, 1000, **bounds).draws == 11_008
    assert warm(1000, 5000, **bounds).draws == 12_000
    assert warm(10_000, 90, **bounds | {"passes": 1.0, "min_steps": 1}).draws == 128  # All new images.
    assert warm(20, 1, **bounds) == (240, 12, 1)
    assert length_of(params(**bounds), images=1000, changed=1000, warm=False) == (12_000, 12, 16)
    assert warm(1000, 5, **bounds, optimizer="adamw", warm_epochs=3) == (3000, 3, 16)


@given(anything, st.integers(1, 5000), st.integers(0, 5000), st.booleans())
def test_batches_are_of_nearly_equal_size(here: Train, images: int, changed: int, warm: bool) -> None:  # noqa: FBT001
    """No batch is larger than requested, or of one image; together they have all draws."""
    length = length_of(here, images=images, changed=changed, warm=warm)
    bounds = [length.draws_before(step) for step in range(length.steps + 1)]
    sizes = {last - first for first, last in pairwise(bounds)}
    assert (bounds[0], bounds[-1]) == (0, length.draws)
    assert max(sizes) <= here.batch_size
    assert max(sizes) - min(sizes) <= 1
    assert min(sizes) > 1 or images == 1


@given(st.integers(1, 50), st.integers(10, 30), st.floats(2, 12))
def test_many_small_generations_cost_what_a_large_one_does(new: int, count: int, passes: float) -> None:
    """Many small generations cost as much as a large one, up to half a batch each, and at least a batch."""
    bounds = {"passes": passes, "epochs": 12, "min_steps": 1, "batch_size": 64}
    steps = sum(warm(10_000 + new * done, new, **bounds).steps for done in range(count))
    assert abs(steps - max(passes * new / 64, 1) * count) <= count / 2
    assert steps >= count


@given(anything, st.integers(1, 5000), st.integers(0, 5000), st.booleans())
def test_rounds_are_one_pass_or_nearly_two(here: Train, images: int, changed: int, warm: bool) -> None:  # noqa: FBT001
    """A round has between one and two passes, or all draws if there are fewer."""
    length = length_of(here, images=images, changed=changed, warm=warm)
    assert length.rounds == 1 or images <= length.draws / length.rounds < 2 * images
    assert length.draws <= max(here.epochs, here.warm_epochs) * images


@given(anything, st.integers(1, 5000), st.integers(0, 5000), st.integers(0, 5000))
def test_more_that_is_new_is_no_less_work(here: Train, images: int, changed: int, more: int) -> None:
    """More new images never mean less work, nor more than a training from scratch, without a schedule."""
    less, longer = (length_of(here, images=images, changed=n, warm=True).draws for n in (changed, changed + more))
    assert less <= longer
    if here.optimizer == "schedule_free":
        assert longer <= length_of(here, images=images, changed=images, warm=False).draws
