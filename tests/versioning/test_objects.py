"""Files by hash, from the workspace, DVC's cache, or its remote, and never damaged ones."""

import hashlib
import json
import os
import shutil
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from pipeline import paths
from pipeline.errors import MissingDataError
from pipeline.versioning import fetching, hashing, outputs, remote
from pipeline.versioning.lock import read_record

FILES = {"a": "first\n", "deep/b ü": "second\n"}
DVC_YAML = {
    "stages": {
        "train": {
            "cmd": "cp -r given data/model && mkdir -p data/report && cp given/a data/report/metrics.json",
            "deps": ["given"],
            "outs": ["data/model"],
            "metrics": [{"data/report/metrics.json": {"cache": False}}],
        }
    }
}
CACHE, REMOTE = Path(".dvc/cache/files/md5"), Path("../remote/files/md5")
UNKNOWN = "0" * 32 + ".dir"
HINT = "do this"
AGAIN = "run `dvc repro` again when it can be"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a DVC repository whose stage `train` has made data/model, pushed to a folder. Tests copy it."""
    root = tmp_path_factory.mktemp("store") / "repo"
    fill(root / "given")
    (root / "data").mkdir()
    YAML().dump(DVC_YAML, root / "dvc.yaml")
    for command in ("git init --quiet", "dvc init --quiet"):
        subprocess.run(command.split(), cwd=root, check=True)
    (root / ".dvc/config").write_text("[core]\n    remote = storage\n['remote \"storage\"']\n    url = ../../remote\n")
    for command in ("dvc repro --quiet", "dvc push --quiet"):
        subprocess.run(command.split(), cwd=root, check=True)
    return root.parent


@pytest.fixture(autouse=True)
def _repo(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make a copy of the repository the working directory, with data/model as the stage made it."""
    shutil.copytree(made, tmp_path / "copy")
    monkeypatch.chdir(tmp_path / "copy" / "repo")


@pytest.fixture
def oid() -> str:
    """Return the hash of data/model, after removing it from the workspace."""
    shutil.rmtree(paths.MODEL)
    return read_record()["train"].outs["data/model"]


def fill(folder: Path, **changes: str) -> Path:
    """Write a folder with the files of data/model and `changes`."""
    for name, text in {**FILES, **changes}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def texts(folder: Path) -> dict[str, str]:
    """Return the text of every file in `folder`."""
    return {path.relative_to(folder).as_posix(): path.read_text() for path in folder.rglob("*") if path.is_file()}


def object_of(oid: str, name: str | None = None, *, among: Path = CACHE) -> Path:
    """Return the cached object of the directory `oid`, or of the file `name` in it."""
    path = among / oid[:2] / oid[2:]
    if name is None:
        return path
    md5s: dict[str, str] = {entry["relpath"]: entry["md5"] for entry in json.loads(path.read_text())}
    return among / md5s[name][:2] / md5s[name][2:]


def damage(path: Path, text: str = "damaged") -> None:
    """Change the bytes of the read-only `path`, like a disk error."""
    path.chmod(0o644)
    path.write_text(text)
    path.chmod(0o444)


def forget_remote() -> None:
    """Remove the remote."""
    Path(".dvc/config").write_text("")


def fetch(oid: str) -> dict[str, str]:
    """Return the text of every file that `fetch` returns."""
    return {name: path.read_text() for name, path in fetching.fetch(oid, what="the model", hint=HINT).items()}


def copy(oid: str) -> dict[str, str]:
    """Return the text of every file that `copy_directory` writes."""
    fetching.copy_directory(oid, Path("copy"), nearby=paths.MODEL, what="the model", hint=HINT)
    return texts(Path("copy"))


def complaint(attempt: Callable[[], object], hint: str = HINT) -> str:
    """Return the one-line error of `attempt`, which ends with a hint."""
    with pytest.raises(MissingDataError) as raised:
        attempt()
    said = str(raised.value)
    assert said.splitlines() == [said]
    assert said.endswith(f"; {hint}")
    return said


@pytest.mark.parametrize("get", [fetch, copy])
def test_from_the_cache(oid: str, get: Callable[[str], dict[str, str]]) -> None:
    """Cached data needs no remote, and does not appear in the workspace."""
    forget_remote()
    shutil.rmtree(REMOTE)
    assert get(oid) == FILES
    assert not paths.MODEL.exists()


