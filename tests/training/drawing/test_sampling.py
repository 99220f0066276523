"""Which images a training draws: over generations each has its turn, whatever is added or removed."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.training.drawing.budget import Length
from pipeline.training.drawing.randomness import UInt64s, epoch_order
from pipeline.training.drawing.sampling import ARRIVAL, Cursor, Draws, Rounds

KEYS = np.random.default_rng(0).integers(0, 2**63, 400).astype(np.uint64)
FIRST = Cursor(0, 0)


def draws(keys: UInt64s, count: int, start: Cursor = FIRST, arrived: int = 0) -> Draws:
    """Return `count` draws of `keys`, of which the first `arrived` are new."""
    return Draws(keys=keys, arrived=np.arange(arrived), count=count, start=start, seed=1)


cursors = st.builds(Cursor, st.integers(0, 50), st.integers(0, 2**64 - 1))


@given(st.integers(1, 40), st.integers(1, 5))
def test_cold_start_is_pass_after_pass(images: int, passes: int) -> None:
    """Without new images each pass draws all images, in its own order."""
    here = draws(KEYS[:images], images * passes)
    positions, turns = here.between(0, here.count)
    expected = [epoch_order(KEYS[:images], seed=1, epoch=turn) for turn in range(passes)]
    assert positions.tolist() == np.concatenate(expected).tolist()
    assert turns.tolist() == np.repeat(np.arange(passes), images).tolist()
    assert here.end == (passes, 0)


@given(st.integers(1, 40), st.integers(0, 200), cursors, st.data())
def test_any_part_is_what_it_would_have_been(images: int, more: int, start: Cursor, data: st.DataObject) -> None:
    """A draw depends only on its number, so that training can resume at any draw."""
    here = draws(KEYS[:images], images + more, start, data.draw(st.integers(0, images)))
    whole = here.between(0, here.count)
    first = data.draw(st.integers(0, here.count - 1))
    last = data.draw(st.integers(first, here.count))
    part = here.between(first, last)
    assert part.positions.tolist() == whole.positions[first:last].tolist()
    assert part.turns.tolist() == whole.turns[first:last].tolist()


@given(st.integers(1, 40), st.integers(0, 200), cursors, st.data())
def test_new_images_are_drawn_once_as_new(images: int, more: int, start: Cursor, data: st.DataObject) -> None:
    """Each new image is drawn once as new, at regular distances; the other draws are for all images."""
    arrived = data.draw(st.integers(0, images))
    here = draws(KEYS[:images], images + more, start, arrived)
    positions, turns = here.between(0, here.count)
    places = np.flatnonzero(turns == ARRIVAL)
    assert sorted(positions[places]) == list(range(arrived))
    distances = {int(last - first) for first, last in pairwise(places)}
    assert not distances or max(distances) - min(distances) <= 1


@given(st.integers(1, 40), st.integers(1, 100), st.integers(1, 100), cursors)
def test_going_on_is_as_if_it_had_never_stopped(images: int, count: int, more: int, start: Cursor) -> None:
    """Two trainings on the same images draw what a single one of both lengths draws."""
    keys = KEYS[:images]
    once, first = draws(keys, count + more, start), draws(keys, count, start)
    second = draws(keys, more, first.end)
    parts = np.concatenate([one.between(0, one.count).positions for one in (first, second)])
    assert parts.tolist() == once.between(0, once.count).positions.tolist()
    assert second.end == once.end


@settings(max_examples=200)
@given(st.lists(st.tuples(st.sets(st.integers(0, 60), min_size=1), st.integers(1, 60)), min_size=2, max_size=12))
def test_no_image_starves(generations: list[tuple[set[int], int]]) -> None:
    """Whatever is added or removed, an image waits at most for the rest of a turn and the next one."""
    had: dict[int, int] = {}
    start = FIRST
    for images, count in generations:
        here = np.array(sorted(images))
        arrived = np.array([position for position, image in enumerate(here) if image not in had], np.intp)
        training = Draws(keys=KEYS[here], arrived=arrived, count=max(count, len(arrived)), start=start, seed=1)
        had = {image: had.get(image, start.turn) for image in images}
        now = start.turn
        for position, turn in zip(*training.between(0, training.count), strict=True):
            now = now if turn == ARRIVAL else int(turn)
            had[int(here[position])] = now
            assert min(had.values()) >= now - 1
        start = training.end


@given(st.integers(2, 40), st.integers(1, 100), st.integers(0, 10))
def test_images_that_come_disturb_no_other(images: int, count: int, more: int) -> None:
    """New images do not change the order of the old ones."""
    start = draws(KEYS[:images], count).end
    alone = draws(KEYS[:images], 3 * images, start).between(0, 3 * images).positions.tolist()
    together = draws(KEYS[: images + more], 3 * (images + more), start).between(0, 3 * images).positions
    old = [position for position in together.tolist() if position < images]
    assert old == alone[: len(old)]


@pytest.mark.parametrize("before", [0, 7])
def test_rounds_are_all_draws(before: int) -> None:
    """Rounds of batches contain all draws in order, counted from the base's draws."""
    length = Length(draws=83, rounds=4, steps_per_round=3)
    here = draws(KEYS[:20], 83, Cursor(2, 2**62), arrived=5)
    rounds = Rounds(draws=here, length=length, before=before)
    batches = [batch for number in range(before, before + 4) for batch in rounds.batches(number)]
    assert len(batches) == length.steps
    assert {len(batch.positions) for batch in batches} == {6, 7}
    positions = np.concatenate([batch.positions for batch in batches])
    assert positions.tolist() == here.between(0, 83).positions.tolist()
