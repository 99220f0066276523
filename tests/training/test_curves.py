"""Learning curves: their content, their limited size, and no trace of interruptions."""

import csv
import math
import shutil
import signal
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from support.stored import Plain, store_images
from support.tiny import tiny_params, tiny_project

from pipeline import paths
from pipeline.errors import CheckpointError
from pipeline.params import Params
from pipeline.training import curves
from pipeline.training.curves import (
    ACCURACY,
    CURVE_NAMES,
    CURVES,
    LIMIT,
    LOSS,
    RATE,
    TRAINING_LOSS,
    CurvePoint,
    Curves,
    read_curves,
    show_curves,
    thin,
    write_curves,
)

# Importing Lightning takes seconds: tests import it when they run, and share a worker process.
pytestmark = [
    pytest.mark.xdist_group("lightning"),
    pytest.mark.filterwarnings(r"ignore:::lightning\..*"),
]

TRAIN = [Plain("cat", shade) for shade in range(10)] + [Plain("dog", 200 + shade) for shade in range(7)]
VAL = [Plain("cat", 20), Plain("dog", 220)]
POINTS = st.lists(st.integers(0, 10**9), unique=True, max_size=80).map(
    lambda steps: [(step, float(step % 7)) for step in sorted(steps)]
)


@given(POINTS, st.integers(2, 12))
def test_thinning(points: list[CurvePoint], limit: int) -> None:
    """At most `limit` points are kept, including the ends, without large gaps; all points if they fit."""
    left = list(points)
    thin(left, limit)
    assert len(left) == min(len(points), limit)
    assert left == [point for point in points if point in left]
    if len(points) > limit:
        assert (left[0], left[-1]) == (points[0], points[-1])
        largest = max(later[0] - earlier[0] for earlier, later in pairwise(points))
        allowed = max(largest, 2 * (points[-1][0] - points[0][0]) / (limit - 1))
        assert all(later[0] - earlier[0] <= allowed for earlier, later in pairwise(left))


@given(POINTS, st.integers(3, 12), st.data())
def test_thinning_bit_by_bit(points: list[CurvePoint], limit: int, data: st.DataObject) -> None:
    """Adding points one by one gives the same curve, however often it is resumed."""
    stops = data.draw(st.sets(st.integers(0, len(points))))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(curves, "LIMIT", limit)
        once, resumed = Curves(), Curves()
        for place, (step, value) in enumerate(points):
            once.add(RATE, step, value)
            resumed.add(RATE, step, value)
            if place in stops:
                resumed = Curves(resumed.points)
    assert once.points == resumed.points
    assert len(once.points[RATE]) == min(len(points), limit)


def test_many_generations_stay_small(tmp_path: Path) -> None:
    """After 100 generations of 60 points a curve has its maximum size, evenly spaced from step 1."""
    curves = Curves()
    for step in range(1, 6001):
        curves.add(TRAINING_LOSS, step * 50, 1 / step)
    steps = [step for step, _ in curves.points[TRAINING_LOSS]]
    assert len(steps) == LIMIT
    assert (steps[0], steps[-1]) == (50, 300_000)
    assert max(later - earlier for earlier, later in pairwise(steps)) <= 2 * 300_000 / 999
    write_curves(curves, tmp_path)
    assert (tmp_path / CURVES).stat().st_size < 30_000


def test_written_and_read(tmp_path: Path) -> None:
    """Points are read back to six digits; a value that is not finite has no point."""
    curves = Curves()
    for step, value in enumerate([1 / 3, 1e-12, 123456789.0, math.nan, math.inf, 0.0], start=1):
        curves.add(LOSS, step, value)
    assert curves.points[LOSS] == [(1, 0.333333), (2, 1e-12), (3, 123457000.0), (6, 0.0)]
    write_curves(curves, tmp_path)
    assert read_curves(tmp_path).points == curves.points
    assert (tmp_path / CURVES).read_bytes().startswith(b"curve,step,value\nval_loss,1,0.333333\n")


