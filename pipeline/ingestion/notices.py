"""What people should hear of images, in a sentence each; nothing here decides what is used."""

from collections import Counter
from collections.abc import Iterable, Mapping

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.ingestion.catalogue import Catalogue
from pipeline.ingestion.collection import Refused
from pipeline.ingestion.labelling.class_names import alike
from pipeline.ingestion.labelling.labels import LABELS, MEMBER, Labels
from pipeline.ingestion.unpacking.archives import is_archive
from pipeline.ingestion.wrappers import REASON
from pipeline.versioning.raw_files import RawFile

# More of a kind are counted.
MOST = 5


def notices(
    files: Iterable[RawFile], contents: Catalogue, labels: Labels, table: pa.Table, refused: Iterable[Refused]
) -> list[str]:
    """All of them; `table` is the index of the images, and `labels` was asked for all of `files`."""
    counts = pc.value_counts(table["label"])
    by_class = dict(zip(counts.field("values").to_pylist(), counts.field("counts").to_pylist(), strict=True))
    return [*refusal_notices(refused), *label_notices(labels, by_class), *name_notices(files, contents, labels)]


def label_notices(labels: Labels, counts: Mapping[str, int]) -> list[str]:
    """Lines of labels.csv that contradict each other, and classes that may be one; `counts` are images by class."""
    lines = [f"{LABELS}: {clash}" for clash in labels.clashes]
    for group in alike(counts):
        classes = " and ".join(f"{label!r} ({counts[label]:,} images)" for label in group)
        lines.append(f"classes {classes} differ in case or blanks only; if they are one, say so in {LABELS}")
    return _first(lines)


def name_notices(files: Iterable[RawFile], contents: Catalogue, labels: Labels) -> list[str]:
    """Classes of images in archives whose names are not certain."""
    return _first(
        f"{path}: the name of class {label!r} {doubt}; if it has another, add to {LABELS}: {path}{MEMBER}{glob},NAME"
        for path, md5 in files
        if is_archive(path)
        for (label, doubt), glob in _doubtful(path, contents, md5, labels).items()
    )


def refusal_notices(refused: Iterable[Refused]) -> list[str]:
    """Archives that are refused until their classes are certain."""
    counts = Counter(line.detail for line in refused if line.reason == REASON)
    return _first(f"{count:,} images are refused: {detail}" for detail, count in sorted(counts.items()))


def _doubtful(path: str, contents: Catalogue, md5: str, labels: Labels) -> dict[tuple[str, str], str]:
    """A glob over the images in the archive, for each class of an uncertain name."""
    found: dict[tuple[str, str], str] = {}
    for member in contents[md5]:
        if not member.doubt or labels.listed(path, member.name) is not None:
            continue
        label = labels.of(path, member.name)
        if label is not None and (not label.isascii() or "\\x" in label):  # Else the file's own name is in doubt.
            found.setdefault((label, member.doubt), f"{member.name.rpartition('/')[0]}/*")
    return found


def _first(lines: Iterable[str]) -> list[str]:
    told = list(lines)
    return told[:MOST] + ([f"… and {len(told) - MOST:,} more like that"] if len(told) > MOST else [])
