"""Files by the hash that dvc.lock records: from the workspace, else DVC's cache, else its remote.

DVC's own commands bring back what dvc.lock names now, to where it names it; this brings any hash to any place.
"""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from pipeline import paths, remote
from pipeline.errors import MissingDataError
from pipeline.record import read_record

if TYPE_CHECKING:
    from dvc.ignore import DvcIgnoreFilter
    from dvc.output import Output
    from dvc.repo import Repo
    from dvc_data.hashfile.db import HashFileDB

logger = logging.getLogger(__name__)

T = TypeVar("T")
PUSH_FIRST = "run `dvc push` where it was committed, then this again"


def repository() -> Repo:
    """The DVC repository of the working directory; opened once, since that takes a fifth of a second."""
    return _repository(Path.cwd())


@lru_cache(maxsize=1)
def _repository(root: Path) -> Repo:
    from dvc.repo import Repo  # Sets up its own logging.

    if not logger.isEnabledFor(logging.DEBUG):
        logging.getLogger("dvc").setLevel(logging.ERROR)  # What it warns of, our own message says.
    return Repo(str(root))


def fetch(oid: str, *, what: str, mend: str) -> dict[str, Path]:
    """Make sure that the directory `oid` is in DVC's cache, pulling what is missing from the remote.

    Returns:
        the cached file of each path in the directory, whose name is the file's MD5 (its last two parts joined).

    Raises:
        MissingDataError: neither cache nor remote has all of it, and the message ends with `mend`; or the remote cannot
            be read.
    """
    repo = repository()
    return _had(oid, lambda: _cached_files(repo, oid), lambda: _pull(repo, oid), what, mend)


def fetch_listing(oid: str, *, what: str, mend: str = PUSH_FIRST) -> dict[str, str]:
    """The MD5 of each file in the directory `oid`, by its path in it; pulled from the remote where the cache lacks it.

    Raises:
        MissingDataError: neither cache nor remote has it, or the remote cannot be read.
    """
    repo = repository()
    return _had(oid, lambda: listing(repo, oid), lambda: _pull_listing(repo, oid), what, mend)


def lacking(repo: Repo, oid: str) -> dict[str, str]:
    """The MD5, by path, of those files of the directory `oid` that the cache lacks."""
    entries = listing(repo, oid) or {}
    return {path: md5 for path, md5 in entries.items() if not _cached(repo, md5).exists()}


def missing_files(oid: str) -> list[str] | None:
    """The files of the directory `oid` that DVC's cache lacks, None if it lacks their listing."""
    repo = repository()
    return None if listing(repo, oid) is None else list(lacking(repo, oid))


def fetch_file(md5: str, *, what: str, mend: str) -> Path:
    """Make sure that the single file of this MD5 is in DVC's cache, undamaged; returns where.

    Raises:
        MissingDataError: neither cache nor remote has it.
    """
    repo = repository()
    path = _cached(repo, md5)

    def pull() -> str:
        path.unlink(missing_ok=True)  # Damaged, and DVC would take it for good.
        return remote.pull(repo, [md5])

    return _had(md5, lambda: path if _is_sound(path) else None, pull, what, mend)


def fetch_member(oid: str, name: str, *, what: str, mend: str) -> Path:
    """Likewise the file `name` of the directory `oid`, without the others.

    Raises:
        MissingDataError: neither cache nor remote has it, or the directory holds no such file.
    """
    entries = fetch_listing(oid, what=what, mend=mend)
    if name not in entries:
        raise MissingDataError(what, f"there is no {name} in {oid}", mend)
    return fetch_file(entries[name], what=what, mend=mend)


