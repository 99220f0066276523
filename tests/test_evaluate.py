"""Metrics of evaluate for a hand-made network, with values that can be computed by hand."""

import csv
import json
import math
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from conftest import ROOT
from support.stored import Plain, store_images
from support.terminal import Terminal

from pipeline import parquet, paths
from pipeline.errors import CheckpointError, ImagesError
from pipeline.evaluate import CLASSES, COLUMNS, CONFUSION, PREDICTIONS, RELIABILITY, SUSPECTS, evaluate
from pipeline.evaluation.metrics import FIGURES
from pipeline.evaluation.report.page import PAGE
from pipeline.images import index
from pipeline.images.dataset import read_manifest
from pipeline.lineage.base import FIRST, NONE
from pipeline.lineage.lineage import RECORDED, Budget, Epochs, ImageCounts, Lineage, Recorded, write_lineage
from pipeline.models.checkpoint import CHECKPOINT, SPEC
from pipeline.models.network import Spec, build
from pipeline.params import Params, read_params
from pipeline.splits.review import REVIEW
from pipeline.splits.slices import SLICES
from pipeline.versioning import hashing

Probabilities = dict[str, float]
# The probabilities that the model gives dark and white images.
DARK, WHITE = {"cat": 0.5, "dog": 0.25, "emu": 0.25}, {"cat": 0.1, "dog": 0.8, "emu": 0.1}
# The base knows fewer classes, in another order.
BASE_DARK, BASE_WHITE = {"dog": 0.25, "cat": 0.75}, {"dog": 0.5, "cat": 0.5}
# Images of one shade: the model classifies dark ones as cats, and white ones as dogs.
TEST = [
    Plain("cat", 0),
    Plain("cat", 30),
    Plain("cat", 255, 8),
    Plain("dog", 255, 9),
    Plain("emu", 60),
]
EMPTY = {**dict.fromkeys(FIGURES), "support": 0}


def params(**compute: Any) -> Params:
    """Return this project's params, on the CPU."""
    read = read_params(ROOT / "params.yaml")
    values = {"accelerator": "cpu", "workers": 1, "batch_size": 256, **compute}
    return read.model_copy(update={"compute": read.compute.model_copy(update=values)})


def save_model(folder: Path, dark: Probabilities, white: Probabilities) -> None:
    """Save a network that gives the probabilities `dark` to images up to half brightness, and `white` to white ones."""
    spec = Spec(model="small", size=8, mode="grey", classes=tuple(dark))
    weights = {name: torch.zeros_like(value) for name, value in build(spec).state_dict().items()}
    for name in weights:
        if name.endswith("running_var"):
            weights[name] += 1 - 1e-5  # Normalisation adds 1e-5.
    # One feature passes unchanged: 0 for dark images, 2 for white ones.
    weights["body.0.weight"][0, 0, 1, 1] = 1
    weights["body.1.weight"][0] = 1
    for block in (3, 4, 5):
        weights[f"body.{block}.shortcut.1.weight"][0, 0] = 1
        weights[f"body.{block}.shortcut.2.weight"][0] = 1
    logs = torch.tensor([[share[name] for name in dark] for share in (dark, white)]).log()
    weights["body.8.bias"] += logs[0]
    weights["body.8.weight"][:, 0] = (logs[1] - logs[0]) / 2
    folder.mkdir(parents=True, exist_ok=True)
    state = {f"network.{name}": value for name, value in weights.items()}
    torch.save({SPEC: spec.as_kept(), "state_dict": state}, folder / CHECKPOINT)
    counts, budget = ImageCounts(total=9, new=1, removed=2, relabelled=3), Budget(run=5, total=10)
    origin = {"generation": 2, "start": "warm", "reason": "", "base": "b.dir", "validation": 0.875}
    write_lineage(
        Lineage.model_validate({**origin, "images": counts, "epochs": Epochs(run=5, total=10), "steps": budget}), folder
    )


def report() -> dict[str, Any]:
    """Return the content of metrics.json and details.json."""
    metrics, details = (json.loads(path.read_text(encoding="utf-8")) for path in (paths.METRICS, paths.DETAILS))
    return {**metrics, **details}


