"""Which version of data/raw a record of ingest names: by its hash or, in newer records, by a file with the hash."""

from contextlib import suppress

from pipeline import paths
from pipeline.errors import MissingDataError
from pipeline.files import md5_of_bytes
from pipeline.versioning import fetching, objects, repository
from pipeline.versioning.lock import StageRecord

RAW, RAW_HASH = paths.RAW.as_posix(), paths.RAW_HASH.as_posix()


def content_of(oid: str) -> str:
    """Return the content of data/raw.hash where data/raw has the hash `oid`."""
    return f"{oid}\n"


def raw_recorded(ingested: StageRecord, *, pull: bool = False) -> str | None:
    """Return the hash of data/raw that the run of ingest recorded as `ingested` read; None if it is not available.

    It is looked up in the workspace and the cache, and if `pull` also on the remote.
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
    """Whether the run of ingest recorded as `ingested` read the data/raw with the hash `oid`; reads no file."""
    if RAW in ingested.deps:
        return ingested.deps[RAW] == oid
    return ingested.deps.get(RAW_HASH) == md5_of_bytes(content_of(oid).encode())
