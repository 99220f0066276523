"""A warm start keeps weights, moments and counters, and restarts schedule and budget."""

from __future__ import annotations

import copy
import math
import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from conftest import ROOT

from pipeline.augment_params import Augment
from pipeline.images.dataset import Dataset
from pipeline.images.pixel_source import PixelSource
from pipeline.lineage.class_changes import ClassChanges
from pipeline.models.checkpoint import CHECKPOINT, Checkpoint, read_checkpoint
from pipeline.models.network import Spec, build
from pipeline.params import read_params
from pipeline.train_params import Train
from pipeline.training.drawing.budget import Length
from pipeline.training.drawing.randomness import keys_of
from pipeline.training.drawing.sampling import Cursor, Draws, Rounds

if TYPE_CHECKING:
    from pipeline.training.module import Classifier


# Importing Lightning takes seconds: tests import it when they run, and share a worker process.
pytestmark = [
    pytest.mark.xdist_group("lightning"),
    pytest.mark.filterwarnings(r"ignore:::lightning\..*"),
]

PARAMS = read_params(ROOT / "params.yaml").train.model_copy(
    update={"optimizer": "adamw", "batch_size": 8, "size": 8, "augment": Augment(shift=0, flip=False)}
)
OLD, GROWN = ("cat", "dog"), ("cat", "dog", "emu")
EPOCHS, WARM_EPOCHS = 2, 3
HEAD = {"network.body.8.weight", "network.body.8.bias"}


def images(count: int, classes: tuple[str, ...] = OLD) -> Dataset:
    """Return `count` images of noise; the first ones are always the same."""
    random = np.random.default_rng(0)
    pixels = np.stack([random.integers(0, 256, (1, 8, 8), dtype=np.uint8) for _ in range(count)])
    ids = [f"{number:032x}" for number in range(count)]
    labels = [classes[number % len(classes)] for number in range(count)]
    return Dataset(ids=np.array(ids), labels=np.array(labels), images=PixelSource.of(pixels))


def classifier(
    classes: tuple[str, ...] = OLD, *, seed: int = 0, peak: float = 0.01, steps: int = 15, **params: Any
) -> Classifier:
    """Return an untrained classifier with random weights from `seed`."""
    from pipeline.training.module import Classifier
    from pipeline.training.optimizers import schedule_of

    spec = Spec(model="small", size=8, mode="grey", classes=classes)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = build(spec)
    here: Train = PARAMS.model_copy(update=params)
    schedule = schedule_of(here.model_copy(update={"lr": peak}), steps, warm=False)
    return Classifier(network, spec, here, schedule, torch.ones(len(classes)))


@dataclass
class Fitted:
    """A record of a training."""

    checkpoint: Checkpoint
    epochs: dict[int, list[bytes]] = field(default_factory=dict)
    """The images of each epoch, in order."""
    rates: list[float] = field(default_factory=list)
    """The learning rate of each step."""


def fit(model: Classifier, data: Dataset, folder: Path, *, epochs: int, start: Checkpoint | None = None) -> Fitted:
    """Train `model` up to `epochs` epochs in total, from `start`, as the stage does."""
    import lightning.pytorch as pl

    from pipeline.training.feeding.loader import TrainLoader

    fitted = Fitted({})

    class Watch(pl.Callback):
        def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
            del pl_module, batch_idx
            fitted.rates.append(trainer.optimizers[0].param_groups[0]["lr"])
            fitted.epochs.setdefault(trainer.current_epoch, []).extend(
                image.numpy().tobytes() for image in batch.images
            )

    if start is not None:
        torch.save(start, folder / "start.ckpt")
    trainer = pl.Trainer(
        accelerator="cpu",
        devices=1,
        max_epochs=epochs,
        default_root_dir=folder,
        logger=False,
        enable_checkpointing=False,
        enable_model_summary=False,
        enable_progress_bar=False,
        num_sanity_val_steps=0,
        callbacks=[Watch()],
    )
    before = start["epoch"] if start else 0
    count = (epochs - before) * len(data)
    length = Length(count, epochs - before, math.ceil(len(data) / model._params.batch_size))
    draws = Draws(keys=keys_of(data.ids), arrived=np.empty(0, np.intp), count=count, start=Cursor(before, 0), seed=0)
    rounds = Rounds(draws=draws, length=length, before=before)
    loader = TrainLoader(data, list(model.spec.classes), model._params, rounds)
    trainer.fit(model, loader, ckpt_path=folder / "start.ckpt" if start else None, weights_only=True)
    trainer.save_checkpoint(folder / CHECKPOINT)
    fitted.checkpoint = read_checkpoint(folder)
    return fitted


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    """Return the checkpoint of a finished generation."""
    steps = EPOCHS * 3
    model = classifier(steps=steps)
    return fit(model, images(24), tmp_path_factory.mktemp("base"), epochs=EPOCHS).checkpoint


