"""Files by their hash: from the workspace, else DVC's cache, else its remote, and never a damaged one."""

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
    """A DVC repository whose stage `train` has made data/model, pushed to a folder beside it. Copied, never changed."""
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
    """The working directory is a copy of the repository, in which data/model is there as the stage has made it."""
    shutil.copytree(made, tmp_path / "copy")
    monkeypatch.chdir(tmp_path / "copy" / "repo")


@pytest.fixture
def oid() -> str:
    """The hash of data/model, which the workspace has lost."""
    shutil.rmtree(paths.MODEL)
    return read_record()["train"].outs["data/model"]


def fill(folder: Path, **changes: str) -> Path:
    """A folder with the files of data/model, but for `changes`."""
    for name, text in {**FILES, **changes}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def texts(folder: Path) -> dict[str, str]:
    """The text of every file in `folder`."""
    return {path.relative_to(folder).as_posix(): path.read_text() for path in folder.rglob("*") if path.is_file()}


def object_of(oid: str, name: str | None = None, *, among: Path = CACHE) -> Path:
    """Where the directory `oid` lies in the cache, or the file `name` in it."""
    path = among / oid[:2] / oid[2:]
    if name is None:
        return path
    md5s: dict[str, str] = {entry["relpath"]: entry["md5"] for entry in json.loads(path.read_text())}
    return among / md5s[name][:2] / md5s[name][2:]


def damage(path: Path, text: str = "damaged") -> None:
    """Change the bytes of `path`, which DVC has made read-only, and which stays so, as where a disk fails."""
    path.chmod(0o644)
    path.write_text(text)
    path.chmod(0o444)


def forget_remote() -> None:
    """Let there be no remote."""
    Path(".dvc/config").write_text("")


def fetch(oid: str) -> dict[str, str]:
    """The text of every file that `fetch` brings."""
    return {name: path.read_text() for name, path in fetching.fetch(oid, what="the model", hint=HINT).items()}


def copy(oid: str) -> dict[str, str]:
    """The text of every file that `copy_directory` writes."""
    fetching.copy_directory(oid, Path("copy"), nearby=paths.MODEL, what="the model", hint=HINT)
    return texts(Path("copy"))


def complaint(attempt: Callable[[], object], hint: str = HINT) -> str:
    """What `attempt` complains of, in one line that ends with the way on."""
    with pytest.raises(MissingDataError) as raised:
        attempt()
    said = str(raised.value)
    assert said.splitlines() == [said]
    assert said.endswith(f"; {hint}")
    return said


@pytest.mark.parametrize("get", [fetch, copy])
def test_from_the_cache(oid: str, get: Callable[[str], dict[str, str]]) -> None:
    """What the cache has needs no remote, and nothing of it appears in the workspace."""
    forget_remote()
    shutil.rmtree(REMOTE)
    assert get(oid) == FILES
    assert not paths.MODEL.exists()


@pytest.mark.parametrize("get", [fetch, copy])
@pytest.mark.parametrize("lost", ["everything", "listing", "a", "deep/b ü"])
def test_from_the_remote(oid: str, get: Callable[[str], dict[str, str]], lost: str) -> None:
    """What the cache lacks, all of it or a part, comes from the remote, and is in the cache from then on."""
    if lost == "everything":
        shutil.rmtree(CACHE)
    else:
        object_of(oid, None if lost == "listing" else lost).unlink()
    assert get(oid) == FILES
    shutil.rmtree(REMOTE)
    assert get(oid) == FILES


def test_cached_files_are_named_by_their_hash(oid: str) -> None:
    """Who is given a cached file can check it by its name."""
    for name, path in fetching.fetch(oid, what="the model", hint=HINT).items():
        assert path.samefile(object_of(oid, name))


@pytest.mark.parametrize("name", FILES)
def test_damaged_cache_object_is_fetched_again(oid: str, caplog: pytest.LogCaptureFixture, name: str) -> None:
    """A cached file whose bytes are not those of its hash is not copied, is said to be damaged, and is mended."""
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
    """A cached listing that is not the one of that hash is believed in nothing."""
    listed = json.loads(object_of(oid).read_text())
    damage(object_of(oid), change or json.dumps(listed[1:]))
    assert get(oid) == FILES


