"""The columns of the index that depend on an image alone, and not on its place in data/raw."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline import parquet
from pipeline.images import index

_PACKED = [field for field in index.SCHEMA if field.name not in ("label", "source", "attributes")]
FACTS = pa.schema([*_PACKED, *index.FURTHER])
NO_MORE = dict.fromkeys(index.FURTHER.names, "")
_ROW = np.dtype(
    [
        ("id", "V16"),
        ("shard", "<i4"),
        ("offset", "<i8"),
        ("length", "<i4"),
        ("width", "<i4"),
        ("height", "<i4"),
        ("md5", "V16"),
        ("key", "V8"),
        ("descriptor", "V64"),
    ]
)


class IndexRows(Mapping[str, dict[str, Any]]):
    """The facts of images by id, in the order in which they were added. An image takes a quarter of a kilobyte."""

    def __init__(self) -> None:
        # One large buffer, since its memory returns to the system as a whole, unlike that of many small objects.
        self._rows = bytearray()
        self._places: dict[str, int] = {}
        # The non-empty values of `index.FURTHER`, which few images have.
        self._further: dict[str, dict[str, str | None]] = {}

    def add(self, fact: dict[str, Any]) -> None:
        """Add `fact`, the columns of `FACTS` of one image, or replace the earlier one with the same id."""
        values = (_packed(fact[name]) for name in _ROW.names or ())
        row = np.array(tuple(values), _ROW).tobytes()
        place = self._places.setdefault(fact["id"], len(self._places)) * _ROW.itemsize
        self._rows[place : place + _ROW.itemsize] = row
        self._further.pop(fact["id"], None)
        if further := {name: fact[name] for name in index.FURTHER.names if fact[name] != ""}:
            self._further[fact["id"]] = further

    def __getitem__(self, image_id: str) -> dict[str, Any]:
        place = self._places[image_id]
        row = np.frombuffer(self._rows, _ROW, 1, place * _ROW.itemsize)[0].copy()
        texts = {name: row[name].tobytes().hex() for name in ("id", "md5", "key")}
        numbers = {name: int(row[name]) for name in ("shard", "offset", "length", "width", "height")}
        return {
            **texts,
            **numbers,
            "descriptor": row["descriptor"].tobytes(),
            **NO_MORE,
            **self._further.get(image_id, {}),
        }

    def __contains__(self, image_id: object) -> bool:
        return image_id in self._places

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)

    def drain(self) -> pa.Table:
        """Return all facts as a table with a row for each image, and forget them."""
        rows = np.frombuffer(self._rows, _ROW)
        more = [self._column(name) for name in index.FURTHER.names]
        self._rows, self._places, self._further = bytearray(), {}, {}
        columns = []
        for field in _PACKED:
            data = np.ascontiguousarray(rows[field.name])
            if field.type == pa.string():
                columns.append(parquet.hexadecimal(data.tobytes(), data.dtype.itemsize))
            else:
                columns.append(pa.Array.from_buffers(field.type, len(rows), [None, pa.py_buffer(data.tobytes())]))
        return pa.Table.from_arrays([*columns, *more], schema=FACTS)

    def _column(self, name: str) -> pa.Array:
        if not self._further:
            return parquet.strings([""] * len(self))  # `pa.repeat` imports pandas.
        return parquet.strings(self._further.get(image_id, {}).get(name, "") for image_id in self)


def _packed(value: str | bytes | int) -> bytes | int:
    return bytes.fromhex(value) if isinstance(value, str) else value