def some(measured: dict[str, Any] | None = None) -> list[Any]:
    """Return accuracy, macro F1, loss and support of `measured`; by default of metrics.json."""
    measured = report() if measured is None else measured
    return [measured[name] for name in ("accuracy", "macro_f1", "loss", "support")]


def predictions() -> list[dict[str, str]]:
    """Return the lines of predictions.csv."""
    with PREDICTIONS.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def confusion() -> list[list[str]]:
    """Return the rows of confusion.csv, sorted."""
    with CONFUSION.open(newline="", encoding="utf-8") as file:
        header, *rows = csv.reader(file)
    assert header == ["actual", "predicted"]
    return sorted(rows)


def mean_loss(*probabilities: float) -> float:
    """Return the mean loss from the probabilities of the right classes."""
    return -sum(map(math.log, probabilities)) / len(probabilities)


@pytest.fixture(autouse=True)
def _project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make a project with a model and no base the working directory."""
    monkeypatch.chdir(tmp_path)
    save_model(paths.MODEL, DARK, WHITE)
    paths.BASE.mkdir(parents=True)
    (paths.BASE / NONE).write_text(FIRST + "\n")


def put_base() -> None:
    """Save a model that does not know emus in data/base."""
    (paths.BASE / NONE).unlink()
    save_model(paths.BASE, BASE_DARK, BASE_WHITE)


def test_hand_worked_case() -> None:
    """Three of five images are right; the two classes that are predicted have an F1 of 2/3, and emus have 0."""
    store_images(test=TEST)
    said = evaluate(params()).summary
    assert some() == [*map(pytest.approx, (3 / 5, 4 / 9, mean_loss(0.5, 0.5, 0.1, 0.8, 0.25))), 5]
    assert report()["balanced_accuracy"] == pytest.approx((2 / 3 + 1 + 0) / 3)
    # Of three answers at 0.5 two are right, of two at 0.8 one.
    assert report()["calibration_error"] == pytest.approx(3 / 5 * (2 / 3 - 0.5) + 2 / 5 * (0.8 - 0.5))
    assert (report()["validation"], report()["base"], report()["change"]) == (0.875, None, None)
    assert (report()["accepted"], report()["verdict"]) == (True, "nothing to compare with: it has no base")
    assert said == "test accuracy 60.0 % on 5 images; macro F1 0.444"


def test_shape_of_the_report() -> None:
    """The names in metrics.json and details.json and their order are stable, with and without a base."""
    store_images(test=TEST)
    evaluate(params())
    metrics, details = (json.loads(path.read_text(encoding="utf-8")) for path in (paths.METRICS, paths.DETAILS))
    assert list(metrics) == [*FIGURES, "validation", "base", "change", "accepted", "model"]
    assert list(details) == ["classes", "slices", "verdict", "model"]
    assert details["model"] == hashing.directory_hash(paths.MODEL)
    assert metrics["model"] == details["model"][:8]
    put_base()
    evaluate(params())
    assert list(report()["base"]) == list(FIGURES)
    flips = ["negative_flips", "positive_flips"]
    assert list(report()["change"]) == ["accuracy", "forgetting", *flips, "backward_transfer", "forward_transfer"]
    assert list(report()["classes"]) == ["cat", "dog", "emu"]
    assert list(report()["classes"]["emu"]) == [
        *("precision", "recall", "f1", "support"),
        *("base_precision", "base_recall", "base_f1"),
    ]
    assert list(report()["slices"]) == ["generation", "new", "old"]
    assert list(report()["slices"]["old"]) == ["accuracy", "support", "base_accuracy"]


def test_change_against_the_base() -> None:
    """An old image is lost and a new one is gained: a flip each way, and the whole old slice is forgotten."""
    store_images(test=[Plain("cat", 255, 8, 1), Plain("dog", 255, 9, 2), Plain("cat", 0, 10, 2)])
    put_base()
    save_model(paths.BASE, BASE_DARK, {"cat": 0.75, "dog": 0.25})
    evaluate(params())
    assert report()["accuracy"] == report()["base"]["accuracy"] == pytest.approx(2 / 3)
    assert report()["change"] == {
        "accuracy": 0,
        "forgetting": 1,
        "negative_flips": pytest.approx(1 / 3),
        "positive_flips": pytest.approx(1 / 3),
        "backward_transfer": -1,
        "forward_transfer": pytest.approx(1 / 2 - 1 / 3),
    }
    old, new = (
        {"accuracy": now, "support": count, "base_accuracy": was} for now, count, was in [(0, 1, 1), (1, 2, 0.5)]
    )
    assert report()["slices"] == {"generation": {"1": old, "2": new}, "new": new, "old": old}


def test_columns_of_labels_csv_are_slices() -> None:
    """Each value of a further column of labels.csv has an accuracy, and so have images without a value."""
    store_images(test=TEST)
    slices = pd.read_csv(paths.MANIFEST / SLICES, dtype=str)
    test = read_manifest("test").set_index("id")["label"]
    slices["place, or so"] = ["" if test[one] == "cat" else 'a "zoo"' for one in slices["id"]]
    slices.to_csv(paths.MANIFEST / SLICES, index=False)
    evaluate(params())
    assert report()["slices"]["place, or so"] == {
        "(none)": {"accuracy": pytest.approx(2 / 3), "support": 3, "base_accuracy": None},
        'a "zoo"': {"accuracy": 0.5, "support": 2, "base_accuracy": None},
    }


def test_slices_of_other_images_are_refused() -> None:
    """A slices.csv that is missing, or does not match test.csv, is an error."""
    store_images(test=TEST)
    path = paths.MANIFEST / SLICES
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines[:-1]))
    with pytest.raises(ImagesError, match="not of the images in test"):
        evaluate(params())
    path.unlink()
    with pytest.raises(ImagesError, match="not of the images in test"):
        evaluate(params())


def test_predictions_have_a_line_for_each_image() -> None:
    """predictions.csv has a line for each image with the answers of model and base, which are empty without a base."""
    store_images(test=TEST)
    evaluate(params())
    assert [list(line) for line in predictions()] == [COLUMNS] * len(TEST)
    assert [line["id"] for line in predictions()] == read_manifest("test")["id"].tolist()
    assert {(line["base_predicted"], line["base_confidence"]) for line in predictions()} == {("", "")}
    put_base()
    evaluate(params())
    emu = next(line for line in predictions() if line["label"] == "emu")
    assert (emu["predicted"], emu["base_predicted"]) == ("cat", "cat")
    shares = [float(emu[column]) for column in ("confidence", "probability", "base_confidence", "base_probability")]
    assert shares == [pytest.approx(0.5), pytest.approx(0.25), pytest.approx(0.75), 0]
    loss = mean_loss(*(float(line["probability"]) for line in predictions()))
    assert report()["loss"] == pytest.approx(loss)


def test_index_and_history_are_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The index and Git's history, which may be large, are read once."""
    store_images(test=TEST)
    put_base()
    subprocess.run(["git", "init", "--quiet"], check=True)
    subprocess.run(["git", "commit", "--quiet", "--allow-empty", "--message", "x"], check=True)
    read: list[str] = []
    run, read_table = subprocess.run, parquet.read_table

    def counted_run(command: list[str], **more: Any) -> Any:
        read.extend(one for one in command if one == "log")
        return run(command, **more)

    def counted_table(path: Path, *arguments: Any) -> Any:
        read.append(path.name)
        return read_table(path, *arguments)

    monkeypatch.setattr(subprocess, "run", counted_run)
    monkeypatch.setattr(parquet, "read_table", counted_table)
    evaluate(params())
    assert sorted(read) == [index.INDEX.name, "log"]


