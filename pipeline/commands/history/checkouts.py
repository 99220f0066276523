"""A commit of the project in a temporary folder, with what dvc.lock there says that its model was trained from.

Nothing is written into the workspace or into Git's repository. The folder is no repository itself: training is a
function of files. DVC's cache there is the project's.
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
    """A folder with the files that Git has of `commit`; it is gone at the end. TMPDIR says where it is made."""
    with tempfile.TemporaryDirectory(prefix="treering-replay-") as temporary:
        folder = Path(temporary).resolve() / "project"
        folder.mkdir()
        # Another index, and none of the commands that run hooks.
        env = {**os.environ, "GIT_INDEX_FILE": str(folder.with_name("index"))}
        git("--work-tree", str(folder), "read-tree", "-m", "-u", "--no-sparse-checkout", commit, env=env)
        _configure(folder)
        yield folder


def recorded_in(folder: Path, name: str) -> dict[str, StageRecord]:
    """What dvc.lock in `folder` records; `name` is what messages call the commit.

    Raises:
        RecordError: it records no training, or cannot be read.
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
    """What is not, in `folder`, as the model that is recorded there was trained with: files, and keys of params.yaml.

    Raises:
        RecordError: DVC cannot read it.
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
    """The hash of all in data/ that training reads, by path."""
    folder, images = f"{paths.DATA}/", paths.IMAGES.as_posix()
    read = {path: oid for path, oid in record["train"].deps.items() if path.startswith(folder)}
    stored = {path: oid for stage in record.values() for path, oid in stage.outs.items() if path == images}
    return {**read, **stored}


def bring(record: Mapping[str, StageRecord], folder: Path, name: str) -> None:
    """Put the `inputs` of `record` into `folder`, from cache or remote; `name` is what messages call whose they are.

    Raises:
        MissingDataError: they are in neither.
    """
    for path, oid in inputs(record).items():
        target, what = folder / path, f"{path} of {name}"
        if hashing.path_hash(target) == oid:
            continue  # Git has it.
        target.parent.mkdir(parents=True, exist_ok=True)
        if path == paths.IMAGES.as_posix():
            # Training checks each image that it reads.
            _link(fetching.fetch(oid, what=what, hint=PUSH_ALL), target)
            _link(_shards(target / INDEX.name, name), folder / paths.SHARDS)
        elif oid.endswith(".dir"):
            fetching.copy_directory(oid, target, nearby=Path(path), what=what, hint=PUSH_ALL)
        else:
            shutil.copyfile(fetching.fetch_file(oid, what=what, hint=PUSH_ALL), target)


def tell_no_tracker(folder: Path) -> None:
    """Let a training in `folder` be logged nowhere: that was done when it was recorded."""
    yaml, path = YAML(), folder / paths.PARAMS
    params = yaml.load(path)
    if params.get("train", {}).get("loggers"):
        params["train"]["loggers"] = []
        yaml.dump(params, path)


def _shards(index: Path, name: str) -> dict[str, Path]:
    """The cached file of each shard that `index` names; none of a release that kept them beside it."""
    return {
        shard_name(number): fetching.fetch_file(file.md5, what=f"{paths.SHARDS} of {name}", hint=PUSH_ALL)
        for number, file in named_shards(index).items()
    }


def _link(files: Mapping[str, Path], folder: Path) -> None:
    """Let `folder` hold `files`, which may be large and on another disk, as links."""
    for name, cached in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).symlink_to(cached)


def _configure(folder: Path) -> None:
    from configobj import ConfigObj

    (folder / ".dvc").mkdir(exist_ok=True)
    config = ConfigObj(encoding="utf-8")  # What DVC writes itself is ASCII, and not every path is.
    config["core"] = {"no_scm": "true", "site_cache_dir": str(folder.with_name("site"))}
    config["cache"] = {"dir": str(Path(repository.repository().cache.local_cache_dir).resolve())}
    with (folder / ".dvc/config.local").open("wb") as file:
        config.write(file)


def _changed(deps: Mapping[str, str | Mapping[str, str]]) -> Iterator[str]:
    """The names of what DVC finds changed, apart from data, which is not there yet."""
    for path, how in deps.items():
        if isinstance(how, Mapping):
            yield from (f"{path} ({key})" for key in how)
        elif not path.startswith(f"{paths.DATA}/"):
            yield path
