"""Work in separate threads: waits are limited, and only the newest item is done."""

import time
from pathlib import Path
from threading import Event

import pytest

from pipeline.handover import background
from pipeline.handover.background import Background, within


def test_result_and_error_come_back() -> None:
    """Results and exceptions are passed to the caller."""
    assert within(10, lambda: 7) == 7
    with pytest.raises(ZeroDivisionError):
        within(10, lambda: 1 / 0)


def test_work_that_never_ends_is_left() -> None:
    """The caller does not wait for work that never ends."""
    go, done = Event(), []

    def work() -> None:
        go.wait(60)
        done.append("work")

    with pytest.raises(TimeoutError, match="no answer in 0 seconds"):
        within(0.1, work)
    assert not done
    go.set()


@pytest.mark.parametrize("pieces", [0, 3])
def test_work_may_take_long_while_its_file_grows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pieces: int) -> None:
    """A download that makes progress is waited for; a stalled one is not, however busy the machine."""
    part, ended, size, looks = tmp_path / "part", Event(), background._size, 0

    def grow_first(path: Path | None) -> int:
        nonlocal looks
        looks += 1
        assert looks <= pieces + 1
        if looks <= pieces:
            part.write_bytes(bytes(looks))
        return size(path)

    monkeypatch.setattr(background, "_size", grow_first)
    with pytest.raises(TimeoutError):
        within(0.01, ended.wait, grows=part)
    assert looks == pieces + 1


def test_work_that_took_long_is_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The result of slow work whose file keeps growing is returned."""
    part, ended, size = tmp_path / "part", Event(), background._size

    def grow_first(path: Path | None) -> int:
        with part.open("ab") as file:
            file.write(b"a")
        if size(part) == 5:
            ended.set()
        return size(path)

    monkeypatch.setattr(background, "_size", grow_first)
    assert within(0.01, ended.wait, grows=part)
    assert size(part) >= 5


def test_newest_alone_is_worked_on() -> None:
    """Items that arrive during the first one are dropped, except the last."""
    go, done = Event(), []

    def work(path: Path) -> None:
        go.wait()
        done.append(path.name)

    newest = Background(work, most=1)
    assert newest.rests_within(0)
    newest.give(Path("1"))
    while newest._waiting:
        time.sleep(0.01)
    for number in range(2, 6):
        newest.give(Path(str(number)))
    assert not newest.rests_within(0.05)
    go.set()
    assert newest.rests_within(10)
    assert done == ["1", "5"]


def test_all_is_worked_on_in_turn() -> None:
    """Without a limit no item is dropped."""
    done: list[int] = []
    work = Background(done.append)
    for number in range(20):
        work.give(number)
    assert work.rests_within(10)
    assert done == list(range(20))


def test_what_has_not_begun_can_be_dropped() -> None:
    """Items that have not started can be dropped; the running one is finished."""
    go, done = Event(), []

    def work(path: Path) -> None:
        go.wait()
        done.append(path.name)

    newest = Background(work, most=1)
    newest.give(Path("1"))
    while newest._waiting:
        time.sleep(0.01)
    newest.give(Path("2"))
    newest.drop()
    go.set()
    assert newest.rests_within(10)
    assert done == ["1"]
