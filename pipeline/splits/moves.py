"""data/manifest/moved.csv: images whose split has changed since the last run of `manifest`.

With splits by hash, no image moves unless its group or a param of the splits changes. If the manifests are unchanged,
the recorded list is kept, so that running the stage again changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from pipeline import paths
from pipeline.files import md5_of_bytes, md5_of_file
from pipeline.lineage.seen_images import positions
from pipeline.params import Manifest
from pipeline.splits.assignment import SPLITS, Assignment, may_move
from pipeline.splits.leaks import LEAKS
from pipeline.text import csv_text
from pipeline.versioning import fetching
from pipeline.versioning.lock import StageRecord

MOVED = "moved.csv"
HEADER = ["id", "label", "source", "group", "before", "after"]
NONE = csv_text([HEADER])
HINT = "run `dvc push` where it was made and then `dvc repro` here, or `pipeline fresh` to train from scratch"
# Files that list images with their split: the manifests, and the images left out of them.
LISTED = (*(f"{name}.csv" for name in SPLITS), LEAKS)


def moved_text(
    folder: Path, images: Callable[..., pa.Table], now: Assignment, recorded: StageRecord | None, params: Manifest
) -> str:
    """Return the content of moved.csv, for the new manifests in `folder` and those that dvc.lock records.

    `images` returns the named columns of all images, in the order of `now`.

    Raises:
        MissingDataError: a recorded manifest cannot be found.
    """
    if recorded is None or any(_path(name) not in recorded.outs for name in LISTED):
        return NONE
    # The largest file last: most runs need not hash it.
    if all(md5_of_file(folder / name) == recorded.outs[_path(name)] for name in reversed(LISTED)):
        md5 = recorded.outs.get(_path(MOVED), md5_of_bytes(NONE.encode()))
        return NONE if md5 == md5_of_bytes(NONE.encode()) else _content(MOVED, md5).decode()
    if not may_move(recorded.params, params):
        return NONE
    table = images("id", "label", "source")
    was = positions(pd.Index(table["id"].to_pandas(), dtype=str), (before := _recorded(recorded)).index)
    then = np.where(was < 0, "", before.to_numpy(dtype=str)[was]) if len(before) else np.full(len(was), "")
    moved = np.flatnonzero((then != "") & (then != now.splits))
    rows = table.take(moved).to_pylist()
    lines = ([*row.values(), now.groups[at], then[at], now.splits[at]] for row, at in zip(rows, moved, strict=True))
    return csv_text([HEADER, *lines])


def _recorded(manifest: StageRecord) -> pd.Series[str]:
    """Return the split of each image by id, from the manifests that `manifest` records."""
    parts: list[pd.Series[str]] = []
    for name in LISTED:
        content = BytesIO(_content(name, manifest.outs[_path(name)]))
        columns = ["id", "split"] if name == LEAKS else ["id"]
        frame = pd.read_csv(content, dtype=str, keep_default_na=False, usecols=columns).set_index("id")
        parts.append(frame["split"] if name == LEAKS else pd.Series(name.removesuffix(".csv"), frame.index, dtype=str))
    splits: pd.Series[str] = pd.concat(parts)
    return splits


def _content(name: str, md5: str) -> bytes:
    path = paths.MANIFEST / name
    return fetching.read_file(md5, nearby=path, what=path.as_posix(), hint=HINT)


def _path(name: str) -> str:
    return (paths.MANIFEST / name).as_posix()
