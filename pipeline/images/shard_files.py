"""The shards of an index as files that DVC tracks one by one, so that a shard may be only on the remote.

data/shards.dvc lists them, so `dvc push`, `pull`, `gc` and `checkout` handle them. ingest keeps that list in sync with
the index, and adds new shards without needing the others locally.
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

# The key of an index's metadata under which it records its shards: MD5 and size by number.
KEY = b"shards"
# Lists the shards that `mend` could not replace, until ingest has decoded their images again.
DAMAGED = paths.IMAGES / "damaged"


class ShardFile(NamedTuple):
    """A shard's file."""

    md5: str
    size: int
    """Size in bytes; -1 if unknown, since an older release, whose index does not record sizes, wrote the shard."""


def named_shards(path: Path = index.INDEX, listed: Mapping[str, str] | None = None) -> dict[int, ShardFile]:
    """Return the shards that the index `path` names, by number; empty if there is no such file.

    Releases that kept shards next to the index did not record them in it. For these pass `listed`, DVC's listing of
    that folder.
    """
    if not path.exists():
        return {}
    said = (pq.read_schema(path).metadata or {}).get(KEY)
    if said is not None:
        return {int(number): ShardFile(*facts) for number, facts in json.loads(said).items()}
    shards = ((Path(name), md5) for name, md5 in (listed or {}).items() if is_shard(Path(name)))
    return {shard_number(path): ShardFile(md5, -1) for path, md5 in shards}


def shards_of_index() -> dict[int, ShardFile]:
    """Return the shards of the index in data/images; from dvc.lock, if an older release wrote an index without them.

    Raises:
        MissingDataError: neither cache nor remote has the listing that dvc.lock refers to.
    """
    recorded = read_record().get("ingest")
    if (named := named_shards()) or recorded is None or not index.is_recorded(recorded):
        return named
    return named_shards(listed=index.recorded_files(hint=PUSH_FIRST))


def suspects(table: pa.Table, shards: Mapping[int, ShardFile]) -> set[int]:
    """Return the shards of the index `table` that may be damaged or lost; `shards` are the ones that it names.

    Raises:
        MissingDataError: some shards are not local, and the remote cannot be asked for them.
    """
    numbers, recorded = set(pc.unique(table["shard"]).to_pylist()), read_record().get("ingest")
    here = are_here(numbers)
    changed = here  # All of them, if the index is damaged or belongs to another commit.
    if here and recorded is not None and index.is_recorded(recorded):
        now = known_files(here, {})
        changed = {number for number in here if now[number].md5 != (shards[number].md5 if number in shards else "")}
    named = {number: shards[number] for number in numbers & shards.keys()}
    return changed | (numbers - here - named.keys()) | lost(named)


def metadata_of(files: Mapping[int, ShardFile]) -> str:
    """Return the metadata of an index that records its shards, as JSON."""
    return json.dumps({str(number): files[number] for number in sorted(files)})


def are_here(numbers: Iterable[int]) -> set[int]:
    """Return the `numbers` whose shards are in data/shards."""
    return {number for number in numbers if (paths.SHARDS / shard_name(number)).exists()}


def known_files(numbers: Collection[int], before: Mapping[int, ShardFile]) -> dict[int, ShardFile]:
    """Return the files of the shards `numbers`: as they are in data/shards or, if not local, as in `before`."""
    found = {number: before[number] for number in numbers if number in before}
    if here := are_here(numbers):
        _, listing = hashing.workspace_listing(paths.SHARDS)
        sizes = {number: (paths.SHARDS / shard_name(number)).stat().st_size for number in here}
        found |= {number: ShardFile(listing[shard_name(number)], sizes[number]) for number in here}
    return found


def bring(files: Mapping[int, ShardFile], *, hint: str) -> None:
    """Fetch the shards `files` into data/shards, from DVC's cache or remote. Existing shards are not replaced.

    Raises:
        MissingDataError: neither cache nor remote has one of them.
    """
    for number in sorted(files.keys() - are_here(files)):
        path = paths.SHARDS / shard_name(number)
        fetch_file(files[number].md5, what=str(path), hint=hint)
        tracking.link(files[number].md5, path)


def lost(files: Mapping[int, ShardFile]) -> set[int]:
    """Return those of the shards `files` that are neither in data/shards, nor in DVC's cache, nor on its remote.

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
            first, f"not here, and the remote cannot be asked: {trouble}", "run this again when it can be reached"
        )
    return {number for number, md5 in gone.items() if md5 not in distant}


def mend() -> str:
    """Replace damaged shards from DVC's cache or remote; returns a sentence about it, empty if none is damaged.

    If neither has one of them, a file in data/images lists the damaged shards. DVC then sees data/images as changed and
    runs ingest, which decodes the damaged images again.
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
    """Delete the shards in data/shards whose number is not in `numbers`."""
    for path in shards_in(paths.SHARDS):
        if shard_number(path) not in numbers:
            path.unlink()


def adopt_earlier_layout() -> bool:
    """Move shards that an older release left in data/images to data/shards; returns whether there were any."""
    shards = shards_in(paths.IMAGES)
    for path in shards:
        paths.SHARDS.mkdir(exist_ok=True)
        path.replace(paths.SHARDS / path.name)
    return bool(shards)
