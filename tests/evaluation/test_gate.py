"""The gate: which models are accepted, by both models' answers for the same images."""

import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.evaluation.gate import Verdict, fallen_classes, judge
from pipeline.evaluation.measurements import side_by_side
from pipeline.evaluation.paired_tests import Counts, drop_p_value
from pipeline.params import Gate

GATE = Gate(drop=0.01, class_drop=0.1, flips=0.05, confidence=0.95)
NO_BASE = "nothing to compare with: it has no base"


def gate(**only: float) -> Gate:
    """Return a gate with `only` these checks."""
    return Gate.model_validate({"drop": None, "class_drop": None, "flips": None, "confidence": 0.95, **only})


def answers(predicted: list[str], classes: list[str]) -> pd.DataFrame:
    """Return probabilities of a model with `classes` that answers `predicted`."""
    table = pd.DataFrame(0.1, index=[f"row {number}" for number in range(len(predicted))], columns=classes)
    for number, name in enumerate(predicted):
        table.iloc[number, classes.index(name)] = 0.9
    return table


def answered(labels: list[str], model: pd.DataFrame, base: pd.DataFrame | None = None) -> pd.DataFrame:
    """Return the content of predictions.csv."""
    return side_by_side(pd.DataFrame({"id": labels, "label": labels}, dtype=str), model, base)


def verdict(
    labels: list[str], predicted: list[str], base: list[str], judged: Gate = GATE, *, classes: list[str] | None = None
) -> Verdict:
    """Return the verdict on a model that answers `predicted`, against a base that answers `base`."""
    known = classes or sorted({*labels, *predicted, *base})
    return judge(answered(labels, answers(predicted, known), answers(base, sorted({*base, "x"}))), judged)


