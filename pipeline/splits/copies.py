"""Warnings about copies of an image that differ in group, split or weight; the first path by name counts."""

from collections.abc import Iterator

import pyarrow as pa

from pipeline.params import Params
from pipeline.splits.given import said_splits
from pipeline.splits.groups import groups_of
from pipeline.splits.weighting import weights_of
from pipeline.text import counted


def copy_notices(copies: pa.Table, params: Params) -> list[str]:
    """Return one sentence for each kind of disagreement among `copies`, a table with `resolving.COLUMNS`.

    Raises:
        ImagesError: a cell is not a split or not a weight.
    """
    copies = copies.sort_by([("id", "ascending"), ("source", "ascending")])
    said = {"are in several groups": groups_of(copies, params)}
    if params.manifest.split.by in ("column", "folder"):
        said["are in several splits"] = said_splits(copies, by_column=params.manifest.split.by == "column")
    said["have several weights"] = ["" if weight == 1 else f"{weight:g}" for weight in weights_of(copies).tolist()]
    return [notice for what, values in said.items() for notice in _disagreeing(copies, what, values)]


def _disagreeing(copies: pa.Table, what: str, values: list[str]) -> Iterator[str]:
    first: dict[str, int] = {}
    found: dict[str, tuple[int, int]] = {}
    for at, (image_id, value) in enumerate(zip(copies["id"].to_pylist(), values, strict=True)):
        if value and values[before := first.setdefault(image_id, at)] != value:
            found.setdefault(image_id, (before, at))
    if found:
        one, other = (f"{copies['source'][at].as_py()} in {values[at]}" for at in min(found.values()))
        images = counted(len(found), "image")
        yield f"copies of {images} {what}, and the first place by name counts: {one}, {other}"
