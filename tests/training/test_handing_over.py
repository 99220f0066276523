"""Handing over: the furthest intact state counts, and errors of the remote do not stop a training."""

import logging
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from queue import SimpleQueue

import pytest
from dvc_objects.fs.local import localfs
from support.servers import SharedFolder

from pipeline.errors import TrainingError
from pipeline.handover import attempts
from pipeline.handover.lease import Runner
from pipeline.handover.remote_folder import RemoteFolder
from pipeline.training.handover import Handover
from pipeline.training.progress import Progress, step_of

SERVER = Path("server")


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make an empty working directory with an empty remote, and shorten the waits."""
    monkeypatch.chdir(tmp_path)
    (SERVER / "remote").mkdir(parents=True)
    monkeypatch.setattr(attempts, "PATIENCE", 2.0)


def handover(machine: str, folder: RemoteFolder | None = None) -> tuple[Handover, Progress, list[str]]:
    """Yield the handover of a machine, which is a separate folder, and its messages."""
    said: list[str] = []
    here = Path.cwd()
    (here / machine).mkdir(exist_ok=True)
    os.chdir(here / machine)
    progress = Progress("a")
    os.chdir(here)
    progress.folder = here / machine / progress.folder
    folder = folder or RemoteFolder(localfs, str(here / SERVER / "remote"), "progress", "train", "a")
    return Handover(folder, progress, said.append), progress, said


def save(progress: Progress, *steps: int) -> None:
    """Save a state at each of `steps`, and wait for the uploads."""
    for step in steps:
        progress.save(step, lambda path, step=step: path.write_bytes(f"state {step}".encode() * 100))  # type: ignore[misc]


def there(ending: str = ".ckpt") -> list[str]:
    """Return the files on the remote."""
    return sorted(path.name for path in SERVER.rglob(f"*{ending}"))


def steps() -> list[int]:
    """Return the states on the remote."""
    return [step_of(name) for name in there()]


def newest(progress: Progress) -> int:
    """Return the step of the newest local state."""
    state = progress.newest()
    return -1 if state is None else progress.step_of(state)


def test_states_go_to_another_machine() -> None:
    """The newest two states are on the remote until the training succeeds; then it is empty."""
    first, progress, _ = handover("one")
    first.begin()
    for step in (1, 2, 3):
        save(progress, step)
        assert first._uploads.rests_within(10)
    assert steps() == [2, 3]
    first.leave()
    assert not there("lease-*")
    second, progress, said = handover("two")
    second.begin()
    assert newest(progress) == 3
    assert len(said) == 1
    assert said[0].startswith("fetched what another run saved in ")
    save(progress, 4)
    second.clear()
    assert not there("ckpt")
    assert not (SERVER / "remote/progress/train/a").exists()


@pytest.mark.parametrize(("here", "elsewhere", "expected"), [(5, 3, 5), (3, 5, 5), (0, 5, 5), (5, 0, 5), (5, 5, 5)])
def test_furthest_counts(here: int, elsewhere: int, expected: int) -> None:
    """The furthest state is used, local or remote; a further local one is uploaded."""
    other, progress, _ = handover("other")
    other.begin()
    save(progress, *[elsewhere] * bool(elsewhere))
    other.leave()
    mine, progress, said = handover("mine")
    save(progress, *[here] * bool(here))
    mine.begin()
    assert newest(progress) == expected
    assert bool(said) == (elsewhere > here)
    assert mine._uploads.rests_within(10)
    assert max(steps()) == expected
    mine.leave()


@pytest.mark.parametrize("damage", ["cut", "flip", "empty"])
def test_damaged_upload_is_passed_over(caplog: pytest.LogCaptureFixture, damage: str) -> None:
    """A damaged upload is deleted, and the previous state is used; without one training starts again."""
    first, progress, _ = handover("one")
    first.begin()
    save(progress, 1)
    assert first._uploads.rests_within(10)
    save(progress, 2)
    first.leave()
    for expected in (1, -1):
        path = max(SERVER.rglob("*.ckpt"))
        data = path.read_bytes()
        path.write_bytes({"cut": data[:-1], "flip": bytes([data[0] ^ 1]) + data[1:], "empty": b""}[damage])
        second, progress, _ = handover(f"two{expected}")
        second.begin()
        assert newest(progress) == expected
        assert f"{path} is damaged" in caplog.text
        assert not path.exists()
        second.leave()


def test_kill_during_an_upload_leaves_no_state(tmp_path: Path) -> None:
    """A partial upload has another name, and is deleted by the next upload."""
    first, progress, _ = handover("one")
    first.begin()
    half = tmp_path / SERVER / "remote/progress/train/a/0000000009-x.ckpt.part"
    half.write_bytes(b"half")
    second, other, _ = handover("two")
    second._lease = first._lease
    second.begin()
    assert newest(other) == -1
    save(progress, 1)
    first.leave()
    assert not half.exists()


def test_second_runner_stops() -> None:
    """A second runner names the first one, with a hint, and stops; after its end the second continues."""
    first, progress, _ = handover("one")
    first.begin()
    save(progress, 1)
    second, other, _ = handover("two")
    with pytest.raises(TrainingError) as caught:
        second.begin()
    (lease,) = there("lease-*")
    assert str(caught.value).startswith(f"{Path.cwd()}/server/remote/progress/train/a: {Runner.here()} is running this")
    assert f"delete {Path.cwd()}/server/remote/progress/train/a/{lease} to take over at once" in str(caught.value)
    first.leave()
    assert not there("lease-*")
    third, other, _ = handover("two")
    third.begin()
    assert newest(other) == 1
    third.leave()


def test_taken_over() -> None:
    """A runner that lost its lease continues training without uploads."""
    first, progress, _ = handover("one")
    first.begin()
    first._lease.is_lost = True
    save(progress, 1)
    first.leave()
    assert steps() == []


def test_remote_that_is_down_and_comes_back(caplog: pytest.LogCaptureFixture) -> None:
    """A remote that is down causes one warning with its error; once it is back, states are uploaded."""
    server = SharedFolder(SERVER)
    server.stop()
    first, progress, _ = handover("one")
    first.begin()
    save(progress, 1)
    assert first._uploads.rests_within(10)
    save(progress, 2)
    assert first._uploads.rests_within(10)
    (record,) = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert "compute.progress: " in record.getMessage()
    assert "no such folder" in record.getMessage()
    server.start()
    save(progress, 3)
    first.leave()
    assert steps() == [3]


class Mute(RemoteFolder):
    """A remote that accepts connections, and answers only if the test allows it."""

    def __init__(self) -> None:
        super().__init__(localfs, str(SERVER / "remote"), "a")
        self.asked: SimpleQueue[threading.Thread] = SimpleQueue()
        self.answered: list[str] = []
        self.is_over = threading.Event()

    def prepare(self) -> None:
        """Record the thread that asks."""
        self.asked.put(threading.current_thread())
        self.is_over.wait(60)
        self.answered.append("too late")
        raise OSError("too late")


@pytest.fixture
def mute() -> Iterator[Mute]:
    """Return such a remote."""
    folder = Mute()
    yield folder
    folder.is_over.set()


def test_remote_that_never_answers(
    mute: Mute, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Training starts, saves and ends without an answer; steps wait for nothing, and one upload runs at a time."""
    monkeypatch.setattr(attempts, "PATIENCE", 0.3)
    monkeypatch.setattr(attempts, "GRACE", 0.3)
    first, progress, said = handover("one", mute)
    first.begin()
    asking = mute.asked.get(timeout=60)
    save(progress, *range(20))
    uploading = mute.asked.get(timeout=60)
    first.leave()
    assert threading.current_thread() not in (asking, uploading)
    assert mute.asked.empty()
    assert not mute.answered
    assert [record.levelno for record in caplog.records].count(logging.WARNING) == 1
    assert "no answer in" in caplog.text
    assert len(said) == 1
    assert newest(progress) == 19


def test_second_signal_ends_at_once(mute: Mute, monkeypatch: pytest.MonkeyPatch) -> None:
    """The end of training waits for the upload; a second signal ends the wait."""
    first, progress, said = handover("one", mute)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(attempts, "PATIENCE", 0.1)
        first.begin()
    monkeypatch.setattr(attempts, "GRACE", 30.0)
    save(progress, 1)
    sent: list[str] = []

    def send() -> None:
        sent.extend(said)
        os.kill(os.getpid(), signal.SIGTERM)

    def say(what: str) -> None:
        said.append(what)
        threading.Timer(0.2, send).start()

    first._attempts._say = say
    with pytest.raises(KeyboardInterrupt):
        first.leave()
    assert sent == said
    assert "a second signal ends at once" in said[0]
    assert not mute.answered
