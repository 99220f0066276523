"""What the index says of an image that lies in the image alone, not in where it is found."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline import index

FACTS = pa.schema([field for field in index.SCHEMA if field.name not in ("label", "source")])
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


class Facts(Mapping[str, dict[str, Any]]):
    """The facts of images by id, in the order in which they were added, at a third of a kilobyte an image."""

    def __init__(self) -> None:
        self._rows: dict[bytes, bytes] = {}

    def add(self, fact: dict[str, Any]) -> None:
        """Remember the `fact` of an image, which has the columns of `FACTS`."""
        values = (_packed(fact[name]) for name in _ROW.names or ())
        row = np.array(tuple(values), _ROW).tobytes()
        self._rows[row[:16]] = row

    def __getitem__(self, image_id: str) -> dict[str, Any]:
        row = np.frombuffer(self._rows[bytes.fromhex(image_id)], _ROW)[0]
        texts = {name: row[name].tobytes().hex() for name in ("id", "md5", "key")}
        numbers = {name: int(row[name]) for name in ("shard", "offset", "length", "width", "height")}
        return {**texts, **numbers, "descriptor": row["descriptor"].tobytes()}

    def __contains__(self, image_id: object) -> bool:
        return isinstance(image_id, str) and bytes.fromhex(image_id) in self._rows

    def __iter__(self) -> Iterator[str]:
        return (key.hex() for key in self._rows)

    def __len__(self) -> int:
        return len(self._rows)

    def table(self) -> pa.Table:
        """All of them, a row each."""
        rows = np.frombuffer(b"".join(self._rows.values()), _ROW)
        columns = []
        for field in FACTS:
            data = np.ascontiguousarray(rows[field.name])
            if field.type == pa.string():
                columns.append(index.hexadecimal(data.tobytes(), data.dtype.itemsize))
            else:
                columns.append(pa.Array.from_buffers(field.type, len(rows), [None, pa.py_buffer(data.tobytes())]))
        return pa.Table.from_arrays(columns, schema=FACTS)


def _packed(value: str | bytes | int) -> bytes | int:
    return bytes.fromhex(value) if isinstance(value, str) else value
