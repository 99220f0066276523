"""data/model/seen.npz: every image that a model, or a base before it, was trained on, at 18 bytes an image."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from pipeline import parquet
from pipeline.errors import CheckpointError
from pipeline.ids import Ids
from pipeline.lineage.class_changes import ClassChanges
from pipeline.lineage.lineage import ImageCounts

SEEN = "seen.npz"
# The label of an image that an earlier generation was trained on, the last one not.
EARLIER = np.iinfo(np.uint16).max
# Of an image of which nothing else is said.
USUAL_WEIGHT = 1.0
# Ids that are looked at in one go, which bounds memory.
ROWS = 2**16
EVEN: pd.Series[float] = pd.Series(dtype=float, index=pd.Index([], dtype=str))


class TrainingImages(NamedTuple):
    """What is trained on."""

    labels: pd.Series[str]
    """By id."""
    weights: pd.Series[float]
    """By id, but for those that are 1."""


@dataclass(frozen=True, kw_only=True)
class SeenImages:
    """The label of each image of the last training, by id, and the ids of those seen only before."""

    labels: pd.Series[str]
    """By id."""
    earlier: pd.Index[str]
    weights: pd.Series[float] = field(default_factory=lambda: EVEN)
    """How much images counted in the last training, by id, but for those that counted 1."""

    @property
    def ids(self) -> pd.Index[str]:
        """All images that the model has ever seen."""
        return self.labels.index.append(self.earlier)

    def compare(self, labels: pd.Series[str], weights: pd.Series[float] = EVEN) -> ImageCounts:
        """How `labels` and `weights`, those of a new training by id, differ from the last training's.

        An image that has another weight counts as relabelled.
        """
        was = positions(labels.index, self.labels.index)
        known = int((was >= 0).sum())
        changed = int(self._differs(was, labels, weights).sum())
        new = len(labels) - known
        return ImageCounts(total=len(labels), new=new, removed=len(self.labels) - known, relabelled=changed - new)

    def is_new(self, labels: pd.Series[str], weights: pd.Series[float] = EVEN) -> npt.NDArray[np.bool_]:
        """Of each of `labels`, by id, whether the last training was without it, or with another one; shape (n,).

        Or with another weight.
        """
        return self._differs(positions(labels.index, self.labels.index), labels, weights)

    def _differs(
        self, was: npt.NDArray[np.int64], labels: pd.Series[str], weights: pd.Series[float]
    ) -> npt.NDArray[np.bool_]:
        """The same where their places among the last training's are known, −1 for none."""
        return (was < 0) | self.is_relabelled(was, labels) | self.is_reweighted(labels, weights)

    def is_relabelled(self, was: npt.NDArray[np.int64], labels: pd.Series[str]) -> npt.NDArray[np.bool_]:
        """Of each of `labels` whether it is another one at its place `was` among the last training's; shape (n,)."""
        # Not of series: Arrow asks them for an attribute, and pandas hashes all ids to see whether one has its name.
        before, now = (pa.array(of.array, pa.string()) for of in (self.labels, labels))
        places = pa.array(was, mask=was < 0)
        is_other: npt.NDArray[np.bool_] = pc.not_equal(before.take(places), now).fill_null(False).to_numpy(False)
        return is_other

    def is_reweighted(self, labels: pd.Series[str], weights: pd.Series[float]) -> npt.NDArray[np.bool_]:
        """Of each of `labels`, by id, whether the last training was with it, and with another weight; shape (n,)."""
        if not len(weights) and not len(self.weights):
            return np.zeros(len(labels), np.bool_)
        is_other: npt.NDArray[np.bool_] = weights_at(weights, labels.index) != weights_at(self.weights, labels.index)
        is_other &= positions(labels.index, self.labels.index) >= 0
        return is_other

    def renamed(self, classes: ClassChanges) -> SeenImages:
        """The same by the names that `classes` have now."""
        return replace(self, labels=classes.relabel(self.labels))

    def then(self, labels: pd.Series[str], weights: pd.Series[float] = EVEN) -> SeenImages:
        """What a model has seen that starts from this one and is trained on `labels` with `weights`."""
        earlier = self.ids[positions(self.ids, labels.index) < 0].sort_values()
        return SeenImages(labels=labels, earlier=earlier, weights=weights)


NOTHING = SeenImages(labels=pd.Series(dtype=str), earlier=pd.Index([], dtype=str))


