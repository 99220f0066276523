"""Changes to data/classes.csv as pure functions of its content; none of them reads images."""

from collections.abc import Sequence

from pipeline import paths
from pipeline.errors import RecordError
from pipeline.ingestion.labelling.mapping import DROPPED, ClassMapping, Row
from pipeline.text import shown


def merge(mapping: ClassMapping, olds: Sequence[str], new: str) -> ClassMapping:
    """Return `mapping` with the classes `olds` merged into `new`; a single old class and a new name make a rename.

    Raises:
        RecordError: one of `olds` is split, or `new` already stands for something else.
    """
    merged = [old for old in olds if old != new]
    for old in merged:
        _check_whole(mapping, old)
    return ClassMapping(_freed(mapping, new, olds) | {(old, new) for old in merged})


def split(mapping: ClassMapping, old: str, news: Sequence[str]) -> ClassMapping:
    """Return `mapping` with `old` split into `news`; if that leaves one class alone, `old` stays a class, too.

    Raises:
        RecordError: one of `news` already stands for something else.
    """
    rows = set(mapping.rows)
    for new in news:
        if new != old and len(mapping.heirs.get(new, ())) == 1:
            raise _taken(mapping, new)
        rows.add((old, new))
    alone = {new for row_old, new in rows if row_old == old} if old in mapping.heirs else set(news)
    return ClassMapping(rows | ({(old, old)} if len(alone) == 1 else set()))


def drop(mapping: ClassMapping, old: str) -> ClassMapping:
    """Return `mapping` with the class `old` dropped.

    Raises:
        RecordError: `old` is split.
    """
    _check_whole(mapping, old)
    return ClassMapping({*mapping.rows, (old, DROPPED)})


def _freed(mapping: ClassMapping, new: str, olds: Sequence[str]) -> set[Row]:
    """Return the rows of `mapping` without those that map `new` to one of `olds`, so that `new` is a class again."""
    rows, heirs = set(mapping.rows), mapping.heirs.get(new, [])
    back = {new if heir == new or mapping.label(heir) in olds else heir for heir in heirs}
    if len(heirs) == 1 and back != {new}:
        raise _taken(mapping, new)
    kept = {(old, heir) for old, heir in rows if old != new}
    return kept if back == {new} else kept | {(new, heir) for heir in back}


def _check_whole(mapping: ClassMapping, old: str) -> None:
    if mapping.is_split(old):
        what = f"{shown(old)} is split into {' and '.join(map(shown, mapping.heirs[old]))}"
        raise RecordError(paths.CLASSES, what, "after a model was trained on these, remove the rows of the split")


def _taken(mapping: ClassMapping, new: str) -> RecordError:
    label = mapping.label(new)
    if label is None:
        return RecordError(paths.CLASSES, f"{shown(new)} is dropped", "choose another name, or remove its row")
    hint = f"choose another name, or use {shown(label)}"
    return RecordError(paths.CLASSES, f"{shown(new)} is a former name of {shown(label)}", hint)
