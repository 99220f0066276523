"""What people should hear of images, in a sentence each; nothing here decides what is used."""

import shlex
from collections import Counter
from collections.abc import Iterable, Mapping
from functools import partial

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.ingestion.catalogue import Catalogue
from pipeline.ingestion.collection import Refused
from pipeline.ingestion.labelling.class_names import alike
from pipeline.ingestion.labelling.labels import LABELS, MEMBER, Labels
from pipeline.ingestion.unpacking.archives import is_archive
from pipeline.ingestion.wrappers import REASON
from pipeline.text import counted
from pipeline.versioning.raw_files import RawFile

# More of a kind are counted.
MOST = 5


def notices(
    files: Iterable[RawFile], contents: Catalogue, labels: Labels, table: pa.Table, refused: Iterable[Refused]
) -> list[str]:
    """All of them; `table` is the index of the images, and `labels` was asked for all of `files`."""
    members = ((path, member) for path, md5 in files if is_archive(path) for member in contents[md5])
    found = ((path, member.name, member.doubt, labels) for path, member in members if member.doubt)
    counts = pc.value_counts(table["label"])
    by_class = dict(zip(counts.field("values").to_pylist(), counts.field("counts").to_pylist(), strict=True))
    return [*refusal_notices(refused), *clash_notices(labels), *class_notices(by_class), *name_notices(found)]


def clash_notices(labels: Labels) -> list[str]:
    """Lines of labels.csv that contradict each other."""
    return _first(f"{LABELS}: {clash}" for clash in labels.clashes)


def class_notices(counts: Mapping[str, int]) -> list[str]:
    """Classes that may be one; `counts` are images by class."""
    return _first(map(partial(_of_group, counts), alike(counts)))


def _of_group(counts: Mapping[str, int], group: list[str]) -> str:
    """That of classes that look like one; the one with the most images gives the name that is proposed."""
    names = " and ".join(f"{label!r} ({counted(counts[label], 'image')})" for label in group)
    ordered = shlex.join(sorted(group, key=counts.__getitem__))
    return (
        f"classes {names} differ in case, accents or blanks only; if they are one: `pipeline classes merge {ordered}`"
    )


def picture_notices(remarks: Mapping[str, str]) -> list[str]:
    """What is to be said of single images, by their sources."""
    return _first(f"{source}: {said}" for source, said in remarks.items())


def name_notices(found: Iterable[tuple[str, str | None, str, Labels]]) -> list[str]:
    """Classes whose names are not certain.

    `found` are archives, members, what is not certain of their names, and what says their classes.
    """
    globs: dict[tuple[str, str, str], str] = {}
    for path, member, doubt, labels in found:
        label = labels.of(path, member) if labels.listed(path, member) is None else None
        if label is not None and (not label.isascii() or "\\x" in label):  # Else the file's own name is in doubt.
            globs.setdefault((path, label, doubt), f"{path}{MEMBER}{(member or '').rpartition('/')[0]}/*")
    return _first(
        f"{path}: the name of class {label!r} {doubt}; if it has another, add to {LABELS}: {glob},NAME"
        for (path, label, doubt), glob in globs.items()
    )


def refusal_notices(refused: Iterable[Refused]) -> list[str]:
    """Archives that are refused until their classes are certain."""
    counts = Counter(line.detail for line in refused if line.reason == REASON)
    return _first(f"{counted(count, 'image')} refused: {detail}" for detail, count in sorted(counts.items()))


def _first(lines: Iterable[str]) -> list[str]:
    told = list(lines)
    return told[:MOST] + ([f"… and {len(told) - MOST:,} more like that"] if len(told) > MOST else [])