@pytest.mark.parametrize("get", [fetch, copy])
@pytest.mark.parametrize("lost", ["everything", "listing", "a", "deep/b ü"])
def test_from_the_remote(oid: str, get: Callable[[str], dict[str, str]], lost: str) -> None:
    """Data that the cache lacks, all or some, is fetched from the remote into the cache."""
    if lost == "everything":
        shutil.rmtree(CACHE)
    else:
        object_of(oid, None if lost == "listing" else lost).unlink()
    assert get(oid) == FILES
    shutil.rmtree(REMOTE)
    assert get(oid) == FILES


def test_cached_files_are_named_by_their_hash(oid: str) -> None:
    """The paths of cached files contain their hashes, for checks."""
    for name, path in fetching.fetch(oid, what="the model", hint=HINT).items():
        assert path.samefile(object_of(oid, name))


@pytest.mark.parametrize("name", FILES)
def test_damaged_cache_object_is_fetched_again(oid: str, caplog: pytest.LogCaptureFixture, name: str) -> None:
    """A damaged cached file is reported, not copied, and fetched again."""
    damage(object_of(oid, name))
    assert copy(oid) == FILES
    assert "damaged copies of" in caplog.text
    assert object_of(oid, name).name in caplog.text
    caplog.clear()
    shutil.rmtree(REMOTE)
    assert copy(oid) == FILES
    assert "damaged" not in caplog.text


@pytest.mark.parametrize("get", [fetch, copy])
@pytest.mark.parametrize("change", ["damaged", "[]", ""], ids=["no listing", "an empty one", "one file less"])
def test_listing_that_was_written_to_is_fetched_again(
    oid: str, get: Callable[[str], dict[str, str]], change: str
) -> None:
    """A cached listing that does not match its hash is not used."""
    listed = json.loads(object_of(oid).read_text())
    damage(object_of(oid), change or json.dumps(listed[1:]))
    assert get(oid) == FILES


def test_damage_everywhere(oid: str) -> None:
    """If the remote's copy is damaged, too, the error says so."""
    damage(object_of(oid, "a", among=REMOTE))
    damage(object_of(oid, "a"))
    assert f"the model: {oid}: every copy of it is damaged" in complaint(lambda: copy(oid))


@pytest.mark.parametrize("get", [fetch, copy])
def test_unknown_hash(get: Callable[[str], dict[str, str]]) -> None:
    """An unknown hash is a one-line error: what, its hash, where it was searched, and a hint."""
    where = "looked in workspace, cache and remote 'storage'"
    expected = f"the model: {UNKNOWN} is recorded, but cannot be found ({where}); {HINT}"
    assert complaint(lambda: get(UNKNOWN)) == expected


def test_unknown_hash_without_a_remote() -> None:
    """A missing remote is reported as such."""
    forget_remote()
    said = complaint(lambda: fetch(UNKNOWN))
    assert f"{UNKNOWN} is recorded, but cannot be found (looked in workspace and cache; no remote is set)" in said


@pytest.mark.parametrize("name", FILES)
def test_half_a_directory_is_none(oid: str, name: str) -> None:
    """If one file of a directory is missing, the whole directory is unavailable."""
    object_of(oid, name).unlink()
    object_of(oid, name, among=REMOTE).unlink()
    lacks = f"{oid} is recorded, but cannot be found, since {name} is missing ("
    assert lacks in complaint(lambda: fetch(oid))
    assert lacks in complaint(lambda: copy(oid))


@pytest.mark.parametrize(
    ("url", "reason"),
    [("../../elsewhere", "no such folder"), ("gs://bucket", "dvc-gs"), (None, "'other'")],
    ids=["not mounted", "package not installed", "not configured"],
)
def test_remote_that_fails(oid: str, url: str | None, reason: str) -> None:
    """An error of the remote is reported in one line, which does not claim that data is lost."""
    shutil.rmtree(CACHE)
    remote = "" if url is None else f"['remote \"other\"']\n    url = {url}\n"
    Path(".dvc/config").write_text(f"[core]\n    remote = other\n{remote}")
    said = complaint(lambda: fetch(oid), hint=AGAIN)
    assert said.startswith(f"the model: {oid} is recorded, but cannot be pulled from remote 'other': ")
    assert reason in said