def test_lineage_is_told_to_git() -> None:
    """lineage.json, next to the metrics, records the model's hash and its origin."""
    store_images(test=TEST)
    evaluate(params())
    recorded = Recorded.model_validate_json(RECORDED.read_bytes())
    assert (recorded.model, recorded.base) == (hashing.directory_hash(paths.MODEL), "b.dir")
    assert recorded.images.removed == 2


def test_verdict_is_told_to_git() -> None:
    """A model with ten new mistakes is not accepted, which both files and the output state."""
    store_images(test=[Plain("cat", 255, side) for side in range(8, 18)])
    (paths.BASE / NONE).unlink()
    save_model(paths.BASE, {"cat": 0.8, "dog": 0.2}, {"cat": 0.8, "dog": 0.2})
    said = evaluate(params()).summary
    recorded = Recorded.model_validate_json(RECORDED.read_bytes())
    assert (report()["accepted"], recorded.accepted) == (False, False)
    assert report()["verdict"] == recorded.verdict
    assert said.endswith(f"; not accepted: {recorded.verdict}")
    assert recorded.verdict.endswith("recall of 'cat' fell from 100.0 % to 0.0 %")


def test_change_of_each_class_is_drawn() -> None:
    """The change of each class is drawn next to its recall; empty without a base, and for a class without images."""
    store_images(test=TEST)
    evaluate(params())
    empty = "class,recall,base_recall,change\n" + "".join(
        f"{name},{recall:.16g},,\n" for name, recall in (("cat", 2 / 3), ("dog", 1), ("emu", 0))
    )
    assert CLASSES.read_text() == empty
    put_base()
    save_model(paths.BASE, BASE_DARK, {"cat": 0.75, "dog": 0.25})
    save_model(paths.MODEL, {**DARK, "fox": 0.01}, {**WHITE, "fox": 0.01})
    evaluate(params())
    lines = [line.split(",") for line in CLASSES.read_text().splitlines()[1:]]
    assert {name: change and float(change) for name, _, _, change in lines} == {
        "cat": pytest.approx(2 / 3 - 1),
        "dog": 1,
        "emu": 0,
        "fox": "",
    }


