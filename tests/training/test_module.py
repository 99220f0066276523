"""Weights in the loss, and errors of a diverging training."""

import math
from typing import TYPE_CHECKING, Any

import pytest
import torch
from conftest import ROOT
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import TrainingError
from pipeline.models.network import Spec, build
from pipeline.params import read_params
from pipeline.training.feeding.batches import Batch, Other

if TYPE_CHECKING:
    from pipeline.training.module import Classifier

# Importing Lightning takes seconds: tests import it when they run, and share a worker process.
pytestmark = [
    pytest.mark.xdist_group("lightning"),
    pytest.mark.filterwarnings(r"ignore:::lightning\..*"),
]


def class_weights(images: list[int], balance: float) -> list[float]:
    """Return the class weights as a list."""
    from pipeline.training.feeding.batches import class_weights

    weights: list[float] = class_weights(torch.tensor(images), balance).tolist()
    return weights


def test_weights_worked_by_hand() -> None:
    """Nine images against one, and a class without images, whose weight is zero."""
    assert class_weights([9, 1, 0], 0.0) == [1, 1, 0]
    # 1/9 and 1, times 10 / (9 · 1/9 + 1 · 1) = 5.
    assert class_weights([9, 1, 0], 1.0) == pytest.approx([5 / 9, 5, 0])
    # 1/3 and 1, times 10 / (9 · 1/3 + 1 · 1) = 2.5.
    assert class_weights([9, 1, 0], 0.5) == pytest.approx([2.5 / 3, 2.5, 0])


@given(st.lists(st.integers(0, 10_000), min_size=1, max_size=20).filter(any), st.floats(0, 1))
def test_images_weigh_one_on_average(images: list[int], balance: float) -> None:
    """The mean weight of images is 1, so that loss and learning rate mean the same for any balance."""
    weights = class_weights(images, balance)
    assert sum(n * weight for n, weight in zip(images, weights, strict=True)) == pytest.approx(sum(images), rel=1e-5)


def balanced() -> "Classifier":
    """Return a classifier for nine cats and a dog with equal total weights."""
    from pipeline.training.module import Classifier
    from pipeline.training.optimizers import Schedule

    params = read_params(ROOT / "params.yaml").train
    params = params.model_copy(update={"balance": 1.0, "label_smoothing": 0.0})
    spec = Spec(model="small", size=8, mode="grey", classes=("cat", "dog"))
    return Classifier(build(spec).eval(), spec, params, Schedule(1, 0.1, 0), torch.tensor([9, 1]))


def test_loss_weighs_rare_classes_more() -> None:
    """The loss of a batch is the mean weighted by class_weights."""
    classifier = balanced()
    network = classifier.network
    images = torch.arange(128, dtype=torch.uint8).reshape(2, 1, 8, 8)
    loss = classifier.training_step(Batch(images, torch.tensor([0, 1]), torch.ones(())), 0)
    cat, dog = -network(images).log_softmax(1).diagonal()
    torch.testing.assert_close(loss, (cat * 5 / 9 + dog * 5) / (5 / 9 + 5))


def test_mixed_images_count_as_what_is_in_them() -> None:
    """A mixed image counts for each class by its share and the class weight."""
    classifier = balanced()
    network = classifier.network
    images, targets = torch.arange(128, dtype=torch.uint8).reshape(2, 1, 8, 8), torch.tensor([0, 1])
    mixed = Other(targets=torch.tensor([1, 0]), own=torch.tensor([0.75, 1.0]))
    (cat, other), (_, dog) = -network(images).log_softmax(1)
    loss = classifier.training_step(Batch(images, targets, torch.ones(()), mixed), 0)
    torch.testing.assert_close(loss, (0.75 * 5 / 9 * cat + 0.25 * 5 * other + 5 * dog) / (0.75 * 5 / 9 + 0.25 * 5 + 5))
    plain = classifier.training_step(Batch(images, targets, torch.ones(())), 0)
    pure = mixed._replace(own=torch.ones(2))
    torch.testing.assert_close(classifier.training_step(Batch(images, targets, torch.ones(()), pure), 0), plain)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_weights_that_are_not_finite(bad: float) -> None:
    """Weights that are not finite never become a model."""
    from pipeline.training.module import Classifier
    from pipeline.training.optimizers import Schedule

    params: Any = read_params(ROOT / "params.yaml").train
    spec = Spec(model="small", size=8, mode="grey", classes=("cat", "dog"))
    classifier = Classifier(build(spec), spec, params, Schedule(1, 0.1, 0), torch.tensor([9, 1]))
    classifier.check()
    with torch.no_grad():
        next(classifier.parameters()).view(-1)[3] = bad
    with pytest.raises(TrainingError, match=r"not finite.*lower train\.lr"):
        classifier.check()


