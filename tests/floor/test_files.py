"""Hashes and writes of files: readers see the complete old or new output, and nothing is left behind."""

import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pytest

from pipeline import paths
from pipeline.files import md5_of_bytes, md5_of_file, put, put_directory, write_text

OUTPUT = paths.DATA / "output"


@pytest.fixture(autouse=True)
def _project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make an empty project with a folder for unfinished work."""
    monkeypatch.chdir(tmp_path)
    paths.PROGRESS.mkdir(parents=True)


def fill(path: Path, text: str) -> Path:
    """Write `text` to a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def fill_folder(folder: Path, **files: str) -> Path:
    """Write a folder of files with a subfolder."""
    for name, text in files.items():
        fill(folder / "inner" / name, text)
    return folder


def files(folder: Path) -> dict[str, str]:
    """Return the text of every file in `folder`."""
    return {path.relative_to(folder).as_posix(): path.read_text() for path in folder.rglob("*") if path.is_file()}


def test_md5() -> None:
    """MD5s of bytes and of files of any size equal those in RFC 1321."""
    assert md5_of_bytes(b"abc") == "900150983cd24fb0d6963f7d28e17f72"
    for content in (b"", b"abc", bytes(2**20 + 1)):
        Path("content").write_bytes(content)
        assert md5_of_file(Path("content")) == md5_of_bytes(content)
    with pytest.raises(FileNotFoundError):
        md5_of_file(Path("missing"))


def left() -> list[Path]:
    """Return the content of the folder for unfinished work."""
    return list(paths.PROGRESS.iterdir())


def _full(*_: object) -> NoReturn:
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize("old", [None, "old", "much more than in the new one" * 1000])
def test_put(old: str | None) -> None:
    """A file is moved to a new or existing path, and is not in both places."""
    target = OUTPUT / "deep" / "file"
    if old is not None:
        fill(target, old)
    put(fill(paths.PROGRESS / "file", "new"), target)
    assert files(paths.DATA) == {"output/deep/file": "new"}
    assert left() == []


@pytest.mark.parametrize("link", [os.link, os.symlink])
def test_put_leaves_what_the_old_was_linked_to(link: Callable[[Path, Path], None]) -> None:
    """If the old file is a read-only link into DVC's cache, the cached object does not change."""
    cached = fill(Path("cache/object").absolute(), "cached")
    cached.chmod(0o444)
    OUTPUT.mkdir()
    link(cached, OUTPUT / "file")
    put(fill(paths.PROGRESS / "file", "new"), OUTPUT / "file")
    assert cached.read_text() == "cached"
    assert (OUTPUT / "file").read_text() == "new"
    assert not (OUTPUT / "file").is_symlink()