def test_damage_everywhere(oid: str) -> None:
    """Where the remote's copy is damaged as well, that is said."""
    damage(object_of(oid, "a", among=REMOTE))
    damage(object_of(oid, "a"))
    assert f"the model: {oid}: every copy of it is damaged" in complaint(lambda: copy(oid))


@pytest.mark.parametrize("get", [fetch, copy])
def test_unknown_hash(get: Callable[[str], dict[str, str]]) -> None:
    """A hash that nobody knows is an error in one line: what, its hash, where was looked, and what to do."""
    where = "looked in workspace, cache and remote 'storage'"
    expected = f"the model: {UNKNOWN} is recorded, but cannot be found ({where}); {HINT}"
    assert complaint(lambda: get(UNKNOWN)) == expected


def test_unknown_hash_without_a_remote() -> None:
    """Where there is no remote, that is what is said."""
    forget_remote()
    said = complaint(lambda: fetch(UNKNOWN))
    assert f"{UNKNOWN} is recorded, but cannot be found (looked in workspace and cache; no remote is set)" in said


@pytest.mark.parametrize("name", FILES)
def test_half_a_directory_is_none(oid: str, name: str) -> None:
    """Where one file cannot be found, the whole directory is not."""
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
    """What is wrong with the remote is in the one line, which does not say that anything is lost."""
    shutil.rmtree(CACHE)
    remote = "" if url is None else f"['remote \"other\"']\n    url = {url}\n"
    Path(".dvc/config").write_text(f"[core]\n    remote = other\n{remote}")
    said = complaint(lambda: fetch(oid), hint=AGAIN)
    assert said.startswith(f"the model: {oid} is recorded, but cannot be pulled from remote 'other': ")
    assert reason in said