def test_model_of_before_there_were_curves(tmp_path: Path) -> None:
    """A model of an earlier release has no curves; unknown curves are ignored."""
    assert read_curves(tmp_path).points == {name: [] for name in CURVE_NAMES}
    (tmp_path / CURVES).write_text("curve,step,value\n../../escape,1,2.0\nlr,1,2.0\n")
    assert read_curves(tmp_path).points == {name: [] for name in CURVE_NAMES} | {RATE: [(1, 2.0)]}


@pytest.mark.parametrize(
    "content",
    [b"\xff\xfe\x00", b"no,such,columns\n1,2,3\n", b"curve,step,value\nlr,one,2\n", b"curve,step,value\nlr\n"],
)
def test_what_is_no_curve(tmp_path: Path, content: bytes) -> None:
    """An invalid file is a one-line error."""
    (tmp_path / CURVES).write_bytes(content)
    with pytest.raises(CheckpointError, match=r"curves\.csv: holds no learning curves; run `dvc checkout`$"):
        read_curves(tmp_path)


def test_folder_holds_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder has a file for each curve with points, and none of an earlier training."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "curves"
    show_curves(Curves({TRAINING_LOSS: [(5, 0.5)], LOSS: [(5, 0.25)]}), folder)
    show_curves(Curves({TRAINING_LOSS: [(9, 0.75)]}), folder)
    assert {path.name: path.read_text() for path in folder.iterdir()} == {"loss.csv": "step,loss\n9,0.75\n"}


@pytest.fixture
def _project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make a project with images and no base the working directory."""
    tiny_project(tmp_path, monkeypatch, train=TRAIN, val=VAL)


def params(**train: Any) -> Params:
    """Return tiny params with 5 steps per epoch of 17 images, also written to params.yaml."""
    return tiny_params(train={"batch_size": 4, "epochs": 3, "save_every": 1e9, "optimizer": "adamw", **train})


def run(**changes: Any) -> dict[str, list[CurvePoint]]:
    """Train, and return the points in data/curves."""
    from pipeline.train import train

    train(params(**changes))
    return shown()


def shown() -> dict[str, list[CurvePoint]]:
    """Return the content of data/curves."""
    points = {}
    for path in paths.CURVES.iterdir():
        header, *rows = csv.reader(path.read_text().splitlines())
        assert header == ["step", path.stem]
        points[path.stem] = [(int(step), float(value)) for step, value in rows]
    return points


def written() -> dict[str, bytes]:
    """Return the bytes of data/curves and of the model's curves, and remove them."""
    files = {path.name: path.read_bytes() for path in (*paths.CURVES.iterdir(), paths.MODEL / CURVES)}
    shutil.rmtree(paths.CURVES)
    shutil.rmtree(paths.MODEL)
    return files


def grow() -> None:
    """Make the model the base, and add images."""
    shutil.rmtree(paths.BASE)
    paths.MODEL.rename(paths.BASE)
    store_images(train=[*TRAIN, *(Plain("emu", 100 + shade) for shade in range(6))], val=VAL)


@pytest.mark.usefixtures("_project")
@pytest.mark.parametrize(("points", "steps"), [(20, range(1, 16)), (4, (3, 6, 9, 12, 15)), (2, (7, 14, 15))])
def test_points(monkeypatch: pytest.MonkeyPatch, points: int, steps: Any) -> None:
    """Points have the mean loss since the previous point, the last step's rate, and each validation."""
    from pipeline.training import curve_recording
    from pipeline.training.module import Classifier

    training_step, losses, rates = Classifier.training_step, [], []

    def noting(self: Classifier, batch: Any, batch_idx: int) -> torch.Tensor:
        loss = training_step(self, batch, batch_idx)
        losses.append(float(loss.detach()))
        rates.append(self.trainer.optimizers[0].param_groups[0]["lr"])
        return loss

    monkeypatch.setattr(curve_recording, "POINTS", points)
    monkeypatch.setattr(Classifier, "training_step", noting)
    curves = run()
    assert [step for step, _ in curves[TRAINING_LOSS]] == [*steps] == [step for step, _ in curves[RATE]]
    means = [sum(losses[first:last]) / (last - first) for first, last in zip([0, *steps], steps, strict=False)]
    assert [value for _, value in curves[TRAINING_LOSS]] == pytest.approx(means, rel=1e-5)
    assert [value for _, value in curves[RATE]] == pytest.approx([rates[step - 1] for step in steps], rel=1e-5)
    assert [step for step, _ in curves[ACCURACY]] == [5, 10, 15] == [step for step, _ in curves[LOSS]]
    assert all(0 <= value <= 1 for _, value in curves[ACCURACY])