def copy_directory(oid: str, destination: Path, *, nearby: Path, what: str, mend: str) -> None:
    """Write the files of the directory `oid` to the new folder `destination`, every byte checked.

    `nearby` is where the workspace may hold a copy, used if its hash agrees.

    Raises:
        MissingDataError: no undamaged copy is to be had.
    """
    if directory_hash(nearby) == oid:
        shutil.copytree(nearby, destination, symlinks=False)
        if directory_hash(destination) == oid:
            return
    for attempt in ("cache", "remote"):
        damaged = _copy_checked(fetch(oid, what=what, mend=mend), destination)
        if not damaged:
            return
        logger.warning("DVC's cache holds damaged copies of %s; fetching them again", ", ".join(map(str, damaged)))
        if attempt == "cache":
            for path in damaged:
                path.unlink()
    raise MissingDataError(what, f"{oid}: every copy of it is damaged", mend)


def read_file(md5: str, *, nearby: Path, what: str, mend: str) -> bytes:
    """The content of the file whose hash is `md5`, every byte checked.

    `nearby` is where the workspace may hold a copy, used if its hash agrees.

    Raises:
        MissingDataError: no undamaged copy is to be had.
    """
    if nearby.is_file():
        content = nearby.read_bytes()
        if hashlib.md5(content).hexdigest() == md5:
            return content
    return fetch_file(md5, what=what, mend=mend).read_bytes()


def checkout(stage: str, path: Path, *, mend: str) -> None:
    """Bring back the directory `path` as dvc.lock records it among the outputs of `stage`.

    Raises:
        MissingDataError: neither cache nor remote has it.
    """
    oid = read_record()[stage].outs[path.as_posix()]
    fetch(oid, what=path.as_posix(), mend=mend)
    _output(repository(), stage, path).checkout(force=True)


def listing(repo: Repo, oid: str) -> dict[str, str] | None:
    """The MD5 of each file in the directory `oid`, by its path in it, or None if the cache lacks `oid`.

    Read from the JSON that DVC keeps, since its Tree objects take a kilobyte an entry.
    """
    try:
        content = _cached(repo, oid).read_bytes()
    except FileNotFoundError:
        return None
    if hashlib.md5(content).hexdigest() + ".dir" != oid:
        return None
    return {entry["relpath"]: entry["md5"] for entry in json.loads(content)}


def restore_outputs(stage: str) -> None:
    """Put back, as far as the cache has them, recorded outputs that DVC removed before it ran `stage`."""
    try:
        outputs = read_record()[stage].outs
        missing = {Path(path): oid for path, oid in outputs.items() if not Path(path).exists()}
        if not missing:
            return
        for path, oid in missing.items():
            if oid.endswith(".dir") and _cached_files(repository(), oid) is None:
                continue  # Half of it would be worse than nothing.
            output = _output(repository(), stage, path)
            output.use_cache = True  # Metrics are kept by Git, but the run cache has a copy.
            output.checkout(force=True, allow_missing=True)
    except Exception:
        logger.debug("outputs not put back", exc_info=True)


def directory_hash(path: Path, *, without_ignored: bool = False) -> str | None:
    """The hash that DVC gives the directory `path` as it is now, None where there is none. Reads every byte.

    `without_ignored` leaves out what .dvcignore names, as DVC does with a stage's dependencies: __pycache__, say.
    """
    from dvc_data.hashfile.db import HashFileDB
    from dvc_objects.fs.local import localfs

    ignored = None
    if without_ignored:
        from dvc.ignore import DvcIgnoreFilter  # Loads half of DVC.

        ignored = DvcIgnoreFilter(localfs, str(Path.cwd()))
    return _directory_hash(path, HashFileDB(localfs, str(paths.PROGRESS)), ignored)


def known_directory_hash(path: Path) -> str | None:
    """The same, but files that DVC has hashed before, and that bear no sign of a change since, are not read."""
    return _directory_hash(path, repository().cache.local)


def is_cached(oid: str) -> bool:
    """Whether all of the directory `oid` is in DVC's cache."""
    return _cached_files(repository(), oid) is not None


def hash_of_files(files: dict[str, bytes]) -> str:
    """The hash that DVC gives a directory of these `files`, their bytes by name."""
    listed = [{"md5": hashlib.md5(content).hexdigest(), "relpath": name} for name, content in sorted(files.items())]
    return hashlib.md5(json.dumps(listed, sort_keys=True).encode()).hexdigest() + ".dir"


