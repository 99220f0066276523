"""The first stage on data/raw: real Git, real DVC, no image is decoded."""

import json
import shutil
from pathlib import Path

import pytest
from conftest import Project


def listing(project: Project, *, ok: bool = True) -> str:
    """Run the stage, and return its output."""
    return project.pipeline("run", "listing", ok=ok).out


def cached(project: Project, md5: str) -> Path:
    """Return the path of an object in DVC's cache."""
    return project.root / ".dvc/cache/files/md5" / md5[:2] / md5[2:]


def recorded(project: Project) -> str:
    """Return the hash of data/raw in data/raw.dvc."""
    return project.read("data/raw.dvc").split("md5: ")[1].split()[0]


@pytest.fixture
def tracked(project: Project) -> Project:
    """Make a project with a few images tracked by DVC."""
    project.add_digits(0, 6)
    project.add_raw()
    return project


def test_it_records_what_dvc_would(tracked: Project) -> None:
    """After new, changed and deleted files, data/raw.dvc equals that of `dvc add`, and data/raw.hash names its hash."""
    assert listing(tracked) == "listing: 6 files in data/raw\n"
    assert tracked.read("data/raw.hash") == f"{recorded(tracked)}\n"
    paths = tracked.add_digits(6, 9)
    paths[0].write_bytes(b"something else")
    tracked.add_digits(0, 1)[0].unlink()
    (tracked.root / "data/raw/é é").mkdir()
    shutil.copy(paths[1], tracked.root / "data/raw/é é/Ä.png")
    assert listing(tracked) == "listing: 9 files in data/raw, 1 removed\n"
    ours = tracked.read("data/raw.dvc")
    tracked.dvc("add", "--quiet", "data/raw")
    assert tracked.read("data/raw.dvc") == ours
    assert tracked.read("data/raw.hash") == f"{recorded(tracked)}\n"
    listed = json.loads(cached(tracked, recorded(tracked)).read_text())
    assert {f"data/raw/{entry['relpath']}": entry["md5"] for entry in listed} == tracked.snapshot("data/raw")
    assert all(cached(tracked, entry["md5"]).exists() for entry in listed)


def test_an_incomplete_lock_file_is_not_overwritten(tracked: Project) -> None:
    """If DVC was killed while it wrote dvc.lock, the first stage fails, so DVC does not complete the file."""
    tracked.repro("listing")
    lock = tracked.root / "dvc.lock"
    cut = lock.read_bytes()[:-1]
    lock.write_bytes(cut)
    assert "dvc.lock: incomplete" in tracked.repro("listing", ok=False)
    assert lock.read_bytes() == cut


def test_what_moved_is_not_removed(tracked: Project) -> None:
    """A moved file does not count as removed; `pipeline status` agrees."""
    tracked.repro("ingest")
    first, second, third, fourth, *_ = tracked.add_digits(0, 6)
    first.rename(first.with_name("other.png"))
    (tracked.root / "data/raw/more").mkdir()
    second.rename(tracked.root / "data/raw/more" / second.name)
    fourth.replace(third)  # The replaced content is lost.
    assert "images  3 moved, 1 removed, 2 relabelled" in tracked.pipeline("status").out
    assert listing(tracked) == "listing: 5 files in data/raw, 3 moved, 1 removed\n"
    assert listing(tracked) == "listing: 5 files in data/raw\n"


def test_nothing_new_writes_nothing(tracked: Project) -> None:
    """A second run changes no file; a lost cache is filled again."""
    listing(tracked)
    files = [tracked.root / name for name in ("data/raw.dvc", "data/raw.hash")]
    before = [(file.stat().st_mtime_ns, file.stat().st_ino) for file in files]
    listing(tracked)
    assert [(file.stat().st_mtime_ns, file.stat().st_ino) for file in files] == before
    shutil.rmtree(tracked.root / ".dvc/cache/files/md5")
    listing(tracked)
    listed = json.loads(cached(tracked, recorded(tracked)).read_text())
    assert all(cached(tracked, entry["md5"]).exists() for entry in listed)


@pytest.mark.parametrize("kind", ["symlink", "hardlink"])
def test_links_are_made_as_dvc_makes_them(tracked: Project, kind: str) -> None:
    """With `cache.type` a new file becomes a link to the cached object, as with `dvc add`."""
    tracked.dvc("config", "cache.type", kind)
    (path,) = tracked.add_digits(6, 7)
    listing(tracked)
    md5 = tracked.snapshot("data/raw")[path.relative_to(tracked.root).as_posix()]
    assert path.samefile(cached(tracked, md5))
    assert path.is_symlink() == (kind == "symlink")


def test_what_it_cannot_list(tracked: Project) -> None:
    """A file that DVC cannot hash is named with a hint; so are a missing folder and one without a record."""
    (tracked.root / "data/raw/broken").symlink_to("nowhere")
    assert "data/raw/broken: a link to nothing, and DVC cannot go on past it" in listing(tracked, ok=False)
    (tracked.root / "data/raw/broken").unlink()
    tracked.repro("ingest")
    shutil.rmtree(tracked.root / "data/raw")
    assert "data/raw: not here; run `dvc pull data/raw.dvc`" in listing(tracked, ok=False)
    tracked.dvc("checkout", "--quiet", "data/raw.dvc")
    assert listing(tracked) == "listing: 6 files in data/raw\n"
    (tracked.root / "data/raw.dvc").unlink()
    assert "not tracked by DVC yet; run `dvc add data/raw` once" in listing(tracked, ok=False)


def test_a_file_in_the_way_of_a_folder(tracked: Project, tmp_path: Path) -> None:
    """A local file with the name of a folder of absent files is an error that asks to move it."""
    tracked.dvc("remote", "add", "--default", "storage", str(tmp_path / "remote"))
    tracked.commit("images")
    tracked.dvc("push", "--quiet")
    clone = tracked.clone(tmp_path / "clone")
    (clone.root / "data/raw").mkdir()
    (clone.root / "data/raw/digit 1").write_text("no folder")
    said = listing(clone, ok=False)
    assert "data/raw/digit 1: a file where data/raw.dvc lists a folder, or the other way round; give the one" in said
    (clone.root / "data/raw/digit 1").rename(clone.root / "data/raw/digit 1.txt")
    assert listing(clone) == "listing: 7 files in data/raw; 6 of them not here\n"