def test_schedules_worked_by_hand() -> None:
    """AdamW's rate rises, then falls to zero; a warm start has its own peak, and can be constant."""
    from pipeline.training.optimizers import schedule_of

    params = read_params(ROOT / "params.yaml").train
    params = params.model_copy(update={"lr": 0.5, "warmup": 0.4, "warm_lr": 0.5, "warm_mean": True})
    params = params.model_copy(update={"optimizer": "adamw"})
    cold, warm = (schedule_of(params, 5, warm=warm) for warm in (False, True))
    assert (cold.peak, warm.peak) == (0.5, 0.25)
    falling, staying = [1 / 2, 1, 1, 2 / 3, 1 / 3, 0], [1 / 2, 1, 1, 1, 1, 1]
    assert [cold.share_of_peak(step) for step in range(6)] == pytest.approx(falling)
    assert [warm.share_of_peak(step) for step in range(6)] == pytest.approx(staying)
    warm = schedule_of(params.model_copy(update={"warm_mean": False}), 5, warm=True)
    assert [warm.share_of_peak(step) for step in range(6)] == pytest.approx(falling)


def test_without_a_schedule_the_rate_rises_once() -> None:
    """Without a schedule the rate rises once, at a cold start, and never falls."""
    from pipeline.training.optimizers import schedule_of

    params = read_params(ROOT / "params.yaml").train
    params = params.model_copy(update={"optimizer": "schedule_free", "lr": 0.5, "warmup": 0.4})
    cold, warm = (schedule_of(params, 5, warm=warm) for warm in (False, True))
    assert (cold.peak, warm.peak) == (0.5, 0.5)
    rising = [1 / 2, 1, 1, 1, 1, 1]
    assert [cold.share_of_peak(step) for step in range(6)] == pytest.approx(rising)
    assert [warm.share_of_peak(step) for step in range(6)] == [1.0] * 6


@given(st.integers(1, 50), st.floats(0, 0.999), st.booleans(), st.sampled_from(["schedule_free", "adamw"]))
def test_schedules_reach_their_peak(steps: int, warmup: float, warm: bool, optimizer: str) -> None:  # noqa: FBT001
    """Schedules of any length reach their peak, and are defined beyond the last step."""
    from pipeline.training.optimizers import schedule_of

    params = read_params(ROOT / "params.yaml").train
    schedule = schedule_of(params.model_copy(update={"warmup": warmup, "optimizer": optimizer}), steps, warm=warm)
    shares = [schedule.share_of_peak(step) for step in range(steps + 1)]
    assert max(shares[:-1]) == pytest.approx(1)
    assert min(shares[:-1]) > 0
    assert shares[-1] == (warm or optimizer == "schedule_free")


def test_curves_show_the_rate_that_the_optimizer_takes() -> None:
    """The recorded rate is that of the optimizer at every step."""
    from pipeline.training.module import Classifier
    from pipeline.training.optimizers import Schedule

    params = read_params(ROOT / "params.yaml").train.model_copy(update={"optimizer": "schedule_free"})
    spec = Spec(model="small", size=8, mode="grey", classes=("cat", "dog"))
    schedule = Schedule(6, 0.5, 4, stays=True)
    classifier = Classifier(build(spec), spec, params, schedule, torch.ones(2))
    optimizer = classifier.configure_optimizers()["optimizer"]
    for step in range(6):
        for weight in classifier.parameters():
            weight.grad = torch.zeros_like(weight)
        optimizer.step()
        assert optimizer.param_groups[0]["scheduled_lr"] == pytest.approx(0.5 * schedule.share_of_peak(step))


def test_loss_is_multiplied_by_weights() -> None:
    """The loss of each image is multiplied by its weight, independent of its batch; weights of 1 change nothing."""
    from pipeline.training.module import Classifier
    from pipeline.training.optimizers import Schedule

    params = read_params(ROOT / "params.yaml").train.model_copy(update={"balance": 1.0, "label_smoothing": 0.1})
    spec = Spec(model="small", size=8, mode="grey", classes=("cat", "dog"))
    network = build(spec).eval()
    classifier = Classifier(network, spec, params, Schedule(1, 0.1, 0), torch.tensor([9.0, 0.5]))
    images, targets = torch.arange(128, dtype=torch.uint8).reshape(2, 1, 8, 8), torch.tensor([0, 1])

    def loss(weights: list[float] | None) -> torch.Tensor:
        given = None if weights is None else torch.tensor(weights)
        return classifier.training_step(Batch(images, targets, torch.ones(()), weights=given), 0)

    torch.testing.assert_close(loss([1, 1]), loss(None))
    torch.testing.assert_close(loss([2, 0.5]), 2 * loss([1, 0]) + 0.5 * loss([0, 1]))


def test_classes_weigh_what_their_images_do() -> None:
    """With `balance: 1` an image of weight 2 counts as two images."""
    from pipeline.training.feeding.batches import class_weights

    assert class_weights(torch.tensor([0.5, 1.5]), 1.0).tolist() == pytest.approx([2, 2 / 3])