def test_confusion_has_a_row_for_each_image() -> None:
    """confusion.csv has the class and the prediction of each test image."""
    store_images(test=TEST)
    evaluate(params())
    assert confusion() == [["cat", "cat"], ["cat", "cat"], ["cat", "dog"], ["dog", "dog"], ["emu", "cat"]]


def test_base_is_measured_beside_the_model() -> None:
    """The base is evaluated on the same images; a class that it does not know is always wrong, at the largest loss."""
    store_images(test=TEST)
    put_base()
    said = evaluate(params()).summary
    # White images are a tie, which the base's first class wins. For emus the log loss uses the smallest float.
    smallest = torch.finfo(torch.float64).eps
    figures = map(pytest.approx, (3 / 5, 4 / 9, mean_loss(0.75, 0.75, 0.5, 0.5, smallest)))
    assert some(report()["base"]) == [*figures, 5]
    assert [one["base_recall"] for one in report()["classes"].values()] == [pytest.approx(2 / 3), 1, 0]
    assert [one["base_precision"] for one in report()["classes"].values()] == [pytest.approx(2 / 3), 0.5, None]
    assert report()["loss"] == pytest.approx(mean_loss(0.5, 0.5, 0.1, 0.8, 0.25))
    assert said == "test accuracy 60.0 % (base 60.0 %) on 5 images; macro F1 0.444"


def test_class_that_no_model_knows() -> None:
    """A class with test images and no training image counts as wrong."""
    store_images(test=[*TEST, Plain("fox", 90), Plain("fox", 255, 10)])
    put_base()
    evaluate(params())
    assert report()["accuracy"] == pytest.approx(3 / 7)
    # Of three cats two are found, with two others; of one dog one, with two others. Emus and foxes are not found.
    assert report()["macro_f1"] == pytest.approx((2 * 2 / (4 + 3) + 2 * 1 / (3 + 1)) / 4)
    assert report()["loss"] > 36 * 2 / 7
    assert report()["base"]["support"] == 7
    assert ["fox", "cat"] in confusion()
    assert ["fox", "dog"] in confusion()


def test_class_without_test_images_does_not_count() -> None:
    """Macro F1 is the mean over the classes of the test images, whatever other classes the model knows."""
    store_images(test=[Plain("cat", 0), Plain("dog", 255)])
    evaluate(params())
    assert (report()["accuracy"], report()["macro_f1"]) == (1, 1)
    assert report()["loss"] == pytest.approx(mean_loss(0.5, 0.8))


