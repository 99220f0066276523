"""Find out whether ingest would stop with an error at the current content of data/raw."""

from collections.abc import Iterable

import pyarrow as pa

from pipeline.errors import ImagesError
from pipeline.ingestion.catalogue import Catalogue
from pipeline.ingestion.collection import Collection, Refused
from pipeline.params import Ingest
from pipeline.versioning.git_guard import committed_hash
from pipeline.versioning.raw.content import RawContent
from pipeline.versioning.removals import check_removals


def hindrance(
    content: RawContent, gone: Iterable[str], count: int, after: tuple[pa.Table, list[Refused]], params: Ingest
) -> str:
    """Return the error at which ingest would stop; empty if it would not.

    `content` is that of data/raw, and `after` are its usable images and its refused files. `gone` are the ids of
    removed images, and `count` is the number of images before.
    """
    table, refused = after
    collection = Collection(table, Catalogue(), refused)
    try:
        collection.check_usable(params)
        if committed_hash() != content.oid:
            check_removals({*gone} - {*collection.dropped.to_pylist()}, count, params)
    except ImagesError as error:
        return str(error)
    return ""
