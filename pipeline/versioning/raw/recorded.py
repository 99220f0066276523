"""Which data/raw a record of ingest speaks of: by its hash, or, in newer ones, by a file that holds the hash."""

from contextlib import suppress

from pipeline import paths
from pipeline.errors import MissingDataError
from pipeline.files import md5_of_bytes
from pipeline.versioning import fetching, objects, repository
from pipeline.versioning.lock import StageRecord

RAW, RAW_HASH = paths.RAW.as_posix(), paths.RAW_HASH.as_posix()


def content_of(oid: str) -> str:
    """What data/raw.hash holds where data/raw has the hash `oid`."""
    return f"{oid}\n"


def raw_recorded(ingested: StageRecord, *, pull: bool = False) -> str | None:
    """The hash of data/raw that ingest, as it was `ingested`, took in; None where that is not to be had.

    Looked for in workspace and cache, and on the remote if `pull`.
    """
    if RAW in ingested.deps:
        return ingested.deps[RAW]
    md5 = ingested.deps.get(RAW_HASH)
    if md5 is None:
        return None
    if not pull:
        places = (paths.RAW_HASH, objects.cached_path(repository.repository(), md5))
        contents = (path.read_bytes() for path in places if path.is_file())
        return next((content.decode().strip() for content in contents if md5_of_bytes(content) == md5), None)
    with suppress(MissingDataError):
        found = fetching.read_file(md5, nearby=paths.RAW_HASH, what=RAW_HASH, hint=fetching.PUSH_FIRST)
        return found.decode().strip()
    return None


def is_of(ingested: StageRecord, oid: str) -> bool:
    """Whether ingest, as it was `ingested`, took in the data/raw of the hash `oid`; nothing but that is asked for."""
    if RAW in ingested.deps:
        return ingested.deps[RAW] == oid
    return ingested.deps.get(RAW_HASH) == md5_of_bytes(content_of(oid).encode())
