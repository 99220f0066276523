"""data/manifest/changes.csv: changes against the last training, by image and by class."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from pipeline.lineage.seen_images import EVEN, SeenImages, positions, weights_at

CHANGES = "changes.csv"
SCHEMA = pa.schema({name: pa.string() for name in ("change", "id", "label", "before")})
NO_CHANGES = SCHEMA.empty_table()


def uneven(ids: pd.Index[str], weights: npt.NDArray[np.float64]) -> pd.Series[float]:
    """Return the weights other than 1 by id, in the form of `SeenImages.weights`."""
    found: pd.Series[float] = pd.Series(weights, index=ids)[weights != 1]
    return found


def new_classes(before: SeenImages, labels: pd.Series[str]) -> list[str]:
    """Return the classes in `labels` that had no image in the last training."""
    return sorted({*labels.unique()} - {*before.labels.unique()})


def list_changes(before: SeenImages, labels: pd.Series[str], weights: pd.Series[float] = EVEN) -> pa.Table:
    """Return the rows of changes.csv: how `labels`, by id, differ from the last training; sorted by change and id.

    The column before holds a removed image's label or a reweighted image's weight. Rows of classes have no id.
    """
    was = positions(labels.index, before.labels.index)
    kept, gone = was >= 0, np.ones(len(before.labels), np.bool_)
    gone[was[kept]] = False
    other = np.flatnonzero(before.is_relabelled(was, labels))
    relabelled = pd.DataFrame({"label": labels.iloc[other], "before": before.labels.iloc[was[other]].to_numpy()})
    relabelled = relabelled.sort_index()
    reweighted = labels[before.is_reweighted(labels, weights)].sort_index()
    had = (f"{weight:g}" for weight in weights_at(before.weights, reweighted.index))
    vanished = sorted({*before.labels.unique()} - {*labels.unique()})
    parts = [
        _images("added", labels[~kept].sort_index()),
        _classes("new class", new_classes(before, labels)),
        _images("relabelled", relabelled["label"], relabelled["before"]),
        _images("removed", before.labels[gone].sort_index()),
        _images("reweighted", reweighted, had),
        _classes("vanished class", vanished),
    ]
    return pa.concat_tables(parts)


def _images(change: str, labels: pd.Series[str], before: Iterable[str] | None = None) -> pa.Table:
    empty = pa.repeat("", len(labels))
    columns = [pa.repeat(change, len(labels)), labels.index, labels.array, empty if before is None else before]
    return pa.table([pa.array(column, pa.string()) for column in columns], schema=SCHEMA)


def _classes(change: str, names: list[str]) -> pa.Table:
    return pa.table([[change] * len(names), [""] * len(names), names, [""] * len(names)], schema=SCHEMA)