@pytest.mark.parametrize("with_base", [False, True])
def test_empty_test_split(with_base: bool) -> None:  # noqa: FBT001 (a parameter of the test)
    """An empty test split has no metrics, and is no error."""
    store_images(train=TEST)
    if with_base:
        put_base()
    assert evaluate(params()).summary == "no test images yet, so nothing is measured"
    assert {name: report()[name] for name in EMPTY} == EMPTY
    assert report()["base"] == (EMPTY if with_base else None)
    assert set((report()["change"] or {}).values()) == ({None} if with_base else set())
    nothing = {"accuracy": None, "support": 0, "base_accuracy": None}
    assert report()["slices"] == {"generation": {}, "new": nothing, "old": nothing}
    no_base, no_images = "nothing to compare with: it has no base", "nothing to compare by: there are no test images"
    assert (report()["accepted"], report()["verdict"]) == (True, no_images if with_base else no_base)
    assert CONFUSION.read_text() == "actual,predicted\n"
    assert PREDICTIONS.read_text() == ",".join(COLUMNS) + "\n"


@pytest.mark.parametrize("images", [TEST, []])
def test_twice_gives_the_same_bytes(images: Sequence[Plain]) -> None:
    """The same inputs give the same report, and unchanged files are not written again."""
    store_images(test=images)
    put_base()
    evaluate(params())
    before = {path: path.read_bytes() for path in paths.REPORT.iterdir()}
    assert before.keys() == {
        paths.METRICS,
        paths.DETAILS,
        CONFUSION,
        PREDICTIONS,
        RELIABILITY,
        CLASSES,
        SUSPECTS,
        PAGE,
        RECORDED,
    }
    for path in before:
        os.utime(path, (1, 1))
    evaluate(params())
    assert {path: path.read_bytes() for path in paths.REPORT.iterdir()} == before
    assert {path.stat().st_mtime for path in before} == {1}
    for path in before:
        path.unlink()
    evaluate(params())
    assert {path: path.read_bytes() for path in paths.REPORT.iterdir()} == before


def test_progress_on_a_terminal_only(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    """On a terminal a bar counts the batches of each model; elsewhere nothing is printed."""
    store_images(test=TEST)
    evaluate(params())
    assert capfd.readouterr() == ("", "")
    with Terminal() as terminal, terminal.stream() as stream:
        monkeypatch.setattr(sys, "stderr", stream)
        evaluate(params(batch_size=2))
    bars = [line for line in terminal.lines if line.startswith(f"predicting with {paths.MODEL}:")]
    assert "| 0/3 [" in bars[0]
    assert "| 3/3 [" in bars[-1]


def test_classes_of_any_name() -> None:
    """Class names that look like missing values, numbers or CSV are kept."""
    names = ["None", "NA", '1, "b"', "猫"]
    save_model(paths.MODEL, dict.fromkeys(names, 0.2) | {"NA": 0.4}, dict.fromkeys(names, 0.2) | {"猫": 0.4})
    store_images(test=[Plain("NA", 0), Plain("None", 30), Plain('1, "b"', 60), Plain("猫", 255)])
    evaluate(params())
    assert confusion() == sorted([["NA", "NA"], ["None", "NA"], ['1, "b"', "NA"], ["猫", "猫"]])
    assert report()["accuracy"] == 0.5
    assert report()["loss"] == pytest.approx(mean_loss(0.4, 0.2, 0.2, 0.4))


def test_image_that_is_not_there() -> None:
    """A test image missing in data/images is an error, and the previous report is kept."""
    store_images(test=TEST)
    evaluate(params())
    before = {path: path.read_bytes() for path in paths.REPORT.iterdir()}
    line = f"cat,{'f' * 32}"
    for name, rest in (("test.csv", line), (SLICES, "1"), (REVIEW, f"{line},test,f.png,,,")):
        with (paths.MANIFEST / name).open("a") as file:
            file.write(f"{'f' * 32},{rest}\n")
    with pytest.raises(ImagesError, match=f"lacks image {'f' * 32}"):
        evaluate(params())
    assert {path: path.read_bytes() for path in paths.REPORT.iterdir()} == before


def test_no_model() -> None:
    """Without a model there is no report."""
    store_images(test=TEST)
    (paths.MODEL / CHECKPOINT).unlink()
    with pytest.raises(CheckpointError, match="no such file"):
        evaluate(params())
    assert not paths.REPORT.exists()