@pytest.mark.parametrize("step", ["os.fsync", "os.replace"])
def test_failed_put_leaves_the_old(monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    """If a move fails, for example on a full disk, the old and the new file stay where they are."""
    target = fill(OUTPUT / "file", "old")
    new = fill(paths.PROGRESS / "file", "new")
    with monkeypatch.context() as patch:
        patch.setattr(step, _full)
        with pytest.raises(OSError, match="No space left"):
            put(new, target)
    assert files(paths.DATA) == {"output/file": "old", ".progress/file": "new"}
    put(new, target)
    assert files(paths.DATA) == {"output/file": "new"}


def test_put_survives_a_power_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    """The bytes are on disk before the name points to them, and the name is when `put` returns."""
    steps: list[str] = []
    sync, replace = os.fsync, os.replace

    def note_sync(number: int) -> None:
        steps.append("folder" if stat.S_ISDIR(os.fstat(number).st_mode) else "file")
        sync(number)

    def note_replace(old: Path, new: Path) -> None:
        steps.append("replace")
        replace(old, new)

    monkeypatch.setattr(os, "fsync", note_sync)
    monkeypatch.setattr(os, "replace", note_replace)
    put(fill(paths.PROGRESS / "file", "new"), OUTPUT / "file")
    assert steps == ["file", "replace", "folder"]


def test_put_closes_what_it_opens(monkeypatch: pytest.MonkeyPatch) -> None:
    """No file stays open after success or failure."""
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 (a Path would leave it open)
    for number in range(3):
        put(fill(paths.PROGRESS / "file", str(number)), OUTPUT / "file")
    monkeypatch.setattr(os, "replace", _full)
    with pytest.raises(OSError, match="No space left"):
        put(fill(paths.PROGRESS / "file", "new"), OUTPUT / "file")
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208


@pytest.mark.parametrize("old", [None, {"kept": "old", "gone": "old"}])
def test_put_directory(old: dict[str, str] | None) -> None:
    """A folder replaces another one as a whole, and nothing of the old one is left."""
    if old is not None:
        fill_folder(OUTPUT, **old)
    put_directory(fill_folder(paths.PROGRESS / "new", kept="new", added="new"), OUTPUT)
    assert files(OUTPUT) == {"inner/kept": "new", "inner/added": "new"}
    assert left() == []
    assert sorted(path.name for path in paths.DATA.iterdir()) == [".progress", "output"]


def test_put_directory_where_no_parent_is() -> None:
    """Missing parent folders are created."""
    put_directory(fill_folder(paths.PROGRESS / "new", a="new"), OUTPUT / "deep" / "folder")
    assert files(paths.DATA) == {"output/deep/folder/inner/a": "new"}


def test_put_directory_that_cannot_begin_leaves_the_old(monkeypatch: pytest.MonkeyPatch) -> None:
    """If the old folder cannot be moved away, both stay where they are, and the next attempt succeeds."""
    fill_folder(OUTPUT, a="old")
    new = fill_folder(paths.PROGRESS / "new", a="new")
    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", _full)
        with pytest.raises(OSError, match="No space left"):
            put_directory(new, OUTPUT)
    assert files(OUTPUT) == {"inner/a": "old"}
    assert files(new) == {"inner/a": "new"}
    put_directory(new, OUTPUT)
    assert files(paths.DATA) == {"output/inner/a": "new"}


def test_put_directory_is_never_mixed(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a stop between the two steps, the old folder is restored, and the new one is complete and can be put."""
    fill_folder(OUTPUT, a="old", b="old")
    new = fill_folder(paths.PROGRESS / "new", a="new")
    move = Path.replace

    def stop(path: Path, target: Path) -> Path:
        if path == new:
            raise KeyboardInterrupt
        return move(path, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", stop)
        with pytest.raises(KeyboardInterrupt):
            put_directory(new, OUTPUT)
    assert files(OUTPUT) == {"inner/a": "old", "inner/b": "old"}
    assert left() == [new]
    assert files(new) == {"inner/a": "new"}
    put_directory(new, OUTPUT)
    assert files(paths.DATA) == {"output/inner/a": "new"}
    assert left() == []


def test_put_directory_clears_what_a_kill_left() -> None:
    """The remains of an earlier attempt are deleted."""
    fill_folder(paths.PROGRESS / "new.old", a="older")
    fill_folder(OUTPUT, a="old")
    put_directory(fill_folder(paths.PROGRESS / "new", a="new"), OUTPUT)
    assert files(paths.DATA) == {"output/inner/a": "new"}


@pytest.mark.parametrize("old", [None, "old\n"])
@pytest.mark.parametrize("text", ["", "new\n", "naïve “quotes” 猫\r\nno end"])
def test_write_text(old: str | None, text: str) -> None:
    """A file contains exactly the text, in UTF-8 with its line ends, and nothing is left next to it."""
    if old is not None:
        fill(OUTPUT / "file", old)
    write_text(OUTPUT / "file", text)
    assert (OUTPUT / "file").read_bytes() == text.encode()
    assert left() == []
    assert os.listdir(OUTPUT) == ["file"]  # noqa: PTH208


def test_write_text_makes_the_folders_it_needs() -> None:
    """The output's folder and the one for unfinished work are created."""
    paths.PROGRESS.rmdir()
    write_text(OUTPUT / "file", "new")
    assert files(paths.DATA) == {"output/file": "new"}


def test_same_text_is_not_written_again() -> None:
    """A file with the same text is not written again, and keeps its time."""
    write_text(OUTPUT / "file", "same")
    os.utime(OUTPUT / "file", (1, 1))
    before = (OUTPUT / "file").stat()
    write_text(OUTPUT / "file", "same")
    after = (OUTPUT / "file").stat()
    assert (after.st_ino, after.st_mtime) == (before.st_ino, before.st_mtime)
    write_text(OUTPUT / "file", "other")
    assert (OUTPUT / "file").stat().st_mtime != before.st_mtime


@pytest.mark.parametrize("step", ["os.fsync", "os.replace", "pathlib.Path.write_bytes"])
def test_failed_write_text_leaves_the_old(monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    """If writing fails, the output does not change, and no partial file is in an output."""
    fill(OUTPUT / "file", "old")
    with monkeypatch.context() as patch:
        patch.setattr(step, _full)
        with pytest.raises(OSError, match="No space left"):
            write_text(OUTPUT / "file", "new")
    assert files(OUTPUT) == {"file": "old"}
    write_text(OUTPUT / "file", "new")
    assert files(paths.DATA) == {"output/file": "new"}