@pytest.mark.usefixtures("_project")
@pytest.mark.parametrize("limit", [1000, 4])
def test_interruptions_leave_no_trace(monkeypatch: pytest.MonkeyPatch, limit: int) -> None:
    """After interruptions at and between points the bytes are the same."""
    from pipeline.train import train
    from pipeline.training import curve_recording
    from pipeline.training.module import Classifier

    training_step, waiting = Classifier.training_step, [3, 7, 12]
    monkeypatch.setattr(curve_recording, "POINTS", 4)
    monkeypatch.setattr(curves, "LIMIT", limit)
    run()
    once = written()

    def with_signals(self: Classifier, batch: Any, batch_idx: int) -> torch.Tensor:
        if waiting and self.global_step + 1 == waiting[0]:
            waiting.pop(0)
            signal.raise_signal(signal.SIGTERM)
        return training_step(self, batch, batch_idx)

    monkeypatch.setattr(Classifier, "training_step", with_signals)
    for _ in range(3):
        with pytest.raises(SystemExit):
            train(params())
        assert not paths.CURVES.exists()
    run()
    assert not waiting
    assert written() == once
    assert once["loss.csv"].count(b"\n") == min(limit, 5) + 1


@pytest.mark.usefixtures("_project")
def test_curves_go_on_over_generations() -> None:
    """The base's points come first, followed by new steps; a forced run duplicates nothing."""
    first = run()
    grow()
    second = run(warm_epochs=2)
    assert second.keys() == first.keys() == {*CURVE_NAMES}
    for name, points in second.items():
        assert points[: len(first[name])] == first[name]
        steps = [step for step, _ in points]
        assert steps == sorted(set(steps))
        assert steps[-1] == 15 + 12  # 23 images are 6 steps per epoch.
    assert read_curves(paths.MODEL).points == second
    once = written()
    run(warm_epochs=2)
    assert written() == once


@pytest.mark.usefixtures("_project")
def test_base_without_curves() -> None:
    """A base without curves has none, and its successors' curves start at their own steps."""
    run()
    (paths.MODEL / CURVES).unlink()
    grow()
    assert [step for step, _ in run()[TRAINING_LOSS]] == [*range(16, 22)]


@pytest.mark.usefixtures("_project")
def test_no_validation_images() -> None:
    """Without validation images there is no validation curve, not even an old one."""
    run()
    store_images(train=TRAIN)
    assert run().keys() == {TRAINING_LOSS, RATE}


@pytest.mark.usefixtures("_project")
def test_live(monkeypatch: pytest.MonkeyPatch) -> None:
    """During training the files contain all points so far, including the base's."""
    from pipeline.training import curve_recording
    from pipeline.training.module import Classifier

    run()
    grow()
    seen: list[tuple[int, list[int]]] = []
    training_step = Classifier.training_step

    def looking(self: Classifier, batch: Any, batch_idx: int) -> torch.Tensor:
        seen.append((self.global_step, [step for step, _ in shown()[TRAINING_LOSS]]))
        return training_step(self, batch, batch_idx)

    monkeypatch.setattr(curve_recording, "LIVE", 0.0)
    monkeypatch.setattr(Classifier, "training_step", looking)
    shutil.rmtree(paths.CURVES)  # As DVC does.
    run()
    assert seen == [(step, [*range(1, step + 1)]) for step in range(15, 21)]
