"""A folder has settled when nothing changes in it any more, and every arrival is reported."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from threading import Event, Timer

import pytest
from conftest import ROOT
from hypothesis import given
from hypothesis import strategies as st

from pipeline.commands.watch.settling import UNFINISHED, Settling, Stamp, arrivals, content, is_passing, look

QUIET = 1.0


@pytest.fixture
def stop() -> Iterator[Event]:
    """Return the event that ends the arrivals."""
    event = Event()
    yield event
    event.set()


@pytest.mark.parametrize("path", ["a.png.part", "cat/b.zip.crdownload", ".DS_Store", "cat/.x.png.Ab3", ".old/a.png"])
def test_passing(path: str) -> None:
    """Incomplete and hidden files are not arrivals."""
    assert is_passing(path)


@pytest.mark.parametrize("path", ["a.png", "cat/party.zip", "a.part/b.png", "tmp", "cat.v2/ü.jpg"])
def test_not_passing(path: str) -> None:
    """Files with similar names are arrivals."""
    assert not is_passing(path)


def test_dvc_does_not_see_what_is_half_copied() -> None:
    """.dvcignore contains the suffixes of incomplete files."""
    lines = (ROOT / ".dvcignore").read_text(encoding="utf-8").splitlines()
    assert {line for line in lines if line.startswith("data/raw/")} == {f"data/raw/**/*{name}" for name in UNFINISHED}


def test_look(tmp_path: Path) -> None:
    """Every file has a stamp, whatever its name, except incomplete files and broken links."""
    names = ["a.png", "cat/\udcff.png", "cat/deep/line\nbreak.png", ".hidden"]
    for number, name in enumerate(names):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(bytes(number))
    (tmp_path / "b.png.part").touch()
    (tmp_path / "nowhere").symlink_to("gone")
    found = look(tmp_path)
    assert {name: stamp.size for name, stamp in found.items()} == {name: size for size, name in enumerate(names)}
    assert set(content(found)) == set(names[:3])
    assert look(tmp_path / "gone") == {}


@pytest.mark.parametrize("change", ["longer", "written", "renamed", "removed"])
def test_content_changes(tmp_path: Path, change: str) -> None:
    """A possible change of an image changes the content; another file mode does not."""
    path = tmp_path / "a.png"
    path.write_bytes(b"1")
    os.utime(path, ns=(1, 1))
    before = content(look(tmp_path))
    path.chmod(0o600)
    assert content(look(tmp_path)) == before
    match change:
        case "longer":
            path.write_bytes(b"22")
            os.utime(path, ns=(1, 1))
        case "written":
            os.utime(path, ns=(1, 2))
        case "renamed":
            path.rename(tmp_path / "b.png")
        case "removed":
            path.unlink()
    assert content(look(tmp_path)) != before


@given(st.integers(0, 20), st.lists(st.tuples(st.integers(0, 10), st.booleans()), min_size=1))
def test_settling(seconds: int, looks: list[tuple[int, bool]]) -> None:
    """A folder is still if the last change was at least `seconds` ago, whenever it is inspected."""
    settling, now, changed, size = Settling(seconds), 1000, 1000, 0
    assert settling.is_still({"a": Stamp(0, 0, changed * 10**9)}, now) == (seconds == 0)
    for passed, has_changed in looks:
        now += passed
        if has_changed:
            size, changed = size + 1, now
        assert settling.is_still({"a": Stamp(size, 0, 1000 * 10**9)}, now) == (now - changed >= seconds)


def test_settled_long_ago() -> None:
    """Old files are not waited for; a wrong clock causes no long wait."""
    assert Settling(10).is_still({"a": Stamp(0, 0, 5 * 10**9)}, 15)
    ahead = Settling(10)
    assert [ahead.is_still({"a": Stamp(0, 0, 10**15)}, now) for now in (100, 109, 110)] == [False, False, True]
    back = Settling(10)
    assert [back.is_still({"a": Stamp(0, 0, 4990 * 10**9)}, now) for now in (5000, 100, 110)] == [True, False, True]


@pytest.mark.parametrize("polling", ["", "1"])
def test_nothing_is_missed(tmp_path: Path, stop: Event, monkeypatch: pytest.MonkeyPatch, polling: str) -> None:
    """Existing files are reported, then changes between two yields, and changes during a wait."""
    monkeypatch.setenv("WATCHFILES_FORCE_POLLING", polling)
    settled = arrivals(tmp_path, 0.1, stop)
    next(settled)
    (tmp_path / "cat").mkdir()
    (tmp_path / "cat/1.png").touch()
    next(settled)
    (tmp_path / "cat/2.png.part").touch()
    later = Timer(1, (tmp_path / "cat/2.png.part").rename, [tmp_path / "cat/2.png"])
    later.start()
    next(settled)
    assert (tmp_path / "cat/2.png").exists()
    later.join()
    stop.set()
    assert list(settled) == []


def test_without_events(tmp_path: Path, stop: Event, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the system cannot watch the folder, it is inspected periodically."""

    def fail(*_: object, **__: object) -> None:
        raise OSError(28, "OS file watch limit reached")

    monkeypatch.setattr("watchfiles.watch", fail)
    monkeypatch.setattr("pipeline.commands.watch.settling.UNASKED", 1)
    settled = arrivals(tmp_path, 0, stop)
    next(settled)
    (tmp_path / "1.png").touch()
    next(settled)


def test_slow_copy_is_waited_for(tmp_path: Path, stop: Event) -> None:
    """A growing file with short pauses is reported once, when it is complete."""
    target, pieces = tmp_path / "big.zip", 15
    settled = arrivals(tmp_path, QUIET, stop)
    next(settled)
    code = f'for _ in $(seq {pieces}); do printf 12345 >> "$0"; sleep 0.1; done'
    with subprocess.Popen(["sh", "-c", code, str(target)]) as copying:
        next(settled)
        assert target.stat().st_size == 5 * pieces
        assert copying.wait() == 0
    stop.set()
    assert list(settled) == []


def test_stops_while_it_settles(tmp_path: Path, stop: Event) -> None:
    """A stop is not delayed until the folder settles."""
    (tmp_path / "new.png").touch()
    Timer(0.5, stop.set).start()
    assert list(arrivals(tmp_path, 1e6, stop)) == []