def positions(ids: pd.Index[str], among: pd.Index[str]) -> npt.NDArray[np.int64]:
    """Where in `among`, which are distinct, each of `ids` is, or −1; shape (len(ids),).

    For a million ids pandas' `isin` takes ten seconds, and this a tenth of one.
    """
    if not len(ids) or not len(among):
        return np.full(len(ids), -1)
    wanted, known = numbers_of(ids), numbers_of(among)
    if wanted is None or known is None:
        columns = (pa.array(index.astype(str), pa.string()) for index in (ids, among))
        return pc.index_in(*columns).fill_null(-1).to_numpy().astype(np.int64)  # type: ignore[no-any-return]
    order = known.order()
    found = known[order].find(wanted)
    return np.where(found < 0, -1, order[found])


def numbers_of(ids: pd.Index[str]) -> Ids | None:
    """What `ids` are in numbers; None where one is no hash in hexadecimal, as ingest writes them."""
    parts = []
    for start in range(0, len(ids), ROWS):
        column = pa.array(ids[start : start + ROWS].astype(str), pa.string())
        if pc.min_max(pc.binary_length(column)).as_py() != {"min": 32, "max": 32}:
            return None
        if not parquet.characters(column).islower():
            return None
        try:
            parts.append(Ids.of(column))
        except ValueError:
            return None
    return Ids.concatenated(parts)


def weights_at(weights: pd.Series[float], ids: pd.Index[str]) -> npt.NDArray[np.float64]:
    """What each of `ids` weighs, where `weights` has those that are not 1; shape (len(ids),)."""
    where = positions(ids, weights.index)
    found = np.full(len(ids), USUAL_WEIGHT)
    found[where >= 0] = weights.to_numpy()[where[where >= 0]]
    return found


def read_seen(model: Path) -> SeenImages:
    """What the model in the folder `model` has seen.

    Raises:
        CheckpointError: it does not say.
    """
    ids, codes, classes, weights = _read(model / SEEN)
    index = pd.Index(pd.array(parquet.hexadecimal(ids.tobytes(), 16), dtype=str))
    last = codes != EARLIER
    labels = pd.Series(classes[codes[last]], index=index[last], dtype=str)
    uneven = pd.Series(weights, index=labels.index[: len(weights)], dtype=float)
    return SeenImages(labels=labels, earlier=index[~last], weights=uneven[uneven != USUAL_WEIGHT])


def read_seen_ids(model: Path) -> Ids:
    """All images that the model in the folder `model` has ever seen, in any order, as 16 bytes each.

    Raises:
        CheckpointError: it does not say.
    """
    return Ids.unpacked(_read(model / SEEN)[0].reshape(-1))


def find_seen(path: Path, prefix: str) -> dict[str, str | None]:
    """The images in the file `path` whose ids begin with `prefix`, of hexadecimal digits.

    A million ids take a few milliseconds, since none of the others is made a text.

    Returns:
        the label of each in the last training, by id; None where that was without it.

    Raises:
        CheckpointError: it cannot be read.
    """
    ids, codes, classes, _ = _read(path)
    mask, wanted = (
        np.frombuffer(bytes.fromhex(digits.ljust(32, "0")), ">u8") for digits in ("f" * len(prefix), prefix)
    )
    rows = np.flatnonzero(((ids.view(">u8").reshape(-1, 2) & mask) == wanted).all(axis=1))
    return {ids[row].tobytes().hex(): None if codes[row] == EARLIER else str(classes[codes[row]]) for row in rows}


def _read(
    path: Path,
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint16], npt.NDArray[np.str_], npt.NDArray[np.float64]]:
    """The ids in the file `path`, shape (n, 16), the number of the label of each, and the labels.

    And the weights of the images of the last training, which come first; none where all are 1.
    """
    try:
        # Opened here, since NumPy leaves the file open where it holds no arrays.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            weights = arrays["weights"] if "weights" in arrays else np.empty(0)
            return arrays["ids"], arrays["labels"], arrays["classes"], weights
    except (OSError, ValueError, KeyError, EOFError, RuntimeError, BadZipFile) as error:
        raise CheckpointError(path, f"not readable: {type(error).__name__}", "run `dvc checkout`") from None


def write_seen(seen: SeenImages, model: Path) -> None:
    """Write `seen` into the folder `model`, the same bytes for the same content."""
    labels = seen.labels.sort_index()
    codes, classes = pd.factorize(labels, sort=True)
    ids = (pa.array(one.astype(str).array, pa.string()) for one in (labels.index, seen.earlier.sort_values()))
    weights: Any = {"weights": weights_at(seen.weights, labels.index)} if len(seen.weights) else {}
    np.savez(
        model / SEEN,
        ids=np.frombuffer(b"".join(map(parquet.packed, ids)), np.uint8).reshape(-1, 16),
        labels=np.concatenate([codes, np.full(len(seen.earlier), EARLIER)]).astype(np.uint16),
        classes=np.array(classes, dtype=str),
        **weights,
    )
