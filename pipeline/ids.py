"""Many ids at once, 16 bytes each: an object each would take ten times the memory, and the time."""

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
    """Ids in any order, shape (rows,); they sort as their texts do."""

    high: Halves
    """The first eight bytes of each."""
    low: Halves
    """The others."""

    @classmethod
    def of(cls, column: pa.ChunkedArray | pa.StringArray) -> Self:
        """Those in a `column` of texts, in its order."""
        return cls.unpacked(parquet.packed(column))

    @classmethod
    def unpacked(cls, data: bytes | npt.NDArray[np.uint8]) -> Self:
        """Those whose bytes are `data`, one after another."""
        halves = np.frombuffer(data, ">u8").reshape(-1, 2)
        return cls(*(halves[:, half].astype(np.uint64) for half in range(2)))

    @classmethod
    def sorted_of(cls, ids: Iterable[str]) -> Self:
        """These `ids`, sorted."""
        found = cls.of(parquet.strings(ids))
        return found[found.order()]

    @classmethod
    def concatenated(cls, parts: Sequence["Ids"]) -> Self:
        """Those of all `parts`, one after another."""
        nothing = np.empty(0, np.uint64)
        return cls(
            *(np.concatenate([nothing, *halves]) for halves in ([p.high for p in parts], [p.low for p in parts]))
        )

    def __len__(self) -> int:
        return len(self.high)

    def __getitem__(self, rows: Rows | slice | npt.NDArray[np.bool_]) -> Self:
        return type(self)(self.high[rows], self.low[rows])

    def __contains__(self, image_id: object) -> bool:
        """Whether `image_id` is among them, which are sorted."""
        high, low = divmod(int(str(image_id), 16), 2**64)
        at = int(np.searchsorted(self.high, np.uint64(high)))
        while at < len(self) and self.high[at] == high:
            if self.low[at] == low:
                return True
            at += 1
        return False

    def order(self) -> Rows:
        """The rows in the order of the ids; of equal ids in any."""
        if (self.high[1:] > self.high[:-1]).all():  # As most are that come from a file.
            return np.arange(len(self))
        rows = np.argsort(self.high)
        high, low = self.high[rows], self.low[rows]
        is_wrong = (high[1:] == high[:-1]) & (low[1:] < low[:-1])
        return np.lexsort((self.low, self.high)) if is_wrong.any() else rows

    def is_again(self) -> npt.NDArray[np.bool_]:
        """Which of them are the same as the one before, shape (rows,)."""
        is_same = (self.high[1:] == self.high[:-1]) & (self.low[1:] == self.low[:-1])
        return np.concatenate([np.zeros(min(len(self), 1), np.bool_), is_same])

    def find(self, wanted: "Ids") -> Rows:
        """Where among these, which are sorted, each of the `wanted` ones is, -1 where it is not."""
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
        """Whether each of these ids, sorted and distinct, is among `others`, which are in any order; shape (rows,)."""
        is_among = np.zeros(len(self), np.bool_)
        at = self.find(others)
        is_among[at[at >= 0]] = True
        return is_among

    def joined(self, other: "Ids") -> "Ids":
        """These and `other` ones, sorted; both are."""
        if not len(other):
            return self
        both = Ids.concatenated([self, other])
        return both[both.order()]

    def texts(self) -> list[str]:
        """Them as texts."""
        return parquet.hexadecimal(self.packed(), 16).to_pylist()  # type: ignore[no-any-return]

    def packed(self) -> bytes:
        """Their bytes, one id after another."""
        return np.stack([self.high, self.low], axis=1).astype(">u8").tobytes()