def test_remote_that_answers_nothing(oid: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for ever for a server that takes connections and never says a word."""
    monkeypatch.setattr(remote, "PATIENCE", 0.5)
    shutil.rmtree(CACHE)
    with socket.create_server(("127.0.0.1", 0)) as mute:
        url = f"ssh://127.0.0.1:{mute.getsockname()[1]}/somewhere"
        Path(".dvc/config").write_text(f"[core]\n    remote = other\n['remote \"other\"']\n    url = {url}\n")
        assert "remote 'other': no answer in " in complaint(lambda: fetch(oid), hint=AGAIN)


def test_no_room_for_what_is_pulled(oid: str, capfd: pytest.CaptureFixture[str]) -> None:
    """What the remote has, but the cache cannot take, is not called lost; and nobody is shown a traceback."""
    lost = object_of(oid, "a")
    lost.unlink()
    lost.parent.rmdir()
    lost.parent.touch()
    said = complaint(lambda: fetch(oid), hint=AGAIN)
    assert "cannot be pulled from remote 'storage': " in said
    assert str(lost.parent.name) in said
    assert capfd.readouterr() == ("", "")


def test_copy_from_nearby() -> None:
    """What lies in the workspace needs neither cache nor remote, and is copied, not linked, even where it is links."""
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
    """What lies in the workspace is believed only if all its bytes are those of the hash."""
    fill(paths.MODEL, **changes)
    assert copy(oid) == FILES
    assert texts(paths.MODEL) == {**FILES, **changes}


def test_copy_replaces_what_an_earlier_attempt_left(oid: str) -> None:
    """The destination holds that directory and nothing else."""
    (Path("copy") / "left").parent.mkdir()
    (Path("copy") / "left").touch()
    assert copy(oid) == FILES


@pytest.mark.parametrize("before", [{}, {"a": "other"}, {"more": "more"}])
@pytest.mark.parametrize("cached", [True, False])
def test_checkout(oid: str, cached: bool, before: dict[str, str]) -> None:  # noqa: FBT001 (a parameter of the test)
    """An output comes back as dvc.lock records it, whatever lies in its place, be it from the remote."""
    for name, text in before.items():
        paths.MODEL.mkdir(exist_ok=True)
        (paths.MODEL / name).write_text(text)
    if not cached:
        shutil.rmtree(CACHE)
    outputs.checkout("train", paths.MODEL, hint=HINT)
    assert texts(paths.MODEL) == FILES
    assert hashing.directory_hash(paths.MODEL) == oid


def test_checkout_of_what_is_lost(oid: str) -> None:
    """Where it cannot be found, the error names it, and nothing half is put there."""
    object_of(oid, "a").unlink()
    shutil.rmtree(REMOTE)
    said = complaint(lambda: outputs.checkout("train", paths.MODEL, hint=HINT))
    assert said.startswith(f"data/model: {oid} is recorded")
    assert not paths.MODEL.exists()


def test_removed_outputs_are_put_back(oid: str) -> None:
    """What DVC removed before the stage comes back from the cache, metrics, which Git keeps, included."""
    forget_remote()
    shutil.rmtree(paths.REPORT)
    outputs.restore_outputs("train")
    assert texts(paths.MODEL) == FILES
    assert hashing.directory_hash(paths.MODEL) == oid
    assert texts(paths.REPORT) == {"metrics.json": FILES["a"]}


def test_outputs_that_are_there_are_left_alone() -> None:
    """Nothing in place is replaced, changed though it may be."""
    shutil.rmtree(paths.REPORT)
    fill(paths.MODEL, a="by hand")
    outputs.restore_outputs("train")
    assert texts(paths.MODEL) == {**FILES, "a": "by hand"}
    assert texts(paths.REPORT) == {"metrics.json": FILES["a"]}


@pytest.mark.parametrize("trouble", ["no cache", "no record", "no such stage", "broken record", "no repository"])
@pytest.mark.usefixtures("oid")
def test_what_cannot_be_put_back(trouble: str) -> None:
    """Putting back is done where an error is being told already: it raises none of its own."""
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
    """A directory's hash is the one that DVC records, changes with any name or byte, and with nothing else."""
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
    """What is no directory has no hash."""
    assert hash_of(Path("nowhere")) is None
    assert hash_of(Path("dvc.yaml")) is None


@pytest.mark.usefixtures("oid")
def test_half_a_directory_is_not_put_back(oid: str) -> None:
    """Where the cache has lost one file of it, nothing of it is put where a whole one is expected."""
    object_of(oid, "a").unlink()
    outputs.restore_outputs("train")
    assert not paths.MODEL.exists()


def read(md5: str) -> str:
    """The text of the file of data/model whose hash that is."""
    return fetching.read_file(md5, nearby=paths.MODEL / "a", what="the file", hint=HINT).decode()


@pytest.mark.parametrize("lost", ["nothing", "workspace", "cache", "workspace changed", "cache damaged"])
def test_file_is_found_wherever_it_is_whole(lost: str) -> None:
    """In the workspace if its hash agrees, else in the cache, else on the remote."""
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
    """What was looked for, where, and what to do; damaged copies are none."""
    damage(object_of(oid, "a"))
    damage(object_of(oid, "a", among=REMOTE))
    md5 = hashlib.md5(FILES["a"].encode()).hexdigest()
    said = complaint(lambda: read(md5))
    assert said.startswith(f"the file: {md5} is recorded, but cannot be found (looked in workspace, cache and remote")


@pytest.mark.parametrize("where", ["cache", "remote", "damaged cache"])
def test_a_single_file(oid: str, where: str) -> None:
    """One file of a directory comes without the others, from the cache if it is sound there, else from the remote."""
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
    """What is in neither place, or not in the directory, is an error that says so."""
    assert "there is no c in" in complaint(lambda: fetching.fetch_member(oid, "c", what="the model", hint=HINT))
    assert UNKNOWN in complaint(lambda: fetching.fetch_member(UNKNOWN, "a", what="the model", hint=HINT))
    assert UNKNOWN[:32] in complaint(lambda: fetching.fetch_file(UNKNOWN[:32], what="a file", hint=HINT))


def test_a_single_file_that_is_damaged(oid: str) -> None:
    """It is not taken, and without a remote that is an error."""
    forget_remote()
    damage(object_of(oid, "a"))
    assert "no remote is set" in complaint(lambda: fetching.fetch_member(oid, "a", what="the model", hint=HINT))
