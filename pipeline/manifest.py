"""Stage 2: data/images → data/manifest and data/base. Draws the splits, and chooses the base of the next training.

Runs in `dvc repro`, or alone with `pipeline run manifest`.
"""

import shutil
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from pipeline import parquet, paths
from pipeline.errors import ImagesError
from pipeline.files import put
from pipeline.ids import Ids
from pipeline.images import index
from pipeline.ingestion.labelling.mapping import ClassMapping
from pipeline.ingestion.refusals import read_dropped
from pipeline.lineage import selection
from pipeline.lineage.base import Base
from pipeline.lineage.class_changes import CLASSES, ClassChanges
from pipeline.lineage.forgotten import Forgotten
from pipeline.lineage.lineage import read_lineage
from pipeline.lineage.merged import MERGED, merged_models, to_text
from pipeline.lineage.seen_images import SeenImages, read_seen, read_seen_ids
from pipeline.params import Manifest, Params
from pipeline.result import Result
from pipeline.splits.assignment import SPLITS, Assignment, assign, columns_for
from pipeline.splits.changes import CHANGES, NO_CHANGES, list_changes, uneven
from pipeline.splits.classes import changes_of_classes
from pipeline.splits.duplicates.grid import Sorted
from pipeline.splits.duplicates.points import read_rows
from pipeline.splits.leaks import LEAKS, find_leaks, list_leaks
from pipeline.splits.moves import MOVED, NONE, moved_text
from pipeline.splits.review import REVIEW, list_review
from pipeline.splits.slices import NO_GENERATIONS, SLICES, recorded_generations, slices_of
from pipeline.splits.summary import counts, grouping, moves, news
from pipeline.splits.tables import write_csv
from pipeline.splits.weighting import UNTRAINED, Weights, weights_of, written_weights
from pipeline.text import counted, short
from pipeline.versioning.lock import read_record

COLUMNS = ["id", "label", "md5"]
# Columns that are kept after the first read, since they are needed several times.
KEPT = ("id", "label")
MANIFESTS = {name: f"{name}.csv" for name in SPLITS}
FEW = 3  # Maximum number of classes that a warning names.
FILES = (*MANIFESTS.values(), SLICES, LEAKS, REVIEW, CHANGES, MOVED, MERGED, CLASSES)


def manifest(params: Params) -> Result:
    """Write data/manifest and data/base; return a summary."""
    order, kept = _by_id()
    read = partial(_columns, order, kept)  # Few columns at a time: for ten million images each is large.
    drawn, found = _drawn(read, order, params)
    split = drawn.splits
    weights = weights_of(read("attributes"), lambda: read("source")["source"])
    like = find_leaks(split, found)
    # The split that lists each image; training images of weight 0 are in none.
    listed = split if weights.all() else np.where((split == "train") & (weights == 0), UNTRAINED, split)
    labels = read("label")["label"].to_pandas()
    total = int(np.count_nonzero(is_trained := listed == "train"))
    _check(labels, names := labels.array[is_trained].unique(), total, params.manifest)

    # Files in data/manifest are replaced only after all are written and the base, which may be missing, is found.
    aside = _empty_folder()
    _write_splits(aside, read, listed, like, weights)
    is_cold = selection.is_cold(params, (record := read_record()).get("train"))
    moved = NONE if is_cold else moved_text(aside, read, drawn, record.get("manifest"), params.manifest)
    (aside / MOVED).write_text(moved, encoding="utf-8")
    generations = NO_GENERATIONS if is_cold else recorded_generations()
    chosen, is_seen = _settle(aside, Ids.of(read("id")["id"]), split, params)
    placed = f"{counts(labels, listed, like)}{grouping(drawn, params.manifest)}{drawn.remark}{moves(moved)}"
    del labels, drawn  # Free memory early.
    before, classes = _before(names) if chosen.oid else (None, ClassChanges())
    generation = read_lineage(paths.BASE).generation + 1 if chosen.oid else 1
    test = read("id", "attributes").filter((split == "test") & (like < 0)).to_pandas()
    _write(aside / SLICES, slices_of(test, generations, generation))
    is_listed = (like < 0) & (listed != UNTRAINED)
    write_csv(aside / REVIEW, list_review(read, split, is_listed, is_seen, found))
    del found  # Free memory early.
    changes = None if before is None else _changes(before, read("id", "label"), is_trained, weights)
    write_csv(aside / CHANGES, NO_CHANGES if changes is None else changes)
    (aside / MERGED).write_text(to_text(others := merged_models(again=chosen.again)), encoding="utf-8")
    (aside / CLASSES).write_text(classes.to_text(), encoding="utf-8")
    _put_all(aside)
    merged = f", merged with {', '.join(map(short, others))}" if others else ""
    return Result(f"{placed}; {news(changes, total)}{classes.as_news()}; {chosen}{merged}", len(split))


def _by_id() -> tuple[pa.Array | None, dict[str, pa.ChunkedArray]]:
    """Return the order of the index's rows by id; None and the ids if they are sorted, as ingest writes them."""
    ids = parquet.read_table(index.INDEX, index.WHOLE, ["id"])["id"]
    if pc.all(pc.less(ids[:-1], ids[1:])).as_py() is False:
        return pc.sort_indices(ids), {}
    return None, {"id": ids}


