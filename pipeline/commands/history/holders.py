"""What still holds the bytes of an image: raw files, archives and shards, in workspace, DVC's cache and its remote."""

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
    """A file that holds the bytes of an image, as they came or as they are stored."""

    name: str
    """What it is called in the workspace, or was when it was recorded."""
    md5: str
    """Its hash, by which cache and remote have it."""
    where: list[str]
    """Workspace, cache, remote."""

    def as_row(self) -> list[str]:
        """For people."""
        return [self.name, self.md5[:8], ", ".join(self.where)]


class Holders(NamedTuple):
    """All of them that are known."""

    found: list[Holder]
    unknown: int
    """How many recorded versions of data/images the cache has no index of; what they hold is not known."""
    trouble: str
    """Why it is not known what the remote holds, if it is not."""

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        return {**self._asdict(), "found": [one._asdict() for one in self.found]}


def find_holders(image_id: str, held: Holdings) -> Holders:
    """What holds the image, which data/raw has at those places of `held` that are of this id; nothing is pulled.

    Raises:
        RecordError: there is no Git repository, or its records cannot be read.
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
    yield from (path for path in places if path.exists())  # Others belong to data/raw, and are on the remote.
    table = parquet.read_table(index.INDEX, index.SCHEMA, ["id", "shard", "length"])
    for shard in are_here(_shards(table, image_id) | holding_removed(table, {image_id})):
        yield paths.SHARDS / shard_name(shard)


def _recorded(repo: Repo, image_id: str) -> tuple[dict[str, str], int]:
    """Names of what holds the image by any recorded version of data/images and data/raw, by MD5.

    And how many versions of data/images there are of which that is unknown.
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
    """The hashes of data/images and data/raw in every dvc.lock of Git's history, and the present one."""
    stages = [stage for record in every_record() for stage in record.values()]
    images = {stage.outs.get(paths.IMAGES.as_posix()) for stage in stages}
    raw = {raw_recorded(stage) for stage in stages}
    return {oid for oid in images if oid}, {oid for oid in raw if oid}


def every_record() -> Iterator[Mapping[str, StageRecord]]:
    """Every dvc.lock of Git's history, branches that were left behind included, and the present one.

    Raises:
        RecordError: there is no Git repository, or the present one cannot be read.
    """
    yield read_record()
    where = ("log", "--all", "--reflog", "--format=%H", "--full-history", "--", str(paths.LOCK))
    commits = git_text(*where).split()
    for commit, lock in zip(commits, contents((commit, paths.LOCK) for commit in commits), strict=True):
        try:
            yield parse_record(lock, commit) if lock else {}
        except RecordError:  # A merge left its marks in it; nobody can correct that now.
            continue


def _shards(table: pa.Table, image_id: str) -> set[int]:
    """The shard that the index `table` has the image in, if it has it."""
    return set(table.filter(pc.equal(table["id"], image_id))["shard"].to_pylist())


def _archives(members: Path, image_id: str) -> set[str]:
    """The MD5s of the archives that hold the image, by the catalogue `members`."""
    table = parquet.read_table(members, catalogue.SCHEMA, ["archive", "id"])
    return set(table.filter(pc.equal(table["id"], image_id))["archive"].to_pylist())