def workspace_listing(path: Path) -> tuple[str, dict[str, str]]:
    """The hash of the directory `path` as it is now, and the MD5 of each file in it that DVC does not ignore.

    Files that DVC has hashed before, and that bear no sign of a change since, are not read.
    """
    from dvc_data.hashfile.build import build
    from dvc_data.hashfile.tree import Tree
    from dvc_objects.fs.local import localfs

    repo = repository()
    _, _, tree = build(repo.cache.local, str(path.resolve()), localfs, "md5", ignore=repo.dvcignore, dry_run=True)
    assert isinstance(tree, Tree)
    return str(tree.oid), {entry["relpath"]: entry["md5"] for entry in tree.as_list()}


def _directory_hash(path: Path, odb: HashFileDB, ignored: DvcIgnoreFilter | None = None) -> str | None:
    from dvc_data.hashfile.build import build
    from dvc_objects.fs.local import localfs

    if not path.is_dir():
        return None
    _, _, obj = build(odb, str(path.resolve()), localfs, "md5", ignore=ignored, dry_run=True)
    assert obj.hash_info is not None
    return str(obj.hash_info.value)


def _cached_files(repo: Repo, oid: str) -> dict[str, Path] | None:
    """The cached file of each path in the directory `oid`, or None if any is missing."""
    entries = listing(repo, oid)
    if entries is None:
        return None
    files = {path: _cached(repo, md5) for path, md5 in entries.items()}
    return files if all(path.exists() for path in files.values()) else None


def _cached(repo: Repo, oid: str) -> Path:
    return Path(repo.cache.local.oid_to_path(oid))


def _pull(repo: Repo, oid: str) -> str:
    """Pull what the cache lacks of the directory `oid`; returns what went wrong, if anything did."""
    # A directory's hash brings its listing alone.
    return _pull_listing(repo, oid) or remote.pull(repo, lacking(repo, oid).values())


def _pull_listing(repo: Repo, oid: str) -> str:
    if listing(repo, oid) is None:
        _cached(repo, oid).unlink(missing_ok=True)  # Damaged, and DVC would take it for good.
    return remote.pull(repo, [oid])


def _had(oid: str, look: Callable[[], T | None], pull: Callable[[], str], what: str, mend: str) -> T:
    """What `look` finds of `oid` in the cache, after a `pull` if need be, which says what went wrong."""
    if (found := look()) is not None:
        return found
    trouble = pull()
    if (found := look()) is not None:
        return found
    repo = repository()
    name = remote.default_remote(repo)
    if trouble:
        said = f"{oid} is recorded, but cannot be pulled from remote {name!r}: {trouble}"
        raise MissingDataError(what, said, "run `dvc repro` again when it can be")
    looked = f"workspace, cache and remote {name!r}" if name else "workspace and cache; no remote is set"
    lost = "".join(f", for want of {path}" for path in list(lacking(repo, oid))[:1])
    raise MissingDataError(what, f"{oid} is recorded but nowhere to be had{lost} (looked in {looked})", mend)


def _is_sound(cached: Path) -> bool:
    """Whether the file `cached` is there, and its bytes are those that its name says."""
    if not cached.is_file():
        return False
    with cached.open("rb") as file:
        return hashlib.file_digest(file, "md5").hexdigest() == cached.parent.name + cached.name


def _copy_checked(files: dict[str, Path], destination: Path) -> list[Path]:
    """Copy `files` into the new folder `destination`; returns those whose bytes are not what their name says."""
    shutil.rmtree(destination, ignore_errors=True)
    damaged = []
    for name, source in files.items():
        target = destination / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
        with target.open("rb") as file:
            digest = hashlib.file_digest(file, "md5").hexdigest()
        if digest != source.parent.name + source.name:
            damaged.append(source)
    return damaged


def _output(repo: Repo, stage: str, path: Path) -> Output:
    outputs = repo.stage.load_one(name=stage).outs
    return next(output for output in outputs if output.def_path == path.as_posix())