def moments(checkpoint: Checkpoint) -> dict[str, dict[str, Any]]:
    """Return the optimizer's state by weight name."""
    state = checkpoint["optimizer_states"][0]
    return {
        name: state["state"][number]
        for group in state["param_groups"]
        for name, number in zip(group["param_names"], group["params"], strict=True)
        if state["state"].get(number)
    }


def warm(
    base: Checkpoint, model: Classifier, *changes: tuple[str, str], rows: dict[str, torch.Tensor] | None = None
) -> Checkpoint:
    """Return the result of `warm_start` for these changes of classes, and these rows of new ones."""
    from pipeline.training.warm_start import warm_start

    return warm_start(base, model, model._params, ClassChanges.of(changes), rows)


def test_weights_and_moments_carry_over(base: Checkpoint) -> None:
    """With the same classes weights, statistics, moments and counters equal the base's bit for bit."""
    start = warm(base, classifier(seed=1))
    assert start["state_dict"].keys() == base["state_dict"].keys()
    for name, value in base["state_dict"].items():
        assert torch.equal(start["state_dict"][name], value), name
    assert moments(start).keys() == moments(base).keys()
    for name, state in moments(base).items():
        for key, value in state.items():
            assert torch.equal(moments(start)[name][key], value), (name, key)


def test_base_was_trained(base: Checkpoint) -> None:
    """The base in these tests is trained, and its schedule has ended."""
    fresh = classifier().state_dict()
    assert not any(torch.equal(fresh[name], base["state_dict"][name]) for name in HEAD)
    assert all(state["exp_avg"].any() for state in moments(base).values())
    assert base["optimizer_states"][0]["param_groups"][0]["lr"] < 0.005
    assert not HEAD - set(base["state_dict"])


def test_new_classes_begin_afresh(base: Checkpoint) -> None:
    """Rows of new classes are the new network's, with the old rows' mean second moment; old rows do not change."""
    model = classifier(GROWN, seed=1)
    start, fresh = warm(base, model), model.state_dict()
    for name, value in start["state_dict"].items():
        assert value.shape == fresh[name].shape
        if name in HEAD:
            assert torch.equal(value[:2], base["state_dict"][name]), name
            assert torch.equal(value[2:], fresh[name][2:]), name
        else:
            assert torch.equal(value, base["state_dict"][name]), name
    for name, state in moments(start).items():
        before = moments(base)[name]
        assert torch.equal(state["step"], before["step"])
        for key in ("exp_avg", "exp_avg_sq"):
            rows = 2 if name in HEAD else len(state[key])
            assert torch.equal(state[key][:rows], before[key]), (name, key)
            expected = before[key].mean(0) if key == "exp_avg_sq" else torch.zeros_like(before[key][0])
            assert all(torch.equal(row, expected) for row in state[key][rows:]), (name, key)


def test_lost_classes_are_left_out(base: Checkpoint) -> None:
    """The row of a removed class is dropped, also if the number of classes is the same; the rest does not change."""
    model = classifier(("dog", "emu"), seed=1)
    start, fresh = warm(base, model), model.state_dict()
    for name, value in start["state_dict"].items():
        expected = (
            torch.cat([base["state_dict"][name][1:], fresh[name][1:]]) if name in HEAD else base["state_dict"][name]
        )
        assert torch.equal(value, expected), name
    for name, state in moments(start).items():
        before = moments(base)[name]
        for key in ("exp_avg", "exp_avg_sq"):
            new = before[key][1:] if key == "exp_avg_sq" else torch.zeros_like(before[key][1:])
            rows = torch.cat([before[key][1:], new])
            assert torch.equal(state[key], rows if name in HEAD else before[key]), (name, key)


