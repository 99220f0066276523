"""Forgetting and transfer, computed by hand and from records of ancestors."""

from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.evaluation.transfer import backward_transfer, forgetting, forward_transfer, over_generations
from pipeline.lineage.recorded_metrics import Metrics, table_of

rows = st.dictionaries(st.integers(1, 6), st.floats(0, 1), min_size=1)


def metrics(*slices: tuple[float, float | None], classes: int = 4) -> Metrics:
    """Return a metrics.json with (accuracy, base_accuracy) of the slices 1, 2, …, and a number of classes."""
    known = enumerate(slices, start=1)
    generation = {str(j): {"accuracy": now, "support": 1, "base_accuracy": was} for j, (now, was) in known}
    known_classes: dict[str, Any] = {f"class {number}": {} for number in range(classes)}
    return cast("Metrics", {"slices": {"generation": generation}, "classes": known_classes})


# Three generations; the figures are those of their models, followed by those of their bases.
FIRST = metrics((0.8, None), classes=2)
SECOND = metrics((0.9, 0.8), (0.7, 0.6), classes=4)
THIRD = metrics((0.6, 0.9), (0.8, 0.7), (0.9, 0.5), classes=5)


def test_forgetting_by_hand() -> None:
    """Forgetting is relative to each slice's best model: 0.9 and 0.7 of the second are now 0.6 and 0.8."""
    assert forgetting({1: 0.6, 2: 0.8}, [{1: 0.9, 2: 0.7}, {1: 0.8}]) == pytest.approx((0.3 - 0.1) / 2)
    assert forgetting({1: 0.6}, [{1: 0.5}, {1: 0.9}]) == pytest.approx(0.3)
    assert forgetting({}, [{1: 1.0}]) is None


def test_backward_transfer_by_hand() -> None:
    """Backward transfer is relative to the model that learned the slice; unknown if any slice's is unknown."""
    assert backward_transfer({1: 0.6, 2: 0.8}, {1: 0.8, 2: 0.7}) == pytest.approx((-0.2 + 0.1) / 2)
    assert backward_transfer({1: 0.6, 2: 0.8}, {2: 0.7}) is None
    assert backward_transfer({}, {1: 0.8}) is None


def test_forward_transfer_by_hand() -> None:
    """Forward transfer is relative to chance, before the slice was learned; unknown if either is unknown."""
    before, chance = {2: 0.6, 3: 0.5}, {1: 0.5, 2: 0.25, 3: 0.2}
    assert forward_transfer(before, chance, [2, 3]) == pytest.approx((0.35 + 0.3) / 2)
    assert forward_transfer(before, chance, [2, 3, 4]) is None
    assert forward_transfer(before, chance, []) is None


def test_over_three_generations() -> None:
    """The rows come from records, and the base's own row from the current evaluation."""
    assert dict(over_generations(THIRD, 3, {1: FIRST, 2: SECOND})) == {
        "forgetting": pytest.approx(((0.9 - 0.6) + (0.7 - 0.8)) / 2),
        "backward_transfer": pytest.approx(((0.6 - 0.8) + (0.8 - 0.7)) / 2),
        "forward_transfer": pytest.approx(((0.6 - 1 / 4) + (0.5 - 1 / 5)) / 2),
    }


def test_best_of_the_chain_may_be_older_than_the_base() -> None:
    """Forgetting includes what the base had forgotten."""
    now, recorded = metrics((0.5, 0.6), (0.5, 0.5), (0.5, 0.5)), {1: metrics((0.9, None)), 2: SECOND}
    assert over_generations(now, 3, recorded)["forgetting"] == pytest.approx((0.9 - 0.5) / 2)


@pytest.mark.parametrize("generation", [2, 3])
def test_record_of_the_base_does_not_count(generation: int) -> None:
    """If test images were relabelled, a model that answers like its base has forgotten nothing."""
    same = metrics(*[(0.5, 0.5)] * generation)
    assert over_generations(same, generation, {generation - 1: metrics((0.9, 0.9), (0.9, 0.9))})["forgetting"] == 0


def test_what_is_unknown_is_none() -> None:
    """Without records there is no transfer over three generations; forgetting is relative to the base only."""
    assert over_generations(THIRD, 3, {}) == {
        "forgetting": pytest.approx(((0.9 - 0.6) + (0.7 - 0.8)) / 2),
        "backward_transfer": None,
        "forward_transfer": None,
    }
    assert over_generations(THIRD, 3, {2: SECOND})["backward_transfer"] is None
    assert over_generations(THIRD, 3, {1: FIRST})["forward_transfer"] is None


def test_second_generation_needs_no_record() -> None:
    """In the second generation the base is the only ancestor, and is evaluated now."""
    expected = {"forgetting": -0.1, "backward_transfer": 0.1, "forward_transfer": 0.6 - 1 / 4}
    assert over_generations(SECOND, 2, {}) == pytest.approx(expected)
    assert over_generations(SECOND, 2, {1: FIRST}) == pytest.approx(expected)


def test_slices_without_images_do_not_count() -> None:
    """A generation without test images is skipped."""
    third = metrics((0.6, 0.9), (0, 0), (0.9, 0.5), classes=5)
    del table_of(third, "generation")["2"]
    assert dict(over_generations(third, 3, {1: FIRST, 2: SECOND})) == {
        "forgetting": pytest.approx(0.3),
        "backward_transfer": pytest.approx(-0.2),
        "forward_transfer": pytest.approx(0.5 - 1 / 5),
    }
    assert set(over_generations(metrics(), 3, {}).values()) == {None}


@given(rows, st.lists(rows, max_size=3))
def test_bounds_and_order(now: dict[int, float], more: list[dict[int, float]]) -> None:
    """Forgetting is a difference of accuracies; more models never reduce it, and their order does not matter."""
    base = {old: 1 - accuracy for old, accuracy in now.items()}
    lost = forgetting(now, [base, *more])
    against_base = forgetting(now, [base])
    assert lost is not None
    assert against_base is not None
    assert -1 <= against_base <= lost + 1e-12 <= 1 + 1e-9
    assert forgetting(now, [*more[::-1], base]) == lost
    assert backward_transfer(now, base) == pytest.approx(-against_base)
