"""Why ingest would stop at what is in data/raw now."""

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
    """Why it would, empty where it would not: of `count` images, by their ids, so many are `gone`.

    `after` are the usable images and the refused files of data/raw, which holds `content`.
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
