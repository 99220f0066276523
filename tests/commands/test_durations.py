"""Durations of stages, and forecasts from them."""

from pathlib import Path

import pytest
from conftest import ROOT
from hypothesis import given
from hypothesis import strategies as st

from pipeline import paths
from pipeline.commands.durations import DURATIONS, FURTHEST, LEFT, MOST, Duration, Pace, kind_of, note, pace
from pipeline.params import Params, read_params


def ran(amount: int, work: float, start: float = 1.0, *, stage: str = "train", kind: str | None = None) -> Duration:
    """Record a run of a stage."""
    return Duration(
        stage=stage, kind=kind_of(stage, params()) if kind is None else kind, amount=amount, start=start, work=work
    )


def params() -> Params:
    """Return this repository's params."""
    return read_params(ROOT / "params.yaml")


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def seconds(amount: int, *runs: Duration) -> float | None:
    """Return the forecast after `runs`."""
    known = Pace.of(runs)
    assert known is not None
    return known.seconds(amount)


def test_no_run_yet() -> None:
    """Without a run there is no forecast."""
    assert pace("train", params()) is None


def test_one_run() -> None:
    """After one run, its start-up time is constant, and the rest is proportional to the work."""
    assert seconds(200, ran(100, 10.0, 3.0)) == pytest.approx(23)


def test_runs_of_different_size() -> None:
    """Runs of different sizes separate constant time from work: one small run does not make a large one seem long."""
    runs = [ran(3000, 8.0), ran(1, 2.0), ran(2, 2.1), ran(1, 1.9)]
    assert seconds(0, *runs) == pytest.approx(3.0, abs=0.2)
    assert seconds(3000, *runs) == pytest.approx(9.0, abs=0.3)


def test_one_run_that_slept_changes_little() -> None:
    """A single outlier, such as a laptop that slept, has little effect."""
    steady = [ran(100, 10.0) for _ in range(4)]
    assert seconds(100, *steady, ran(100, 7200.0)) == seconds(100, *steady)


def test_far_larger_than_ever_is_not_foretold() -> None:
    """There is no forecast for thousands of images from a handful."""
    assert seconds(FURTHEST * 10, ran(10, 1.0)) is not None
    assert seconds(FURTHEST * 10 + 1, ran(10, 1.0)) is None


@given(
    st.lists(st.tuples(st.integers(0, 10**7), st.floats(0, 10**6), st.floats(0, 100)), min_size=1),
    st.integers(0, 10**7),
    st.integers(0, 10**7),
)
def test_more_takes_no_less(runs: list[tuple[int, float, float]], some: int, more: int) -> None:
    """A forecast is at least 0, and does not decrease with the amount, whatever was recorded."""
    known = Pace.of([ran(amount, work, start, kind="") for amount, work, start in runs])
    assert known is not None
    few, many = known.seconds(min(some, more)), known.seconds(max(some, more))
    assert few is None or few >= 0
    assert many is None or (few is not None and few <= many)


def test_only_runs_of_its_kind_count() -> None:
    """Runs of another stage or network are not used."""
    note(ran(100, 10.0))
    note(ran(100, 99.0, kind="model=timm/resnet18"))
    note(ran(100, 99.0, stage="evaluate"))
    found = pace("train", params())
    assert found is not None
    assert found.seconds(100) == pytest.approx(11)


@pytest.mark.parametrize(
    "damage",
    [
        b"",
        b"{",
        b"null",
        b'{"stage": "train"}',
        b"\xff\x00",
        b'{"stage":"train","kind":"","amount":-1,"start":0,"work":0}',
    ],
)
def test_damaged_lines_are_passed_over(damage: bytes) -> None:
    """A damaged line, left by a kill or an editor, is skipped alone."""
    note(ran(100, 10.0))
    with DURATIONS.open("ab") as file:
        file.write(damage)  # Without a line break, as after a kill.
    note(ran(100, 10.0))
    found = pace("train", params())
    assert found == Pace(1.0, 0.1, 100)


def test_not_a_file() -> None:
    """If the file can be neither written nor read, there is no forecast, and nothing fails."""
    DURATIONS.mkdir(parents=True)
    note(ran(100, 10.0))
    assert pace("train", params()) is None


def test_it_stays_small() -> None:
    """Old lines are removed."""
    DURATIONS.parent.mkdir(parents=True)
    DURATIONS.write_text("x\n" * MOST)
    note(ran(100, 10.0))
    assert len(DURATIONS.read_text().splitlines()) == LEFT
    assert pace("train", params()) is not None
    assert list(paths.PROGRESS.iterdir()) == [DURATIONS]
