"""Find the raw files, archives and shards that still hold an image's bytes: in workspace, DVC's cache and remote."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from pipeline import parquet, paths
from pipeline.commands.holdings import Holdings
from pipeline.errors import RecordError
from pipeline.files import md5_of_file
from pipeline.git import contents, git_text
from pipeline.images import index
from pipeline.images.compaction import holding_removed
from pipeline.images.shard_files import are_here, named_shards
from pipeline.images.shards import shard_name
from pipeline.ingestion import catalogue
from pipeline.versioning import remote
from pipeline.versioning.lock import StageRecord, parse_record, read_record
from pipeline.versioning.objects import cached_path, listing
from pipeline.versioning.raw.recorded import raw_recorded
from pipeline.versioning.repository import repository

if TYPE_CHECKING:
    from dvc.repo import Repo


class Holder(NamedTuple):
    """A file that holds the bytes of an image, original or as stored in a shard."""

    name: str
    """The file's present or former name in the workspace."""
    md5: str
    """The file's MD5, under which cache and remote store it."""
    where: list[str]
    """Where the file is: workspace, cache, remote."""

    def as_row(self) -> list[str]:
        """Return the row for the printed table."""
        return [self.name, self.md5[:8], ", ".join(self.where)]


class Holders(NamedTuple):
    """All known files that hold an image."""

    found: list[Holder]
    unknown: int
    """Number of recorded versions of data/images whose index is not in the cache, so that their content is unknown."""
    trouble: str
    """Why the content of the remote is unknown; empty if it is known."""

    def as_json(self) -> dict[str, Any]:
        """Return the fields for JSON."""
        return {**self._asdict(), "found": [one._asdict() for one in self.found]}


def find_holders(image_id: str, held: Holdings) -> Holders:
    """Find the files that hold the image `image_id`; `held` are the places in data/raw. Nothing is pulled.

    Raises:
        RecordError: there is no Git repository, or dvc.lock cannot be read.
    """
    repo = repository()
    here = {md5_of_file(path): str(path) for path in _in_workspace(image_id, held)}
    recorded, unknown = _recorded(repo, image_id)
    names = recorded | here
    distant, trouble = remote.held(repo, names)
    places = {
        "workspace": here.keys(),
        "cache": {md5 for md5 in names if cached_path(repo, md5).exists()},
        f"remote {remote.default_remote(repo)!r}": distant,
    }
    holders = (Holder(name, md5, [place for place, has in places.items() if md5 in has]) for md5, name in names.items())
    return Holders(sorted(one for one in holders if one.where), unknown, trouble)


def _in_workspace(image_id: str, held: Holdings) -> Iterator[Path]:
    places = {paths.RAW / one.place.path for one in held.of_images([image_id])}
    yield from (path for path in places if path.exists())  # Absent files are only on the remote.
    table = parquet.read_table(index.INDEX, index.SCHEMA, ["id", "shard", "length"])
    for shard in are_here(_shards(table, image_id) | holding_removed(table, {image_id})):
        yield paths.SHARDS / shard_name(shard)


def _recorded(repo: Repo, image_id: str) -> tuple[dict[str, str], int]:
    """Return the names, by MD5, of the files that hold the image in any recorded version of data/images and data/raw.

    The second value is the number of versions of data/images whose index is not in the cache.
    """
    images, raw = _versions()
    names, archives, unknown = {image_id: f"{paths.RAW}: the file itself"}, {image_id}, 0
    for oid in images:
        listed = listing(repo, oid) or {}
        files = {name: cached_path(repo, md5) for name, md5 in listed.items()}
        path = files.get(index.INDEX.name)
        if path is None or not path.exists():
            unknown += 1
            continue
        shards = named_shards(path, listed)
        for number in _shards(parquet.read_table(path, index.SCHEMA, ["id", "shard"]), image_id):
            if number in shards:
                names[shards[number].md5] = str(paths.SHARDS / shard_name(number))
        if members := files.get(catalogue.MEMBERS.name):
            archives |= _archives(members, image_id)
    names |= dict.fromkeys(archives - names.keys(), f"{paths.RAW}: an archive")
    for oid in raw:
        names |= {md5: str(paths.RAW / path) for path, md5 in (listing(repo, oid) or {}).items() if md5 in archives}
    return names, unknown


def _versions() -> tuple[set[str], set[str]]:
    """Return the hashes of data/images and of data/raw in the present dvc.lock and every one in Git's history."""
    stages = [stage for record in every_record() for stage in record.values()]
    images = {stage.outs.get(paths.IMAGES.as_posix()) for stage in stages}
    raw = {raw_recorded(stage) for stage in stages}
    return {oid for oid in images if oid}, {oid for oid in raw if oid}


def every_record() -> Iterator[Mapping[str, StageRecord]]:
    """Yield the present dvc.lock and every one in Git's history, including abandoned branches (by the reflog).

    Raises:
        RecordError: there is no Git repository, or the present dvc.lock cannot be read.
    """
    yield read_record()
    where = ("log", "--all", "--reflog", "--format=%H", "--full-history", "--", str(paths.LOCK))
    commits = git_text(*where).split()
    for commit, lock in zip(commits, contents((commit, paths.LOCK) for commit in commits), strict=True):
        try:
            yield parse_record(lock, commit) if lock else {}
        except RecordError:  # It was committed with conflict markers, which cannot be corrected now.
            continue


def _shards(table: pa.Table, image_id: str) -> set[int]:
    """Return a set with the number of the image's shard in the index `table`; an empty set if it is not listed."""
    return set(table.filter(pc.equal(table["id"], image_id))["shard"].to_pylist())


def _archives(members: Path, image_id: str) -> set[str]:
    """Return the MD5s of the archives that contain the image, according to the catalogue `members`."""
    table = parquet.read_table(members, catalogue.SCHEMA, ["archive", "id"])
    return set(table.filter(pc.equal(table["id"], image_id))["archive"].to_pylist())