def test_as_many_classes_as_filters() -> None:
    """Rows of classes are known by the network, not by their number: the first layer has 32 rows, too."""
    names = tuple(f"{number:02}" for number in range(32))
    before, after = classifier(names), classifier((*names[1:], "32"), seed=1)
    base = {"state_dict": before.state_dict(), "spec": before.spec.as_kept(), "optimizer_states": [{}]}
    start = warm({**base, "optimizer_states": [before.configure_optimizers()["optimizer"].state_dict()]}, after)
    for name, value in start["state_dict"].items():
        assert (
            torch.equal(value[:31], before.state_dict()[name][1:])
            if name in HEAD
            else torch.equal(value, before.state_dict()[name])
        ), name


def test_schedule_and_hyperparameters_are_the_new_ones(base: Checkpoint) -> None:
    """Learning rate and weight decay are the new generation's, and no schedule is kept."""
    model = classifier(peak=0.5, weight_decay=0.125, warmup=0.0)
    start = warm(base, model)
    assert start["lr_schedulers"] == []
    groups = start["optimizer_states"][0]["param_groups"]
    assert [group["weight_decay"] for group in groups] == [0.125, 0.0]
    assert {group["lr"] for group in groups} == {0.5}


def test_counters_carry_over(base: Checkpoint) -> None:
    """Epochs and steps continue to count."""
    start = warm(base, classifier())
    assert (start["epoch"], start["global_step"]) == (base["epoch"], base["global_step"]) == (EPOCHS, EPOCHS * 3)


def test_base_is_left_alone(base: Checkpoint) -> None:
    """Making a start does not change the base."""
    before = copy.deepcopy(base)
    start = warm(base, classifier(GROWN))
    assert before["optimizer_states"][0]["param_groups"] == base["optimizer_states"][0]["param_groups"]
    for name, state in moments(before).items():
        assert torch.equal(state["exp_avg"], moments(base)[name]["exp_avg"])
        assert torch.equal(before["state_dict"][name], base["state_dict"][name])
    assert start["state_dict"] is not base["state_dict"]


def test_start_needs_no_trust(base: Checkpoint, tmp_path: Path) -> None:
    """The start can be saved, and loaded without running code."""
    torch.save(warm(base, classifier(GROWN)), tmp_path / CHECKPOINT)
    assert read_checkpoint(tmp_path)["epoch"] == EPOCHS


@pytest.mark.parametrize("warmup", [0.0, 0.2])
@pytest.mark.parametrize("count", [24, 35, 13], ids=["same", "more", "fewer"])
def test_training_goes_on_in_full(base: Checkpoint, tmp_path: Path, count: int, warmup: float) -> None:
    """Lightning trains only the additional epochs over all images, with the new schedule from its start."""
    per_epoch = math.ceil(count / 8)
    steps = WARM_EPOCHS * per_epoch
    data = images(count)
    model = classifier(seed=1, steps=steps, warmup=warmup)
    expected = [0.01 * model._schedule.share_of_peak(step) for step in range(steps)]
    fitted = fit(model, data, tmp_path, epochs=EPOCHS + WARM_EPOCHS, start=warm(base, model))

    assert list(fitted.epochs) == list(range(EPOCHS, EPOCHS + WARM_EPOCHS))
    everything = Counter(image.tobytes() for image in data.images.pixels)
    assert set(everything.values()) == {1}
    assert all(Counter(epoch) == everything for epoch in fitted.epochs.values())
    assert fitted.rates == pytest.approx(expected)
    assert fitted.rates[0] > 0
    assert max(fitted.rates) == pytest.approx(0.01)
    assert fitted.checkpoint["epoch"] == EPOCHS + WARM_EPOCHS
    assert fitted.checkpoint["global_step"] == EPOCHS * 3 + steps
    assert all(state["step"] == EPOCHS * 3 + steps for state in moments(fitted.checkpoint).values())


