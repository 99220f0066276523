"""The shards that an index names: files that DVC tracks one by one, so that each may be here or on the remote alone.

data/shards.dvc lists them, so push, pull, gc and checkout know them. ingest keeps it in step with the index, and adds
new ones without having the others.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline import paths
from pipeline.errors import MissingDataError
from pipeline.files import write_text
from pipeline.images import index
from pipeline.images.shards import is_shard, shard_name, shard_number, shards_in
from pipeline.text import counted
from pipeline.versioning import hashing, remote, tracking
from pipeline.versioning.fetching import PUSH_FIRST, fetch_file
from pipeline.versioning.lock import read_record
from pipeline.versioning.objects import cached_path
from pipeline.versioning.repository import repository

# Where the metadata of an index says what it names: MD5 and size by number.
KEY = b"shards"
# Notes what `mend` could not mend, until ingest has.
DAMAGED = paths.IMAGES / "damaged"


class ShardFile(NamedTuple):
    """A shard as a file."""

    md5: str
    size: int
    """In bytes; -1 where a release before indexes said it made the shard."""


def named_shards(path: Path = index.INDEX, listed: Mapping[str, str] | None = None) -> dict[int, ShardFile]:
    """The shards that the index `path` names, by number; none where there is no such file.

    An index of a release that kept shards beside it names none; `listed`, what DVC lists of that folder, does.
    """
    if not path.exists():
        return {}
    said = (pq.read_schema(path).metadata or {}).get(KEY)
    if said is not None:
        return {int(number): ShardFile(*facts) for number, facts in json.loads(said).items()}
    shards = ((Path(name), md5) for name, md5 in (listed or {}).items() if is_shard(Path(name)))
    return {shard_number(path): ShardFile(md5, -1) for path, md5 in shards}


def shards_of_index() -> dict[int, ShardFile]:
    """The shards that the index in data/images names; as dvc.lock lists them, if it is of a release that named none.

    Raises:
        MissingDataError: that list is to be had nowhere.
    """
    recorded = read_record().get("ingest")
    if (named := named_shards()) or recorded is None or not index.is_recorded(recorded):
        return named
    return named_shards(listed=index.recorded_files(hint=PUSH_FIRST))


def suspects(table: pa.Table, shards: Mapping[int, ShardFile]) -> set[int]:
    """The shards of the index `table` of which it is not known that its images are in them; it names `shards`.

    Raises:
        MissingDataError: some are not here, and the remote cannot be asked.
    """
    numbers, recorded = set(pc.unique(table["shard"]).to_pylist()), read_record().get("ingest")
    here = are_here(numbers)
    changed = here  # All of them, where the index is of another commit, or damaged.
    if here and recorded is not None and index.is_recorded(recorded):
        now = known_files(here, {})
        changed = {number for number in here if now[number].md5 != (shards[number].md5 if number in shards else "")}
    named = {number: shards[number] for number in numbers & shards.keys()}
    return changed | (numbers - here - named.keys()) | lost(named)


def metadata_of(files: Mapping[int, ShardFile]) -> str:
    """What the metadata of an index say of the shards that it names."""
    return json.dumps({str(number): files[number] for number in sorted(files)})


def are_here(numbers: Iterable[int]) -> set[int]:
    """Those of the shards that are in data/shards."""
    return {number for number in numbers if (paths.SHARDS / shard_name(number)).exists()}


def known_files(numbers: Collection[int], before: Mapping[int, ShardFile]) -> dict[int, ShardFile]:
    """The shards of these `numbers` as they are in data/shards; those that are not here, as they were `before`."""
    found = {number: before[number] for number in numbers if number in before}
    if here := are_here(numbers):
        _, listing = hashing.workspace_listing(paths.SHARDS)
        sizes = {number: (paths.SHARDS / shard_name(number)).stat().st_size for number in here}
        found |= {number: ShardFile(listing[shard_name(number)], sizes[number]) for number in here}
    return found


def bring(files: Mapping[int, ShardFile], *, hint: str) -> None:
    """Have the shards `files` in data/shards, from DVC's cache or remote; those that are here stay as they are.

    Raises:
        MissingDataError: neither has one of them.
    """
    for number in sorted(files.keys() - are_here(files)):
        path = paths.SHARDS / shard_name(number)
        fetch_file(files[number].md5, what=str(path), hint=hint)
        tracking.link(files[number].md5, path)


def lost(files: Mapping[int, ShardFile]) -> set[int]:
    """Those of the shards `files` that are neither here, nor in DVC's cache, nor on its remote.

    Raises:
        MissingDataError: the remote cannot be asked.
    """
    repo = repository()
    away = files.keys() - are_here(files)
    gone = {number: files[number].md5 for number in away if not cached_path(repo, files[number].md5).exists()}
    if not gone or remote.default_remote(repo) is None:
        return set(gone)
    distant, trouble = remote.held(repo, gone.values())
    if trouble:
        first = paths.SHARDS / shard_name(min(gone))
        raise MissingDataError(
            first, f"not here, and the remote cannot be asked: {trouble}", "run this again when it can be"
        )
    return {number for number, md5 in gone.items() if md5 not in distant}


def mend() -> str:
    """Put sound shards in the place of damaged ones, from DVC's cache or remote; returns what was done, in a sentence.

    Where neither has one, that is noted in data/images, which DVC then takes for changed: so it runs ingest, and that
    decodes again what is damaged.
    """
    named = shards_of_index()
    here = known_files(are_here(named), {})
    damaged = {number: named[number] for number in here if here[number].md5 != named[number].md5}
    if not damaged:
        return ""
    told = f"{counted(len(damaged), 'damaged shard')} in {paths.SHARDS}"
    try:
        for number, file in damaged.items():
            fetch_file(file.md5, what=str(paths.SHARDS / shard_name(number)), hint=PUSH_FIRST)
    except MissingDataError:
        write_text(DAMAGED, "".join(f"{shard_name(number)}\n" for number in sorted(damaged)))
        return f"{told}: ingest decodes again what is in them"
    for number in damaged:
        (paths.SHARDS / shard_name(number)).unlink()
    bring(damaged, hint=PUSH_FIRST)
    return f"{told} replaced"


def remove_others(numbers: Collection[int]) -> None:
    """Delete the shards in data/shards that are not of these `numbers`."""
    for path in shards_in(paths.SHARDS):
        if shard_number(path) not in numbers:
            path.unlink()


def adopt_earlier_layout() -> bool:
    """Move the shards that a release before data/shards left in data/images; returns whether there were any."""
    shards = shards_in(paths.IMAGES)
    for path in shards:
        paths.SHARDS.mkdir(exist_ok=True)
        path.replace(paths.SHARDS / path.name)
    return bool(shards)