def _columns(order: pa.Array | None, kept: dict[str, pa.ChunkedArray], *names: str) -> pa.Table:
    """Read columns of the index in the given `order` or the file's; `kept` caches the columns of `KEPT`."""
    found = dict(kept)
    if further := [name for name in names if name not in kept]:
        table = parquet.read_table(index.INDEX, index.WHOLE, further)
        table = table if order is None else table.take(order)
        found |= zip(table.column_names, table.columns, strict=True)
        kept |= {name: found[name] for name in KEPT if name in found}
    return pa.table({name: found[name] for name in names if name in found})


def _drawn(images: Callable[..., pa.Table], order: pa.Array | None, params: Params) -> tuple[Assignment, Sorted]:
    """Draw the splits and sort the descriptors, at the same time: NumPy releases the interpreter's lock."""
    with ThreadPoolExecutor(1) as pool:
        found = pool.submit(lambda: Sorted.of(read_rows(index.INDEX, order)))
        drawn = assign(images(*columns_for(params)), params)
    return drawn, found.result()


def _labels(images: pa.Table) -> "pd.Series[str]":
    labels: pd.Series[str] = images.to_pandas().set_index("id")["label"].astype(str)
    return labels


def _empty_folder() -> Path:
    """Make an empty folder on the disk of data/manifest, for its new files."""
    folder = paths.PROGRESS / "manifest"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def _put_all(folder: Path) -> None:
    """Replace data/manifest's files with those in `folder`."""
    for file in FILES:
        put(folder / file, paths.MANIFEST / file)
    shutil.rmtree(folder)


def _before(now: Collection[str]) -> tuple[SeenImages, ClassChanges]:
    """Read the images that data/base was trained on, by current class names, and the changes of its classes."""
    before = read_seen(paths.BASE)
    classes = changes_of_classes(ClassMapping.read(), before.labels.unique(), now)
    return before.renamed(classes), classes


def _settle(folder: Path, ids: Ids, split: npt.NDArray[np.str_], params: Params) -> tuple[Base, npt.NDArray[np.bool_]]:
    """Put the base into data/base; return it, and whether it was ever trained on each image, shape (images,)."""
    admits = partial(_admits, ids=ids, split=split, params=params.manifest)
    base = selection.settle(folder, params, admits)
    return base, ids.are_among(read_seen_ids(paths.BASE)) if base.oid else np.zeros(len(ids), np.bool_)


def _admits(model: Path, *, ids: Ids, split: npt.NDArray[np.str_], params: Manifest) -> bool:
    """Whether training may start from `model`.

    The model must not have been trained on an image that is held out now or is to be forgotten, nor, if
    `manifest.on_removed` demands it, on a removed one. An image that is left out counts as held out: its near-duplicate
    may be removed later. `ids` are the sorted ids of all images, `split` their splits.
    """
    seen = read_seen_ids(model)
    if (Ids.sorted_of(Forgotten.read().images).find(seen) >= 0).any():
        return False
    now = ids.find(seen)
    if params.on_removed == "ancestor" and not read_dropped().issuperset(seen[now < 0].texts()):
        return False
    return bool((split[now[now >= 0]] == "train").all())


def _write_splits(
    folder: Path,
    images: Callable[..., pa.Table],
    split: npt.NDArray[np.str_],
    like: npt.NDArray[np.int64],
    weights: Weights,
) -> None:
    """Write the manifests and leaks.csv into `folder`."""
    table = images(*COLUMNS)
    for name, file in MANIFESTS.items():
        chosen = (split == name) & (like < 0)
        if name == "train" and (cells := written_weights(weights[chosen])) is not None:
            write_csv(folder / file, table.filter(chosen).append_column("weight", pa.array(cells)))
        else:
            write_csv(folder / file, table, chosen)
    del table  # Free memory before reading other columns.
    write_csv(folder / LEAKS, list_leaks(images("id", "label", "source"), split, like))


def _changes(before: SeenImages, images: pa.Table, trained: npt.NDArray[np.bool_], weights: Weights) -> pa.Table:
    """Return the rows of changes.csv: changes since the base was trained; `trained` marks the training images now."""
    labels = _labels(images.filter(trained))
    return list_changes(before, labels, uneven(labels.index, weights[trained]))


def _check(labels: "pd.Series[str]", classes: Collection[str], total: int, params: Manifest) -> None:
    if len(classes) < 2:
        what = f"{counted(len(classes), 'class', 'classes')} among {counted(total, 'training image')}"
        finer = f", or make the groups of manifest.split.group ({params.split.group}) smaller"
        hint = f"add images{finer if params.split.group else ''}: at least two classes are needed"
        raise ImagesError(paths.RAW, what, hint)
    if untrained := sorted({*labels.unique()}.difference(classes)):
        named = ", ".join(map(repr, untrained[:FEW])) + (", …" if len(untrained) > FEW else "")
        what = f"no image of {counted(len(untrained), 'class', 'classes')} ({named}) is for training"
        print(f"manifest: warning: {what}, so the model cannot know it: add images", flush=True)


def _write(path: Path, table: pa.Table | pd.DataFrame) -> None:
    """Write `table` as UTF-8 CSV; its cells are ids, classes and the like, without control characters."""
    frame = table if isinstance(table, pd.DataFrame) else table.to_pandas()
    frame.to_csv(path, index=False, lineterminator="\n")