def test_training_starts_from_the_base(base: Checkpoint, tmp_path: Path) -> None:
    """Lightning starts from the base's weights: at a rate near zero they stay."""
    model = classifier(seed=1, peak=1e-12, steps=9, warmup=0.0)
    fitted = fit(model, images(24), tmp_path, epochs=EPOCHS + WARM_EPOCHS, start=warm(base, model))
    for name, _ in model.named_parameters():
        torch.testing.assert_close(fitted.checkpoint["state_dict"][name], base["state_dict"][name])


def test_new_classes_are_learned(base: Checkpoint, tmp_path: Path) -> None:
    """A generation with a new class trains, and has a larger head."""
    model = classifier(GROWN, seed=1, steps=15)
    fitted = fit(model, images(36, GROWN), tmp_path, epochs=EPOCHS + WARM_EPOCHS, start=warm(base, model))
    assert list(fitted.epochs) == list(range(EPOCHS, EPOCHS + WARM_EPOCHS))
    assert {len(fitted.checkpoint["state_dict"][name]) for name in HEAD} == {3}
    assert all(moments(fitted.checkpoint)[name]["exp_avg"][2:].any() for name in HEAD)


def test_same_start_gives_the_same_bytes(base: Checkpoint, tmp_path: Path) -> None:
    """Two warm starts from the same base in different folders give the same bytes."""
    for folder in ("one", "another"):
        (tmp_path / folder).mkdir()
        torch.manual_seed(0)
        model = classifier(seed=1, steps=9)
        fit(model, images(24), tmp_path / folder, epochs=EPOCHS + WARM_EPOCHS, start=warm(base, model))
    assert (tmp_path / "one" / CHECKPOINT).read_bytes() == (tmp_path / "another" / CHECKPOINT).read_bytes()


