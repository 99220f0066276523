"""Merges three versions of data/classes.csv as Git merges lines, but class by class.

If only one side changed what becomes of a class, that side counts. If both sides split a class, it is split into all
their parts. Any other change by both sides is a conflict, and so is a cycle that only both sides together form.
"""

from pipeline import paths
from pipeline.commands.merge.listings import Side
from pipeline.errors import MergeError, RecordError
from pipeline.ingestion.labelling.mapping import ClassMapping, Row, read_rows, to_text
from pipeline.text import counted, shown

HINT = "run `pipeline resolve --ours` or `--theirs` to choose a side for them"
Heirs = frozenset[str]


def merge_classes(ancestor: bytes, ours: bytes, theirs: bytes, *, take: Side | None = None) -> bytes:
    """Merge `ours` and `theirs`, which derive from `ancestor`; `take` is the side that wins where they disagree.

    Raises:
        MergeError: they disagree, and `take` is None.
        RecordError: one of them cannot be read; `ancestor` may be empty.
    """
    was, here, there = map(_heirs, (ancestor, ours, theirs))
    winner = there if take == "theirs" else here
    rows, conflicts = list[Row](), list[str]()
    for old in sorted({*was, *here, *there}):
        before, one, other = (side.get(old, Heirs()) for side in (was, here, there))
        agreed = _merged(before, one, other)
        if agreed is None:
            conflicts.append(f"{shown(old)} {_said(one)} here and {_said(other)} there")
        rows += [(old, new) for new in (winner.get(old, Heirs()) if agreed is None else agreed)]
    if conflicts and take is None:
        more = f", and {counted(len(conflicts) - 1, 'more class', 'more classes')}" if conflicts[1:] else ""
        raise MergeError(paths.CLASSES, f"{conflicts[0]}{more}", HINT)
    try:
        ClassMapping(rows)
    except RecordError as error:
        if take is None:
            raise MergeError(paths.CLASSES, f"both sides together: {error.args[1]}", HINT) from None
        rows = [(old, new) for old, heirs in winner.items() for new in heirs]
    return to_text(rows).encode()


def _heirs(version: bytes) -> dict[str, Heirs]:
    """Return the new classes of each old class in a version of the file."""
    found: dict[str, Heirs] = {}
    for old, new in read_rows(version, paths.CLASSES) if version else []:
        found[old] = found.get(old, Heirs()) | {new}
    return found


def _merged(was: Heirs, here: Heirs, there: Heirs) -> Heirs | None:
    """Return what becomes of a class; None where the sides disagree."""
    if there in (was, here):
        return here
    if here == was:
        return there
    return here | there if min(len(here), len(there)) > 1 else None


def _said(heirs: Heirs) -> str:
    if not heirs:
        return "stays"
    return f"becomes {' and '.join(map(shown, sorted(heirs)))}" if heirs != {""} else "is dropped"
