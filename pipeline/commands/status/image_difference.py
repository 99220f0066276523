"""How the images that ingest had differ from those that there are now: columns are compared, and no object an image."""

from dataclasses import dataclass
from functools import reduce
from typing import Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline import parquet
from pipeline.ids import Ids
from pipeline.ingestion.resolving import COLUMNS


@dataclass(frozen=True, kw_only=True)
class ImageDifference:
    """How the images that ingest had differ from those of now; both are tables with `COLUMNS`."""

    new: set[str]
    gone: dict[str, str]
    """The ids, with their sources of before."""
    moved: int
    """Images that lie in another place."""
    other: dict[str, tuple[str, str]]
    """The ids of those of another class, with that of before and that of now."""
    listed: set[str]
    """The ids of those of which anything else is said."""

    @classmethod
    def between(cls, before: pa.Table, now: pa.Table) -> Self:
        """That of the images of `before` and `now`, which are distinct in each."""
        ids = Ids.of(before["id"])
        order = ids.order()
        found = ids[order].find(Ids.of(now["id"]))
        kept, there = np.flatnonzero(found >= 0), order[found[found >= 0]]
        is_gone = np.ones(len(before), np.bool_)
        is_gone[there] = False
        gone = before.take(parquet.column_of(np.flatnonzero(is_gone)))
        had, have = parquet.rows_at(before, there), parquet.rows_at(now, kept)
        differs = {name: pc.not_equal(had[name], have[name]) for name in COLUMNS[1:]}
        was, became = (table.filter(differs["label"]) for table in (had, have))
        labels = zip(was["label"].to_pylist(), became["label"].to_pylist(), strict=True)
        return cls(
            new={*now["id"].take(parquet.column_of(np.flatnonzero(found < 0))).to_pylist()},
            gone=dict(zip(gone["id"].to_pylist(), gone["source"].to_pylist(), strict=True)),
            moved=pc.sum(differs["source"]).as_py() or 0,
            other=dict(zip(was["id"].to_pylist(), labels, strict=True)),
            listed={*have["id"].filter(reduce(pc.or_, differs.values())).to_pylist()},
        )