@pytest.fixture(scope="module")
def averaged(tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    """Return the checkpoint of a finished generation without a schedule, with averaged weights."""
    model = classifier(optimizer="schedule_free", steps=6)
    checkpoint = fit(model, images(24), tmp_path_factory.mktemp("averaged"), epochs=EPOCHS).checkpoint
    checkpoint["raw"] = copy.deepcopy(checkpoint["state_dict"])
    for name, state in moments(checkpoint).items():
        checkpoint["state_dict"][name].lerp_(state["z"], 1 - 1 / 0.9)
    checkpoint["optimizer_states"][0]["param_groups"][0]["train_mode"] = False
    return checkpoint


def test_without_a_schedule_it_never_stopped(averaged: Checkpoint) -> None:
    """Raw weights are restored up to rounding, and the optimizer's state bit for bit."""
    start = warm(averaged, classifier(seed=1, optimizer="schedule_free"))
    for name, value in averaged["raw"].items():
        torch.testing.assert_close(start["state_dict"][name], value)
    assert not any(torch.equal(averaged["state_dict"][name], start["state_dict"][name]) for name in HEAD)
    for name, state in moments(averaged).items():
        assert moments(start)[name].keys() == state.keys() == {"z", "exp_avg_sq"}
        assert all(torch.equal(moments(start)[name][key], value) for key, value in state.items())
    for group, before in zip(*(one["optimizer_states"][0]["param_groups"] for one in (start, averaged)), strict=True):
        assert [group[key] for key in ("k", "weight_sum", "lr_max")] == [
            before[key] for key in ("k", "weight_sum", "lr_max")
        ]
        assert (group["k"], group["train_mode"]) == (EPOCHS * 3, True)


def test_hyperparameters_without_a_schedule(averaged: Checkpoint) -> None:
    """Learning rate and weight decay are the new generation's."""
    start = warm(averaged, classifier(peak=0.5, weight_decay=0.125, optimizer="schedule_free"))
    groups = start["optimizer_states"][0]["param_groups"]
    assert [group["weight_decay"] for group in groups] == [0.125, 0.0]
    assert {group["lr"] for group in groups} == {0.5}


def test_new_classes_without_a_schedule(averaged: Checkpoint) -> None:
    """Rows of new classes are the new network's in both sequences, with the old rows' mean second moment."""
    model = classifier(GROWN, seed=1, optimizer="schedule_free")
    start, fresh = warm(averaged, model), model.state_dict()
    for name in HEAD:
        state, before = moments(start)[name], moments(averaged)[name]
        torch.testing.assert_close(start["state_dict"][name][2:], fresh[name][2:])
        assert torch.equal(state["z"][2:], fresh[name][2:])
        assert torch.equal(state["z"][:2], before["z"])
        assert torch.equal(state["exp_avg_sq"], torch.cat([before["exp_avg_sq"], before["exp_avg_sq"].mean(0)[None]]))


def test_lost_classes_without_a_schedule(averaged: Checkpoint) -> None:
    """Rows of removed classes are dropped from the fast sequence, too."""
    start = warm(averaged, classifier(("dog",), seed=1, optimizer="schedule_free"))
    for name in HEAD:
        assert torch.equal(moments(start)[name]["z"], moments(averaged)[name]["z"][1:])


def test_base_with_a_schedule_goes_on_without(base: Checkpoint) -> None:
    """Its weights become both sequences, as the average of all its steps; second moments are kept."""
    start = warm(base, classifier(seed=1, optimizer="schedule_free", peak=0.5))
    assert all(torch.equal(start["state_dict"][name], value) for name, value in base["state_dict"].items())
    for name, state in moments(base).items():
        assert torch.equal(moments(start)[name]["z"], base["state_dict"][name])
        assert torch.equal(moments(start)[name]["exp_avg_sq"], state["exp_avg_sq"])
    for group in start["optimizer_states"][0]["param_groups"]:
        assert (group["k"], group["lr_max"], group["weight_sum"]) == (EPOCHS * 3, 0.5, EPOCHS * 3 * 0.25)


def test_base_without_a_schedule_goes_on_with_one(averaged: Checkpoint) -> None:
    """AdamW takes averaged weights, second moments and the step count, and starts without first moments."""
    start = warm(averaged, classifier(seed=1))
    assert all(torch.equal(start["state_dict"][name], averaged["state_dict"][name]) for name in start["state_dict"])
    for name, state in moments(averaged).items():
        assert moments(start)[name].keys() == {"step", "exp_avg", "exp_avg_sq"}
        assert moments(start)[name]["step"] == EPOCHS * 3
        assert not moments(start)[name]["exp_avg"].any()
        assert torch.equal(moments(start)[name]["exp_avg_sq"], state["exp_avg_sq"])


@pytest.mark.parametrize("optimizer", ["schedule_free", "adamw"])
def test_either_base_trains_on(base: Checkpoint, averaged: Checkpoint, tmp_path: Path, optimizer: str) -> None:
    """Lightning trains from either start, and the optimizer's state stays finite."""
    for start in (base, averaged):
        model = classifier(GROWN, seed=1, steps=15, optimizer=optimizer)
        fitted = fit(model, images(36, GROWN), tmp_path, epochs=EPOCHS + 1, start=warm(start, model))
        assert fitted.checkpoint["global_step"] == EPOCHS * 3 + 5
        for state in moments(fitted.checkpoint).values():
            assert all(torch.isfinite(value).all() for value in state.values())


FROZEN = {"network.body.0.weight", "network.body.1.weight", "network.body.1.bias"}


def freezing(optimizer: str, freeze: str | int, **more: Any) -> Classifier:
    """Return a classifier with frozen layers."""
    from pipeline.models.layers import freeze_layers

    model = classifier(seed=1, optimizer=optimizer, freeze=freeze, **more)
    freeze_layers(model.network, freeze)
    return model


@pytest.mark.parametrize("optimizer", ["schedule_free", "adamw"])
def test_layers_that_are_frozen_from_now_on(
    base: Checkpoint, averaged: Checkpoint, tmp_path: Path, optimizer: str
) -> None:
    """Newly frozen layers stay as in the base's model, bit for bit, for any optimizer; the rest continues."""
    for before in (base, averaged):
        model = freezing(optimizer, 1, steps=3)
        start, free = warm(before, model), warm(before, classifier(seed=1, optimizer=optimizer))
        assert moments(start).keys() == moments(free).keys() - FROZEN
        for name, value in start["state_dict"].items():
            like = before if name in FROZEN else free
            assert torch.equal(value, like["state_dict"][name]), name
        for name, state in moments(start).items():
            assert all(torch.equal(moments(free)[name][key], value) for key, value in state.items())
        after = fit(model, images(24), tmp_path, epochs=EPOCHS + 1, start=start).checkpoint["state_dict"]
        statistics = {f"network.body.1.{name}" for name in ("running_mean", "running_var", "num_batches_tracked")}
        for name in FROZEN | statistics:
            assert torch.equal(after[name], before["state_dict"][name]), name
        assert not torch.equal(after["network.body.8.weight"], start["state_dict"]["network.body.8.weight"])


@pytest.fixture(scope="module", params=["schedule_free", "adamw"])
def half(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    """Return the checkpoint of a finished generation whose first group of layers was frozen."""
    model = freezing(request.param, 1, steps=6)
    return fit(model, images(24), tmp_path_factory.mktemp("half"), epochs=EPOCHS).checkpoint


@pytest.mark.parametrize("optimizer", ["schedule_free", "adamw"])
def test_layers_that_are_frozen_no_more(half: Checkpoint, tmp_path: Path, optimizer: str) -> None:
    """Thawed layers start at step 0 with steps as long as at a cold start; all others continue."""
    model = classifier(seed=1, optimizer=optimizer, steps=9, warmup=0.5)
    from pipeline.training.optimizers import histories, schedule_of

    known = histories(half["optimizer_states"][0])
    assert not FROZEN & known.keys()
    model._schedule = schedule_of(model._params, 9, warm=True)._replace(known=known)
    start = warm(half, model)
    assert all(torch.equal(start["state_dict"][name], half["state_dict"][name]) for name in FROZEN)
    assert moments(start).keys() == moments(half).keys()
    fitted = fit(model, images(24), tmp_path, epochs=EPOCHS + WARM_EPOCHS, start=start).checkpoint
    for name, state in moments(fitted).items():
        steps = 9 if name in FROZEN else EPOCHS * 3 + 9
        if optimizer == "adamw":
            assert state["step"] == steps, name
            continue
        (group,) = [one for one in fitted["optimizer_states"][0]["param_groups"] if name in one["param_names"]]
        assert group["k"] == steps, name
        assert group["warmup_steps"] == (4 if name in FROZEN else 0), name
        assert group["weight_sum"] > 0
    # AdamW's steps are about as long as the learning rate, so that nine of them sum to at most nine times it.
    for name in FROZEN:
        moved = (fitted["state_dict"][name] - half["state_dict"][name]).abs().max()
        assert 0 < moved < 9 * 0.01, name


def test_histories_stay_apart(tmp_path: Path) -> None:
    """After two generations, weights that started at different times still have different counters."""
    from pipeline.training.optimizers import histories, schedule_of

    def generation(number: int, freeze: str | int, start: Checkpoint | None) -> Checkpoint:
        model = freezing("schedule_free", freeze, steps=3)
        if start is not None:
            known = histories(start["optimizer_states"][0])
            model._schedule = schedule_of(model._params, 3, warm=True)._replace(known=known)
            start = warm(start, model)
        return fit(model, images(24), tmp_path, epochs=number, start=start).checkpoint

    first = generation(1, 2, None)
    third = generation(3, "none", generation(2, 1, first))
    (state,) = third["optimizer_states"]
    counted = {name: group["k"] for group in state["param_groups"] for name in group["param_names"]}
    assert [counted[f"network.body.{place}"] for place in ("0.weight", "3.shortcut.1.weight", "8.weight")] == [3, 6, 9]
    assert len({(group["k"], group["weight_decay"]) for group in state["param_groups"]}) == len(state["param_groups"])


def test_rates_by_layer_carry_over(tmp_path: Path) -> None:
    """Each group has this generation's rate, and the base's counters, whatever its rate was."""
    from pipeline.training.optimizers import histories, schedule_of

    decayed = fit(classifier(optimizer="schedule_free", layer_decay=0.5, steps=6), images(24), tmp_path, epochs=EPOCHS)
    before = decayed.checkpoint
    known = histories(before["optimizer_states"][0])
    peaks = {name: history.peak or 0 for name, history in known.items()}
    assert peaks["network.body.8.weight"] == 2 * peaks["network.body.5.shortcut.1.weight"] == 0.01
    for decay in (0.5, 1.0, 0.25):
        model = classifier(seed=1, optimizer="schedule_free", layer_decay=decay)
        model._schedule = schedule_of(model._params.model_copy(update={"lr": 0.01}), 9, warm=True)
        model._schedule = model._schedule._replace(known=known)
        start = warm(before, model)
        groups = {
            name: group for group in start["optimizer_states"][0]["param_groups"] for name in group["param_names"]
        }
        for name, group in groups.items():
            assert (group["k"], group["lr_max"], group["weight_sum"]) == known[name], name
        assert groups["network.body.5.shortcut.1.weight"]["lr"] == 0.01 * decay
        assert groups["network.body.8.bias"]["lr"] == 0.01
        assert all(torch.equal(one["z"], moments(before)[name]["z"]) for name, one in moments(start).items())
        fit(model, images(24), tmp_path, epochs=EPOCHS + 1, start=start)


CHANGED = [("cat", "tom"), ("dog", "tom")], [("cat", "tom")], [("dog", "dog"), ("dog", "pup")], [("cat", "")]
ROWS = [
    (("tom",), [[0, 1]]),
    (("tom", "dog"), [[0], [1]]),
    (("cat", "dog", "pup"), [[0], [1], [1]]),
    (("dog",), [[1]]),
]


@pytest.mark.parametrize("optimizer", ["schedule_free", "adamw"])
@pytest.mark.parametrize(
    ("changes", "now"), list(zip(CHANGED, ROWS, strict=True)), ids=["merge", "rename", "split", "drop"]
)
def test_heads_of_changed_classes(
    base: Checkpoint,
    averaged: Checkpoint,
    optimizer: str,
    changes: list[tuple[str, str]],
    now: tuple[tuple[str, ...], list[list[int]]],
) -> None:
    """Rows of weight and bias, and their optimizer state, are the old class's, or the mean of several.

    A class that is new as well starts as usual; nothing else changes.
    """
    before = averaged if optimizer == "schedule_free" else base
    classes, origins = now
    model = classifier((*classes, "emu"), seed=1, optimizer=optimizer)
    start, fresh = warm(before, model, *changes), model.state_dict()
    unchanged = warm(before, classifier(seed=2, optimizer=optimizer))

    def rows(value: torch.Tensor) -> torch.Tensor:
        return torch.stack([value[places].mean(0) for places in origins])

    for name, value in start["state_dict"].items():
        was = unchanged["state_dict"][name]
        torch.testing.assert_close(value[:-1] if name in HEAD else value, rows(was) if name in HEAD else was)
        if name in HEAD:
            torch.testing.assert_close(value[-1], fresh[name][-1])
    assert moments(start).keys() == moments(unchanged).keys()
    for name, state in moments(start).items():
        assert state.keys() == (
            {"z", "exp_avg_sq"} if optimizer == "schedule_free" else {"step", "exp_avg", "exp_avg_sq"}
        )
        for key, value in state.items():
            was = moments(unchanged)[name][key]
            if name not in HEAD or not value.dim():
                assert torch.equal(value, was), (name, key)
                continue
            assert torch.equal(value[:-1], rows(was)), (name, key)
            new = {"exp_avg": 0 * fresh[name][-1], "exp_avg_sq": rows(was).mean(0), "z": fresh[name][-1]}
            assert torch.equal(value[-1], new[key]), (name, key)


def test_heads_of_any_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """The network says which weights have rows of classes: with two heads, as in some of timm's, both are merged."""
    from pipeline.training import warm_start

    before, after = classifier(), classifier(("pet",), seed=1)
    for model in (before, after):
        head = torch.nn.Linear(4, len(model.spec.classes))
        model.network.add_module("second", head)
    base = {"state_dict": before.state_dict(), "spec": before.spec.as_kept()}
    states = [before.configure_optimizers()["optimizer"].state_dict()]
    heads = HEAD | {"network.second.weight", "network.second.bias"}
    names = frozenset(name.removeprefix("network.") for name in heads)
    monkeypatch.setattr(warm_start, "rows_of_classes", lambda _: names)
    start = warm({**base, "optimizer_states": states}, after, ("cat", "pet"), ("dog", "pet"))
    for name in heads:
        assert torch.equal(start["state_dict"][name], base["state_dict"][name].mean(0, keepdim=True)), name


def test_merged_classes_train_on(base: Checkpoint, tmp_path: Path) -> None:
    """Lightning trains a head with a merged, a split and a new class."""
    model = classifier(("dog", "pup", "emu"), seed=1, steps=15)
    start = warm(base, model, ("cat", "dog"), ("dog", "dog"), ("dog", "pup"))
    fitted = fit(model, images(36, ("dog", "pup", "emu")), tmp_path, epochs=EPOCHS + WARM_EPOCHS, start=start)
    assert {len(fitted.checkpoint["state_dict"][name]) for name in HEAD} == {3}


def test_given_rows_of_new_classes(averaged: Checkpoint) -> None:
    """Given rows replace random ones in all sequences, with the old rows' mean second moment; nothing else changes."""
    model = classifier(GROWN, seed=1, optimizer="schedule_free")
    rows = {name: torch.full_like(model.state_dict()[name][2:], 3.0) for name in HEAD}
    given, drawn, fresh = warm(averaged, model, rows=rows), warm(averaged, model), model.state_dict()
    for name, value in drawn["state_dict"].items():
        known = value[:2] if name in HEAD else value
        assert torch.equal(given["state_dict"][name][: len(known)] if value.dim() else given["state_dict"][name], known)
    for name in HEAD:
        torch.testing.assert_close(given["state_dict"][name][2:], torch.full_like(fresh[name][2:], 3.0))
        state, before = moments(given)[name], moments(drawn)[name]
        assert torch.equal(state["z"][2:], rows[name])
        assert torch.equal(state["z"][:2], before["z"][:2])
        assert torch.equal(state["exp_avg_sq"], before["exp_avg_sq"])
    assert not fresh["network.body.8.weight"][2:].eq(3).any()


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", ["schedule_free", "adamw"])
def test_position_embeddings_of_another_size(optimizer: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Position embeddings and their optimizer state are resampled, and training continues; nothing else changes."""
    from pipeline.training.module import Classifier
    from pipeline.training.optimizers import schedule_of

    monkeypatch.setattr(sys, "path", [*sys.path, str(ROOT / ".venv" / "timm")])
    params = PARAMS.model_copy(update={"optimizer": optimizer})

    def of_size(size: int) -> Classifier:
        spec = Spec(model="timm/test_vit3", size=size, mode="grey", classes=OLD)
        return Classifier(build(spec), spec, params, schedule_of(params, 9, warm=False), torch.ones(2))

    def steps(model: Classifier, optimizer: Any) -> None:
        for _ in range(3):
            optimizer.zero_grad()
            size = model.spec.size
            model.network(torch.randint(0, 256, (4, 1, size, size), dtype=torch.uint8)).logsumexp(1).sum().backward()
            optimizer.step()

    model, name = of_size(64), "network.body.pos_embed"
    trained = model.configure_optimizers()["optimizer"]
    for group in trained.param_groups:
        group["param_names"] = [
            key for key, value in model.named_parameters() if any(value is one for one in group["params"])
        ]
    steps(model, trained)
    base = {"state_dict": model.state_dict(), "optimizer_states": [trained.state_dict()]}
    after = of_size(96)
    start = warm({**base, "spec": model.spec.as_kept(), "epoch": 1}, after)
    assert {value.shape for key, value in moments(start)[name].items() if value.dim()} == {(1, 37, 96)}
    assert (moments(start)[name]["exp_avg_sq"] >= 0).all()
    for key, state in moments(base).items():
        if key != name:
            assert all(torch.equal(moments(start)[key][kind], value) for kind, value in state.items())
    after.load_state_dict(start["state_dict"])
    optimizer_now = after.configure_optimizers()["optimizer"]
    optimizer_now.load_state_dict(start["optimizer_states"][0])
    steps(after, optimizer_now)
    assert all(torch.isfinite(value).all() for value in after.state_dict().values())
