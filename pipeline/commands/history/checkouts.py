"""Check out a commit into a temporary folder, with the data that its model was trained from, as dvc.lock records it.

Nothing is written to the workspace or to Git's repository. The folder is not a repository itself, since training
depends on files only. It uses the project's DVC cache.
"""

import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from ruamel.yaml import YAML

from pipeline import paths
from pipeline.errors import RecordError, one_line
from pipeline.git import git
from pipeline.images.index import INDEX
from pipeline.images.shard_files import named_shards
from pipeline.images.shards import shard_name
from pipeline.lineage.history import PUSH_ALL
from pipeline.versioning import fetching, hashing, repository
from pipeline.versioning.lock import StageRecord, read_record


@contextmanager
def checked_out(commit: str) -> Iterator[Path]:
    """Yield a temporary folder (in TMPDIR) with the files that Git tracks in `commit`; it is deleted at the end."""
    with tempfile.TemporaryDirectory(prefix="treering-replay-") as temporary:
        folder = Path(temporary).resolve() / "project"
        folder.mkdir()
        # A separate index, and only Git commands that run no hooks.
        env = {**os.environ, "GIT_INDEX_FILE": str(folder.with_name("index"))}
        git("--work-tree", str(folder), "read-tree", "-m", "-u", "--no-sparse-checkout", commit, env=env)
        _configure(folder)
        yield folder


def recorded_in(folder: Path, name: str) -> dict[str, StageRecord]:
    """Return the content of dvc.lock in `folder`; `name` names the commit in messages.

    Raises:
        RecordError: dvc.lock records no training, or cannot be read.
    """
    where, hint = f"{paths.LOCK} of {name}", f"commit {paths.LOCK} as `dvc repro` writes it"
    try:
        record = read_record(folder / paths.LOCK)
    except RecordError as error:
        raise RecordError(where, str(error.args[1]), hint) from None
    if paths.MODEL.as_posix() not in record.get("train", StageRecord(deps={}, outs={})).outs:
        raise RecordError(where, "records no training", hint)
    return record


def edited(folder: Path, record: Mapping[str, StageRecord], name: str) -> list[str]:
    """Return the files and params.yaml keys in `folder` that differ from those its recorded model was trained with.

    Raises:
        RecordError: DVC cannot read the pipeline of the commit.
    """
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    try:
        with Repo(str(folder)) as repo:
            stage = repo.stage.load_one(str(folder / paths.PIPELINE), name="train")
            status = {path: how for dep in stage.deps for path, how in dep.status().items()}
            changed = [str(paths.PIPELINE)] if stage.changed_stage() else []
    except DvcException as error:
        raise RecordError(f"{paths.PIPELINE} of {name}", one_line(error), "see `dvc status` there") from None
    made = {path: oid for stage in record.values() for path, oid in stage.outs.items()}
    changed += [path for path, oid in inputs(record).items() if made.get(path, oid) != oid]
    return sorted([*changed, *_changed(status)])


def inputs(record: Mapping[str, StageRecord]) -> dict[str, str]:
    """Return the hashes of all inputs of training in data/, by path."""
    folder, images = f"{paths.DATA}/", paths.IMAGES.as_posix()
    read = {path: oid for path, oid in record["train"].deps.items() if path.startswith(folder)}
    stored = {path: oid for stage in record.values() for path, oid in stage.outs.items() if path == images}
    return {**read, **stored}


def bring(record: Mapping[str, StageRecord], folder: Path, name: str) -> None:
    """Put the `inputs` of `record` into `folder`, from the cache or the remote; `name` names the commit in messages.

    Raises:
        MissingDataError: an input is in neither of them.
    """
    for path, oid in inputs(record).items():
        target, what = folder / path, f"{path} of {name}"
        if hashing.path_hash(target) == oid:
            continue  # It came from Git.
        target.parent.mkdir(parents=True, exist_ok=True)
        if path == paths.IMAGES.as_posix():
            # Links suffice, since training verifies each image that it reads.
            _link(fetching.fetch(oid, what=what, hint=PUSH_ALL), target)
            _link(_shards(target / INDEX.name, name), folder / paths.SHARDS)
        elif oid.endswith(".dir"):
            fetching.copy_directory(oid, target, nearby=Path(path), what=what, hint=PUSH_ALL)
        else:
            shutil.copyfile(fetching.fetch_file(oid, what=what, hint=PUSH_ALL), target)


def tell_no_tracker(folder: Path) -> None:
    """Disable the loggers of a training in `folder`, since the original training was logged already."""
    yaml, path = YAML(), folder / paths.PARAMS
    params = yaml.load(path)
    if params.get("train", {}).get("loggers"):
        params["train"]["loggers"] = []
        yaml.dump(params, path)


def _shards(index: Path, name: str) -> dict[str, Path]:
    """Return the cached file of each shard that `index` names; empty if a release kept the shards next to the index."""
    return {
        shard_name(number): fetching.fetch_file(file.md5, what=f"{paths.SHARDS} of {name}", hint=PUSH_ALL)
        for number, file in named_shards(index).items()
    }


def _link(files: Mapping[str, Path], folder: Path) -> None:
    """Put links to `files`, which may be large and on another disk, into `folder`."""
    for name, cached in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).symlink_to(cached)


def _configure(folder: Path) -> None:
    from configobj import ConfigObj

    (folder / ".dvc").mkdir(exist_ok=True)
    config = ConfigObj(encoding="utf-8")  # DVC itself writes ASCII, but paths may be Unicode.
    config["core"] = {"no_scm": "true", "site_cache_dir": str(folder.with_name("site"))}
    config["cache"] = {"dir": str(Path(repository.repository().cache.local_cache_dir).resolve())}
    with (folder / ".dvc/config.local").open("wb") as file:
        config.write(file)


def _changed(deps: Mapping[str, str | Mapping[str, str]]) -> Iterator[str]:
    """Yield the names of the dependencies that DVC reports as changed, except data, which is not there yet."""
    for path, how in deps.items():
        if isinstance(how, Mapping):
            yield from (f"{path} ({key})" for key in how)
        elif not path.startswith(f"{paths.DATA}/"):
            yield path