def flipped(count: int, images: int = 100) -> tuple[list[str], list[str], list[str]]:
    """Return labels, and answers of a model with `count` mistakes, and of a base without any."""
    labels = ["cat", "dog"] * (images // 2)
    wrong = ["dog" if name == "cat" and number < 2 * count else name for number, name in enumerate(labels)]
    return labels, wrong, labels


def test_accuracy() -> None:
    """14 of 100 images less is a significant drop beyond 1 %; 2 less may be noise, and the verdict says so."""
    said = verdict(*flipped(14), gate(drop=0.01))
    assert said == Verdict(accepted=False, verdict="accuracy fell from 100.0 % to 86.0 %")
    noise = verdict(*flipped(2), gate(drop=0.01))
    assert noise.accepted
    assert noise.verdict.startswith("no loss beyond what is tolerated is shown; 100 images can show")


def test_recall_of_a_class() -> None:
    """Only the class that fell is named."""
    said = verdict(*flipped(20), gate(class_drop=0.1))
    assert said == Verdict(accepted=False, verdict="recall of 'cat' fell from 100.0 % to 60.0 %")


def test_negative_flips() -> None:
    """Images that went from right to wrong count, however many went the other way."""
    labels = ["cat", "dog"] * 50
    other = ["dog" if number < 20 else name for number, name in enumerate(labels)]
    another = ["dog" if number >= 80 else name for number, name in enumerate(labels)]
    assert verdict(labels, other, another, gate(drop=0.01, class_drop=0.1)).accepted
    said = verdict(labels, other, another, gate(flips=0.01))
    assert said == Verdict(accepted=False, verdict="10.0 % of the test images went from right to wrong")


def test_all_reasons_are_told() -> None:
    """All reasons are in one sentence."""
    said = verdict(*flipped(50))
    assert said.verdict == (
        "accuracy fell from 100.0 % to 50.0 %, 50.0 % of the test images went from right to wrong, "
        "recall of 'cat' fell from 100.0 % to 0.0 %"
    )


def test_three_classes_are_named() -> None:
    """The three classes that fell most are named; the others are counted."""
    names = [f"class {number}" for number in range(5)]
    labels = [name for name in names for _ in range(100)]
    predicted = ["none" if number % 100 < 40 + 10 * (number // 100) else name for number, name in enumerate(labels)]
    said = verdict(labels, predicted, labels, gate(class_drop=0.1)).verdict
    assert re.findall(r"'class (\d)' fell from 100.0 % to (\d+)", said) == [("4", "20"), ("3", "30"), ("2", "40")]
    assert said.endswith(", and that of 2 more classes")


def test_odd_class_names_are_shown_safely() -> None:
    """Unprintable characters in class names are written as their codes."""
    labels = ["a\x1b[31m\n", "猫"] * 30
    said = verdict(labels, ["猫"] * 60, labels).verdict
    assert r"'a\x1b[31m\n'" in said
    assert said.isprintable()


def test_without_a_base_or_images() -> None:
    """Without a base or images there is nothing to compare, and the model is accepted."""
    alone = answered(["a"], answers(["b"], ["a", "b"]))
    assert judge(alone, GATE) == Verdict(accepted=True, verdict=NO_BASE)
    assert verdict([], [], [], classes=["a", "b"]).verdict == "nothing to compare by: there are no test images"
    assert verdict([], [], [], classes=["a", "b"]).accepted


def test_few_images_refuse_nothing_and_it_says_so() -> None:
    """A loss of all four images is not significant; one of five is, but not of a single class."""
    names = ["cat", "dog", "cat", "dog", "emu"]
    said = verdict(names[:4], ["x"] * 4, names[:4], gate(drop=0.01, class_drop=0.1))
    assert said.accepted
    assert said.verdict == (
        "no loss beyond what is tolerated is shown; 4 images can show no drop; 2 of 2 classes have too few to show any"
    )
    assert not verdict(names, ["x"] * 5, names, gate(drop=0.01)).accepted


@given(st.lists(st.integers(1, 40), min_size=1, max_size=20), st.sampled_from([0.0, 0.1, 0.5]))
@settings(max_examples=20)
def test_classes_too_small_to_show_anything(sizes: list[int], tolerated: float) -> None:
    """Classes too small to show a drop are counted, without a test for each, since more images show more."""
    labels = [f"class {number}" for number, size in enumerate(sizes) for _ in range(size)]
    said = verdict(labels, labels, labels, gate(class_drop=tolerated)).verdict
    alpha = 0.05 / len(sizes)
    small = sum(drop_p_value(Counts(size, size, size, 0), tolerated) >= alpha for size in sizes)
    assert re.findall(r"(\d+) of \d+ classes have too few", said) == ([str(small)] if small else [])


@pytest.mark.parametrize("lost", [0, 1, 2, 3, 4, 5, 6, 7, 8])
def test_what_it_says_can_be_shown_is_refused(lost: int) -> None:
    """The stated smallest detectable drop of 100 images is refused, and no smaller one is."""
    said = verdict(*flipped(0), gate(drop=0.01)).verdict
    (points,) = re.findall(r"100 images can show drops of (\d+\.\d) points or more", said)
    assert verdict(*flipped(lost), gate(drop=0.01)).accepted == (lost < float(points))


def test_classes_that_only_one_of_them_knows() -> None:
    """A new class cannot fall; one that the model no longer knows falls to zero."""
    labels = ["old"] * 40 + ["new"] * 40
    learned, before = labels, ["old"] * 80
    assert verdict(labels, learned, before).accepted
    assert not verdict(labels, before, learned, gate(class_drop=0.1), classes=["old"]).accepted


def test_class_without_test_images_is_not_judged() -> None:
    """A class that is no longer in the test images is not judged."""
    assert verdict(["cat"] * 40, ["cat"] * 40, ["cat"] * 40, classes=["cat", "gone"]).accepted


def test_nothing_is_checked_where_all_is_tolerated() -> None:
    """Null tolerates any loss, so nothing is checked."""
    assert verdict(*flipped(50), gate()) == Verdict(accepted=True, verdict="no loss beyond what is tolerated is shown")


def test_holm() -> None:
    """Holm's method by hand: of three classes the smallest p-value is compared with 5 % / 3, the next with 5 % / 2."""
    counts = {"sure": Counts(60, 60, 25, 0), "less": Counts(60, 60, 12, 0), "not": Counts(60, 60, 8, 0)}
    p_values = {name: drop_p_value(count, 0.1) for name, count in counts.items()}
    assert p_values["sure"] < 0.05 / 3 < p_values["less"] < 0.05 / 2 < 0.05 < p_values["not"]
    assert fallen_classes(counts, 0.1, 0.05) == ["sure", "less"]
    # Among many classes that did not fall, the same drop is less significant.
    others = {f"other {number}": Counts(60, 60, 0, 0) for number in range(10)}
    assert fallen_classes({**counts, **others}, 0.1, 0.05) == ["sure"]


@given(st.lists(st.sampled_from("abc"), min_size=1, max_size=60), st.integers(0, 2**32 - 1))
@settings(max_examples=30)
def test_equal_models_are_accepted(labels: list[str], seed: int) -> None:
    """A model is never worse than itself, even without any tolerance."""
    predicted = list(np.random.default_rng(seed).choice(list("abc"), len(labels)))
    strict = Gate(drop=0.0, class_drop=0.0, flips=0.0, confidence=0.5)
    assert verdict(labels, predicted, predicted, strict).accepted


@given(st.lists(st.tuples(*[st.sampled_from("abc")] * 3), min_size=1, max_size=40))
@settings(max_examples=30)
def test_of_two_models_one_is_accepted(answered: list[tuple[str, str, str]]) -> None:
    """The verdict depends neither on the order of images nor of classes, and accuracy cannot fall both ways."""
    labels, one, other = map(list, zip(*answered, strict=True))
    first, second = verdict(labels, one, other, gate(drop=0.0)), verdict(labels, other, one, gate(drop=0.0))
    assert first.accepted or second.accepted
    assert verdict(labels[::-1], one[::-1], other[::-1]) == verdict(labels, one, other)
    assert verdict(labels, one, other, classes=["x", "c", "b", "a"]) == verdict(labels, one, other)


def test_more_evidence_of_the_same_drop_is_refused() -> None:
    """A drop of 4 points may be chance in 100 images, and not in 3,000."""
    labels, predicted, base = flipped(4)
    accepted = [verdict(labels * times, predicted * times, base * times).accepted for times in (1, 30)]
    assert accepted == [True, False]


def test_many_images_and_classes() -> None:
    """With 200 classes and 100,000 images the one class that fell is found."""
    random = np.random.default_rng(0)
    labels = random.integers(0, 200, 100_000).astype(str)
    noise = [np.where(random.random(len(labels)) < 0.02, "0", labels) for _ in range(2)]
    worse = np.where((labels == "7") & (random.random(len(labels)) < 0.3), "8", noise[0])
    # Filling probabilities of 200 classes would be slow.
    better, before = (
        pd.DataFrame({"label": labels, "predicted": one, "base_predicted": noise[1]}) for one in (noise[0], worse)
    )
    said = judge(before, GATE)
    assert re.fullmatch(r"recall of '7' fell from 9\d\.\d % to \d\d\.\d %", said.verdict)
    assert judge(better, GATE).accepted