def test_remote_that_answers_nothing(oid: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that accepts connections and never answers causes a timeout."""
    monkeypatch.setattr(remote, "PATIENCE", 0.5)
    shutil.rmtree(CACHE)
    with socket.create_server(("127.0.0.1", 0)) as mute:
        url = f"ssh://127.0.0.1:{mute.getsockname()[1]}/somewhere"
        Path(".dvc/config").write_text(f"[core]\n    remote = other\n['remote \"other\"']\n    url = {url}\n")
        assert "remote 'other': no answer in " in complaint(lambda: fetch(oid), hint=AGAIN)


def test_no_room_for_what_is_pulled(oid: str, capfd: pytest.CaptureFixture[str]) -> None:
    """If the cache is full, the data is not reported as lost, and there is no traceback."""
    lost = object_of(oid, "a")
    lost.unlink()
    lost.parent.rmdir()
    lost.parent.touch()
    said = complaint(lambda: fetch(oid), hint=AGAIN)
    assert "cannot be pulled from remote 'storage': " in said
    assert str(lost.parent.name) in said
    assert capfd.readouterr() == ("", "")


def test_copy_from_nearby() -> None:
    """Data in the workspace needs neither cache nor remote, and is copied, even if it consists of links."""
    oid = read_record()["train"].outs["data/model"]
    aside = Path("aside").absolute()
    for name in FILES:
        (aside / name).parent.mkdir(parents=True, exist_ok=True)
        (paths.MODEL / name).replace(aside / name)
        (paths.MODEL / name).symlink_to(aside / name)
    shutil.rmtree(CACHE)
    shutil.rmtree(REMOTE)
    assert copy(oid) == FILES
    assert not any(path.is_symlink() for path in Path("copy").rglob("*"))
    assert not any(path.samefile(aside / name) for name in FILES for path in [Path("copy") / name])


@pytest.mark.parametrize("changes", [{"a": "FIRST\n"}, {"more": ""}])
def test_nearby_of_other_bytes_is_not_copied(oid: str, changes: dict[str, str]) -> None:
    """Data in the workspace is used only if all bytes match the hash."""
    fill(paths.MODEL, **changes)
    assert copy(oid) == FILES
    assert texts(paths.MODEL) == {**FILES, **changes}


def test_copy_replaces_what_an_earlier_attempt_left(oid: str) -> None:
    """Files of an earlier attempt at the destination are replaced."""
    (Path("copy") / "left").parent.mkdir()
    (Path("copy") / "left").touch()
    assert copy(oid) == FILES


@pytest.mark.parametrize("before", [{}, {"a": "other"}, {"more": "more"}])
@pytest.mark.parametrize("cached", [True, False])
def test_checkout(oid: str, cached: bool, before: dict[str, str]) -> None:  # noqa: FBT001 (a parameter of the test)
    """An output is restored as dvc.lock records it, over any content, also from the remote."""
    for name, text in before.items():
        paths.MODEL.mkdir(exist_ok=True)
        (paths.MODEL / name).write_text(text)
    if not cached:
        shutil.rmtree(CACHE)
    outputs.checkout("train", paths.MODEL, hint=HINT)
    assert texts(paths.MODEL) == FILES
    assert hashing.directory_hash(paths.MODEL) == oid


def test_checkout_of_what_is_lost(oid: str) -> None:
    """If it cannot be found, the error names it, and nothing partial is written."""
    object_of(oid, "a").unlink()
    shutil.rmtree(REMOTE)
    said = complaint(lambda: outputs.checkout("train", paths.MODEL, hint=HINT))
    assert said.startswith(f"data/model: {oid} is recorded")
    assert not paths.MODEL.exists()


def test_removed_outputs_are_put_back(oid: str) -> None:
    """Outputs that DVC removed before the stage are restored from the cache, including metrics in Git."""
    forget_remote()
    shutil.rmtree(paths.REPORT)
    outputs.restore_outputs("train")
    assert texts(paths.MODEL) == FILES
    assert hashing.directory_hash(paths.MODEL) == oid
    assert texts(paths.REPORT) == {"metrics.json": FILES["a"]}


def test_outputs_that_are_there_are_left_alone() -> None:
    """Existing outputs are not replaced, even if they changed."""
    shutil.rmtree(paths.REPORT)
    fill(paths.MODEL, a="by hand")
    outputs.restore_outputs("train")
    assert texts(paths.MODEL) == {**FILES, "a": "by hand"}
    assert texts(paths.REPORT) == {"metrics.json": FILES["a"]}


@pytest.mark.parametrize("trouble", ["no cache", "no record", "no such stage", "broken record", "no repository"])
@pytest.mark.usefixtures("oid")
def test_what_cannot_be_put_back(trouble: str) -> None:
    """Restoring happens while another error is reported, so it raises none."""
    if trouble == "no cache":
        shutil.rmtree(CACHE.parent)
    elif trouble == "no record":
        paths.LOCK.unlink()
    elif trouble == "broken record":
        paths.LOCK.write_text("<<<<<<< ours\n")
    elif trouble == "no repository":
        shutil.rmtree(".dvc")
    outputs.restore_outputs("ingest" if trouble == "no such stage" else "train")
    assert not paths.MODEL.exists()


@pytest.mark.parametrize("hash_of", [hashing.directory_hash, hashing.known_directory_hash])
def test_hash_is_that_of_dvc(hash_of: Callable[[Path], str | None]) -> None:
    """A directory's hash equals DVC's, and depends only on names and bytes."""
    recorded = read_record()["train"].outs["data/model"]
    assert hash_of(paths.MODEL) == recorded
    os.utime(paths.MODEL / "a", (1, 1))
    (paths.MODEL / "empty").mkdir()
    assert hash_of(paths.MODEL) == recorded
    (paths.MODEL / "a").unlink()
    (paths.MODEL / "a").write_text("FIRST\n")
    changed = hash_of(paths.MODEL)
    (paths.MODEL / "a").write_text("first\n")
    assert hash_of(paths.MODEL) == recorded
    (paths.MODEL / "a").rename(paths.MODEL / "A")
    assert len({recorded, changed, hash_of(paths.MODEL)}) == 3


@pytest.mark.parametrize("hash_of", [hashing.directory_hash, hashing.known_directory_hash])
def test_hash_of_no_directory(hash_of: Callable[[Path], str | None]) -> None:
    """A path that is no directory has no hash."""
    assert hash_of(Path("nowhere")) is None
    assert hash_of(Path("dvc.yaml")) is None


@pytest.mark.usefixtures("oid")
def test_half_a_directory_is_not_put_back(oid: str) -> None:
    """If the cache lacks one file of a directory, nothing of it is restored."""
    object_of(oid, "a").unlink()
    outputs.restore_outputs("train")
    assert not paths.MODEL.exists()


def read(md5: str) -> str:
    """Return the text of the file of data/model with that hash."""
    return fetching.read_file(md5, nearby=paths.MODEL / "a", what="the file", hint=HINT).decode()


@pytest.mark.parametrize("lost", ["nothing", "workspace", "cache", "workspace changed", "cache damaged"])
def test_file_is_found_wherever_it_is_whole(lost: str) -> None:
    """A file is taken from the workspace if its hash matches, else from the cache, else from the remote."""
    md5 = object_of(read_record()["train"].outs["data/model"], "a")
    name = md5.parent.name + md5.name
    if lost != "nothing":
        (paths.MODEL / "a").unlink()
    if lost == "workspace changed":
        (paths.MODEL / "a").write_text("by hand")
    if lost == "cache":
        md5.unlink()
    if lost == "cache damaged":
        damage(md5)
    if not lost.startswith("cache"):
        shutil.rmtree(REMOTE)
    assert read(name) == FILES["a"]
    if lost.startswith("cache"):
        assert md5.read_text() == FILES["a"]


def test_file_that_is_nowhere(oid: str) -> None:
    """The error contains what was searched, where, and a hint; damaged copies do not count."""
    damage(object_of(oid, "a"))
    damage(object_of(oid, "a", among=REMOTE))
    md5 = hashlib.md5(FILES["a"].encode()).hexdigest()
    said = complaint(lambda: read(md5))
    assert said.startswith(f"the file: {md5} is recorded, but cannot be found (looked in workspace, cache and remote")


@pytest.mark.parametrize("where", ["cache", "remote", "damaged cache"])
def test_a_single_file(oid: str, where: str) -> None:
    """A single file of a directory is taken from the cache if it is intact there, else from the remote."""
    path, other = object_of(oid, "deep/b ü"), object_of(oid, "a")
    if where == "remote":
        shutil.rmtree(CACHE)
    if where == "damaged cache":
        damage(path)
    found = fetching.fetch_member(oid, "deep/b ü", what="the model", hint=HINT)
    assert (found.read_text(), found.resolve()) == (FILES["deep/b ü"], path.resolve())
    assert other.exists() == (where != "remote")
    assert fetching.fetch_file(path.parent.name + path.name, what="a file", hint=HINT) == found


def test_a_single_file_that_is_nowhere(oid: str) -> None:
    """A file that is nowhere, or not in the directory, is an error."""
    assert "there is no c in" in complaint(lambda: fetching.fetch_member(oid, "c", what="the model", hint=HINT))
    assert UNKNOWN in complaint(lambda: fetching.fetch_member(UNKNOWN, "a", what="the model", hint=HINT))
    assert UNKNOWN[:32] in complaint(lambda: fetching.fetch_file(UNKNOWN[:32], what="a file", hint=HINT))


def test_a_single_file_that_is_damaged(oid: str) -> None:
    """A damaged file is not used, and without a remote that is an error."""
    forget_remote()
    damage(object_of(oid, "a"))
    assert "no remote is set" in complaint(lambda: fetching.fetch_member(oid, "a", what="the model", hint=HINT))
