"""Columns of image ids at 16 bytes each; Python strings would take ten times the memory and time."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline import parquet

Halves = npt.NDArray[np.uint64]
Rows = npt.NDArray[np.intp]


@dataclass(frozen=True, slots=True, eq=False)
class Ids:
    """Image ids in any order, shape (rows,). They sort like their hexadecimal texts."""

    high: Halves
    """The first eight bytes of each id."""
    low: Halves
    """The last eight bytes of each id."""

    @classmethod
    def of(cls, column: pa.ChunkedArray | pa.StringArray) -> Self:
        """Parse a `column` of hexadecimal texts, in its order."""
        return cls.unpacked(parquet.packed(column))

    @classmethod
    def unpacked(cls, data: bytes | npt.NDArray[np.uint8]) -> Self:
        """Read consecutive ids of 16 bytes each from `data`."""
        halves = np.frombuffer(data, ">u8").reshape(-1, 2)
        return cls(*(halves[:, half].astype(np.uint64) for half in range(2)))

    @classmethod
    def sorted_of(cls, ids: Iterable[str]) -> Self:
        """Parse `ids` and sort them."""
        found = cls.of(parquet.strings(ids))
        return found[found.order()]

    @classmethod
    def concatenated(cls, parts: Sequence["Ids"]) -> Self:
        """Concatenate `parts` in order."""
        nothing = np.empty(0, np.uint64)
        return cls(
            *(np.concatenate([nothing, *halves]) for halves in ([p.high for p in parts], [p.low for p in parts]))
        )

    def __len__(self) -> int:
        return len(self.high)

    def __getitem__(self, rows: Rows | slice | npt.NDArray[np.bool_]) -> Self:
        return type(self)(self.high[rows], self.low[rows])

    def __contains__(self, image_id: object) -> bool:
        """Whether `image_id` is contained; the ids must be sorted."""
        high, low = divmod(int(str(image_id), 16), 2**64)
        at = int(np.searchsorted(self.high, np.uint64(high)))
        while at < len(self) and self.high[at] == high:
            if self.low[at] == low:
                return True
            at += 1
        return False

    def order(self) -> Rows:
        """Return the rows that sort the ids; equal ids in any order."""
        if (self.high[1:] > self.high[:-1]).all():  # Already sorted, as in most files.
            return np.arange(len(self))
        rows = np.argsort(self.high)
        high, low = self.high[rows], self.low[rows]
        is_wrong = (high[1:] == high[:-1]) & (low[1:] < low[:-1])
        return np.lexsort((self.low, self.high)) if is_wrong.any() else rows

    def is_again(self) -> npt.NDArray[np.bool_]:
        """Whether each id equals the previous one, shape (rows,)."""
        is_same = (self.high[1:] == self.high[:-1]) & (self.low[1:] == self.low[:-1])
        return np.concatenate([np.zeros(min(len(self), 1), np.bool_), is_same])

    def find(self, wanted: "Ids") -> Rows:
        """Return the row of each of `wanted` in these sorted ids, or -1; shape (len(wanted),)."""
        if not len(self):
            return np.full(len(wanted), -1)
        last, at = len(self) - 1, np.searchsorted(self.high, wanted.high)
        while True:
            one = self[np.minimum(at, last)]
            is_alike = (one.high == wanted.high) & (at <= last)
            if not (is_before := is_alike & (one.low < wanted.low)).any():
                return np.where(is_alike & (one.low == wanted.low), at, -1)
            at = at + is_before

    def are_among(self, others: "Ids") -> npt.NDArray[np.bool_]:
        """Whether each of these sorted, distinct ids is in `others`, which may have any order; shape (rows,)."""
        is_among = np.zeros(len(self), np.bool_)
        at = self.find(others)
        is_among[at[at >= 0]] = True
        return is_among

    def joined(self, other: "Ids") -> "Ids":
        """Merge with `other`; all three are sorted."""
        if not len(other):
            return self
        both = Ids.concatenated([self, other])
        return both[both.order()]

    def texts(self) -> list[str]:
        """Return the ids as hexadecimal texts."""
        return parquet.hexadecimal(self.packed(), 16).to_pylist()  # type: ignore[no-any-return]

    def packed(self) -> bytes:
        """Return the bytes of all ids, one id after another."""
        return np.stack([self.high, self.low], axis=1).astype(">u8").tobytes()
