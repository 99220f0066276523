"""Compare the images of two tables, of the last ingest and of now, column by column rather than image by image."""

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
    """The differences between the images that ingest last had and the current ones; both are tables with `COLUMNS`."""

    new: set[str]
    gone: dict[str, str]
    """The former sources of removed images, by id."""
    moved: int
    """Number of images whose source changed."""
    other: dict[str, tuple[str, str]]
    """The former and the current class of images whose class changed, by id."""
    listed: set[str]
    """The ids of images for which any column changed."""

    @classmethod
    def between(cls, before: pa.Table, now: pa.Table) -> Self:
        """Compare the images of `before` with those of `now`; the ids within each table are unique."""
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
