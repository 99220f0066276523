"""Splits that come with the data, as in public data sets: a column of labels.csv, or folders named train, val, test."""

from collections.abc import Iterator

import pyarrow as pa

from pipeline import paths
from pipeline.errors import ImagesError
from pipeline.ingestion.labelling.class_names import class_name
from pipeline.ingestion.labelling.mapping import ClassMapping
from pipeline.ingestion.labelling.split_names import SPLIT_NAMES
from pipeline.splits.sources import seen_through, values_of

COLUMN = "split"


def given_splits(images: pa.Table, groups: list[str], *, by_column: bool) -> list[str]:
    """Return the given split of each of `images`, or that of its group; empty if none is given.

    `images` has the columns source and attributes, and also label unless `by_column`.

    Raises:
        ImagesError: a cell is not a split, or a group is in two splits.
    """
    said = said_splits(images, by_column=by_column)
    of_group: dict[str, int] = {}
    for at, (group, split) in enumerate(zip(groups, said, strict=True)):
        if group and split and said[other := of_group.setdefault(group, at)] != split:
            places = (f"{images['source'][one].as_py()} is in {said[one]}" for one in (other, at))
            what = f"group {group!r} is in two splits: {' and '.join(places)}"
            raise ImagesError(paths.RAW, what, "put all of it into one, or set manifest.split.group to null")
    return [
        split or (said[of_group[group]] if group in of_group else "") for group, split in zip(groups, said, strict=True)
    ]


def said_splits(images: pa.Table, *, by_column: bool) -> list[str]:
    """Return the split that column or folders give each of `images`, without groups; otherwise as `given_splits`."""
    return _cells(images) if by_column else list(_folders(images))


def _cells(images: pa.Table) -> list[str]:
    cells = values_of(images, COLUMN)
    wrong = next((at for at, cell in enumerate(cells) if cell and cell.lower() not in SPLIT_NAMES), None)
    if wrong is not None:
        what = f"the split of {images['source'][wrong].as_py()} is {cells[wrong]!r}"
        raise ImagesError(paths.LABELS, what, "write train, val or test, or nothing, into the column `split`")
    return [SPLIT_NAMES.get(cell.lower(), "") for cell in cells]


def _folders(images: pa.Table) -> Iterator[str]:
    """Take the outermost folder named like a split, unless it is the image's class, also by a former name."""
    mapping = ClassMapping.read()
    rows = (images[name].to_pylist() for name in ("source", "label"))
    for source, label in zip(*rows, strict=True):
        _, folders, _ = seen_through(source)
        named = (SPLIT_NAMES[folder.lower()] for folder in folders if _is_split(folder, label, mapping))
        yield next(named, "")


def _is_split(folder: str, label: str, mapping: ClassMapping) -> bool:
    if folder.lower() not in SPLIT_NAMES:
        return False
    name = class_name(folder) or ""
    return label not in {name, *mapping.descendants(name)}
