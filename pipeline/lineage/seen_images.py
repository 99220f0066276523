"""data/model/seen.npz: every image that a model or one of its bases was trained on, at 18 bytes per image."""

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
# Label code of an image that only earlier generations were trained on.
EARLIER = np.iinfo(np.uint16).max
# The weight of an image without an entry.
USUAL_WEIGHT = 1.0
# Ids per block, which bounds memory.
ROWS = 2**16
EVEN: pd.Series[float] = pd.Series(dtype=float, index=pd.Index([], dtype=str))


class TrainingImages(NamedTuple):
    """The images of a training."""

    labels: pd.Series[str]
    """Class names by image id."""
    weights: pd.Series[float]
    """Weights other than 1 by image id."""


@dataclass(frozen=True, kw_only=True)
class SeenImages:
    """The images that a model and its bases were trained on."""

    labels: pd.Series[str]
    """Class names of the last training's images, by id."""
    earlier: pd.Index[str]
    """Ids of images that only earlier trainings had."""
    weights: pd.Series[float] = field(default_factory=lambda: EVEN)
    """Weights other than 1 in the last training, by id."""

    @property
    def ids(self) -> pd.Index[str]:
        """Ids of all images that the model or its bases were trained on."""
        return self.labels.index.append(self.earlier)

    def compare(self, labels: pd.Series[str], weights: pd.Series[float] = EVEN) -> ImageCounts:
        """Count how a new training with `labels` and `weights`, both by id, differs from the last training.

        An image with a changed weight counts as relabelled.
        """
        was = positions(labels.index, self.labels.index)
        known = int((was >= 0).sum())
        changed = int(self._differs(was, labels, weights).sum())
        new = len(labels) - known
        return ImageCounts(total=len(labels), new=new, removed=len(self.labels) - known, relabelled=changed - new)

    def is_new(self, labels: pd.Series[str], weights: pd.Series[float] = EVEN) -> npt.NDArray[np.bool_]:
        """Whether the last training lacked each image of `labels`, or had another label or weight; shape (n,)."""
        return self._differs(positions(labels.index, self.labels.index), labels, weights)

    def _differs(
        self, was: npt.NDArray[np.int64], labels: pd.Series[str], weights: pd.Series[float]
    ) -> npt.NDArray[np.bool_]:
        """As `is_new`, for known positions `was` in the last training, -1 for none."""
        return (was < 0) | self.is_relabelled(was, labels) | self.is_reweighted(labels, weights)

    def is_relabelled(self, was: npt.NDArray[np.int64], labels: pd.Series[str]) -> npt.NDArray[np.bool_]:
        """Whether each label differs from the label at the position `was` in the last training; shape (n,)."""
        # Arrays, not series: Arrow looks up an attribute of a series, for which pandas would hash all ids.
        before, now = (pa.array(of.array, pa.string()) for of in (self.labels, labels))
        places = pa.array(was, mask=was < 0)
        is_other: npt.NDArray[np.bool_] = pc.not_equal(before.take(places), now).fill_null(False).to_numpy(False)
        return is_other

    def is_reweighted(self, labels: pd.Series[str], weights: pd.Series[float]) -> npt.NDArray[np.bool_]:
        """Whether the last training had each image of `labels`, with another weight; shape (n,)."""
        if not len(weights) and not len(self.weights):
            return np.zeros(len(labels), np.bool_)
        is_other: npt.NDArray[np.bool_] = weights_at(weights, labels.index) != weights_at(self.weights, labels.index)
        is_other &= positions(labels.index, self.labels.index) >= 0
        return is_other

    def renamed(self, classes: ClassChanges) -> SeenImages:
        """Return a copy with the current names of `classes`."""
        return replace(self, labels=classes.relabel(self.labels))

    def then(self, labels: pd.Series[str], weights: pd.Series[float] = EVEN) -> SeenImages:
        """Return the record of a model that starts from this one and is trained on `labels` with `weights`."""
        earlier = self.ids[positions(self.ids, labels.index) < 0].sort_values()
        return SeenImages(labels=labels, earlier=earlier, weights=weights)


NOTHING = SeenImages(labels=pd.Series(dtype=str), earlier=pd.Index([], dtype=str))


def positions(ids: pd.Index[str], among: pd.Index[str]) -> npt.NDArray[np.int64]:
    """Return the position of each of `ids` in `among`, whose ids are distinct, or -1; shape (len(ids),).

    For a million ids this takes 0.1 s, where pandas' `isin` takes ten seconds.
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
    """Parse `ids`; None if one is not a hexadecimal hash in lower case, as ingest writes them."""
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
    """Return the weight of each of `ids`, 1 if `weights` has no entry; shape (len(ids),)."""
    where = positions(ids, weights.index)
    found = np.full(len(ids), USUAL_WEIGHT)
    found[where >= 0] = weights.to_numpy()[where[where >= 0]]
    return found


def read_seen(model: Path) -> SeenImages:
    """Read the images that the model in the folder `model` was trained on.

    Raises:
        CheckpointError: the file is missing or unreadable.
    """
    ids, codes, classes, weights = _read(model / SEEN)
    index = pd.Index(pd.array(parquet.hexadecimal(ids.tobytes(), 16), dtype=str))
    last = codes != EARLIER
    labels = pd.Series(classes[codes[last]], index=index[last], dtype=str)
    uneven = pd.Series(weights, index=labels.index[: len(weights)], dtype=float)
    return SeenImages(labels=labels, earlier=index[~last], weights=uneven[uneven != USUAL_WEIGHT])


def read_seen_ids(model: Path) -> Ids:
    """Read the ids of all images that the model in the folder `model` or its bases were trained on, in any order.

    Raises:
        CheckpointError: the file is missing or unreadable.
    """
    return Ids.unpacked(_read(model / SEEN)[0].reshape(-1))


def find_seen(path: Path, prefix: str) -> dict[str, str | None]:
    """Find the images in the file `path` whose ids begin with `prefix`, of hexadecimal digits.

    A million ids take a few milliseconds, since only matching ids are converted to text.

    Returns:
        the label of each image in the last training, by id; None if only earlier trainings had it.

    Raises:
        CheckpointError: the file cannot be read.
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
    """Read ids of shape (n, 16), the label code of each, the class names, and weights from the file `path`.

    The last training's images come first; weights has one entry for each of them, or none if all are 1.
    """
    try:
        # Opened here, since NumPy leaves the file open if it contains no arrays.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            weights = arrays["weights"] if "weights" in arrays else np.empty(0)
            return arrays["ids"], arrays["labels"], arrays["classes"], weights
    except (OSError, ValueError, KeyError, EOFError, RuntimeError, BadZipFile) as error:
        raise CheckpointError(path, f"not readable: {type(error).__name__}", "run `dvc checkout`") from None


def write_seen(seen: SeenImages, model: Path) -> None:
    """Write `seen` into the folder `model`; equal content gives equal bytes."""
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
