"""Notices to the user about images and labels, one sentence each; they do not affect which images are used."""

import re
import shlex
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from functools import partial
from itertools import chain

import pyarrow as pa
import pyarrow.compute as pc

from pipeline import paths
from pipeline.ingestion.catalogue import Catalogue
from pipeline.ingestion.collection import Refused
from pipeline.ingestion.labelling.class_names import alike, ungarbled
from pipeline.ingestion.labelling.image_paths import plain_path
from pipeline.ingestion.labelling.label_files import LABELS
from pipeline.ingestion.labelling.labels import Labels
from pipeline.ingestion.labelling.sources import MEMBER
from pipeline.ingestion.places import OUTSIDE
from pipeline.ingestion.refusals import DROPPED
from pipeline.ingestion.unpacking.archive_names import is_archive
from pipeline.ingestion.unpacking.zip_names import DOUBT
from pipeline.ingestion.wrappers import REASON
from pipeline.text import counted
from pipeline.versioning.raw_files import RawFile

# How many notices of a kind, and how many examples in a notice, are shown; further ones are only counted.
MOST, FEW = 5, 3
# A class of fewer images may be a typo, if a class of at least ten times this number has a similar name.
FEW_IMAGES = 10
DIGITS = re.compile(r"\d+")
TABLES = (".csv", ".tsv", ".xls", ".xlsx", ".ods", ".numbers")
# The command that shows refused files.
LOOK = f"`pipeline check {paths.RAW} --html check.html`"
# The most names to compare: each takes about 0.1 ms.
MOST_COMPARED = 2000


def notices(
    files: Iterable[RawFile], contents: Catalogue, labels: Labels, table: pa.Table, refused: Iterable[Refused]
) -> list[str]:
    """Return all notices; `table` is the index of the images, and `labels` has looked up all of `files`."""
    members = ((path, member) for path, md5 in files if is_archive(path) for member in contents.others(md5))
    found = ((path, member.name, member.doubt, labels) for path, member in members if member.doubt)
    counts = pc.value_counts(table["label"])
    by_class = dict(zip(counts.field("values").to_pylist(), counts.field("counts").to_pylist(), strict=True))
    refused = [line for line in refused if line.reason != DROPPED]
    return [
        *vain_notices(labels, refused, (name.as_py() for name in table["source"])),
        *reason_notices(refused),
        *refusal_notices(refused),
        *table_notices(line.source for line in refused),
        *clash_notices(labels),
        *class_notices(by_class),
        *garbled_notices(by_class),
        *name_notices(found),
    ]


def clash_notices(labels: Labels) -> list[str]:
    """Return notices about lines of label files that contradict each other."""
    return _first(labels.clashes)


def vain_notices(labels: Labels, refused: Iterable[Refused], sources: Iterable[str] = ()) -> list[str]:
    """Return a notice if there are lines in label files, but none matches an image, with the name of the nearest image.

    The nearest image is one of the `refused` without a class, if there are any, else one of the usable `sources`.
    """
    if not labels.is_in_vain:
        return []
    names = [line.source for line in refused if line.reason == OUTSIDE.reason] or list(sources)
    if not names:
        return []
    path = labels.unused[0]
    near = _nearest(path, names)
    return [f"no line of {LABELS} matches an image: it names {path!r}, and the nearest image is {near!r}"]


def _nearest(path: str, names: Sequence[str]) -> str:
    """Return the one of `names` that `path` may refer to: with the same file name, or with a similar spelling."""
    last = plain_path(path).rpartition("/")[2]
    same = next((name for name in names if name.rpartition("/")[2] == last), None)
    return same or get_close_matches(path, names[:MOST_COMPARED], n=1, cutoff=0)[0]


def class_notices(counts: Mapping[str, int]) -> list[str]:
    """Return notices about classes that may be the same; `counts` are images by class."""
    groups = alike(counts)
    return [*_first(map(partial(_of_group, counts), groups)), *_first(_misspelt(counts, {*chain(*groups)}))]


def _misspelt(counts: Mapping[str, int], known: set[str]) -> Iterator[str]:
    """Yield notices about small classes whose names resemble that of a large one.

    Classes `known` to look alike are left out, and so are names that differ in digits only.
    """
    few = [label for label, count in counts.items() if count < FEW_IMAGES and label not in known]
    many = [label for label, count in counts.items() if count >= 10 * FEW_IMAGES]
    if len(few) * len(many) > MOST_COMPARED:
        return
    for label in sorted(few):
        near = get_close_matches(label, many, n=1, cutoff=0.9)
        if near and DIGITS.sub("", near[0]) != DIGITS.sub("", label):
            sizes = f"class {label!r} has {counted(counts[label], 'image')}, and {near[0]!r} has {counts[near[0]]:,}"
            yield f"{sizes}; if they are one: `pipeline classes merge {shlex.join([label, near[0]])}`"


def _of_group(counts: Mapping[str, int], group: list[str]) -> str:
    """Return the notice about a `group` of classes that look alike; it proposes the name with the most images."""
    names = " and ".join(f"{label!r} ({counted(counts[label], 'image')})" for label in group)
    ordered = shlex.join(sorted(group, key=counts.__getitem__))
    return (
        f"classes {names} differ in case, accents or blanks only; if they are one: `pipeline classes merge {ordered}`"
    )


def garbled_notices(classes: Iterable[str]) -> list[str]:
    """Return notices about `classes` whose names seem to have been decoded with a wrong encoding."""
    found = ((label, ungarbled(label)) for label in sorted(classes))
    return _first(
        f"the name of class {label!r} looks garbled{f', {meant!r} may be meant' if meant else ''}; "
        f"if so, rename its folder, or give its images a class in {LABELS}"
        for label, meant in found
        if meant is not None
    )


def picture_notices(remarks: Mapping[str, str]) -> list[str]:
    """Return a notice about images that use a small part of their value range; `remarks` describe it by source."""
    if not remarks:
        return []
    few = "; ".join(f"{source}: {said}" for source, said in [*remarks.items()][:FEW])
    images = "1 image uses" if len(remarks) == 1 else f"{len(remarks):,} images use"
    what = f"{images} less than a tenth of the range of values ({few}{'; …' if len(remarks) > FEW else ''})"
    return [f"{what}; set ingest.range to percentile in {paths.PARAMS} to stretch it, or the image is nearly plain"]


def name_notices(found: Iterable[tuple[str, str | None, str, Labels]]) -> list[str]:
    """Return notices about classes whose names are uncertain.

    `found` are archives, members, why the members' names are uncertain, and the labels.
    """
    globs: dict[tuple[str, str, str], str] = {}
    for path, member, doubt, labels in found:
        label = labels.of(path, member) if labels.listed(path, member) is None else None
        if label is not None and (not label.isascii() or "\\x" in label):  # Else only the file's own name is uncertain.
            globs.setdefault((path, label, doubt), f"{path}{MEMBER}{(member or '').rpartition('/')[0]}/*")
    return _first(
        f"{path}: the name of class {label!r} {doubt}; if it has another, {_hint(doubt)}add to {LABELS}: {glob},NAME"
        for (path, label, doubt), glob in globs.items()
    )


def _hint(doubt: str) -> str:
    return f"set ingest.encoding in {paths.PARAMS}, or " if doubt == DOUBT else ""


def reason_notices(refused: Iterable[Refused]) -> list[str]:
    """Return a notice with the number of refused files per reason, most common first, with an example of each."""
    examples, counts = dict[str, str](), Counter[str]()
    for line in refused:
        examples.setdefault(line.reason, line.source)
        counts[line.reason] += 1
    found = counts.most_common()
    told = ", ".join(f"{count:,} {reason} ({examples[reason]})" for reason, count in found[:MOST])
    return [f"refused: {told}{', …' if len(found) > MOST else ''}; to see them: {LOOK}"] if told else []


def refusal_notices(refused: Iterable[Refused]) -> list[str]:
    """Return notices about archives that are refused because their classes are ambiguous."""
    counts = Counter(line.detail for line in refused if line.reason == REASON)
    return _first(f"{counted(count, 'image')} refused: {detail}" for detail, count in sorted(counts.items()))


def table_notices(sources: Iterable[str]) -> list[str]:
    """Return notices about tables among the refused `sources`, which may be meant as label files."""
    return _first(
        f"{source} is not read; if it says which image is of which class, save it as {LABELS}, in Excel as 'CSV UTF-8'"
        for source in sources
        if source.lower().endswith(TABLES)
    )


def _first(lines: Iterable[str]) -> list[str]:
    told = list(lines)
    return told[:MOST] + ([f"… and {len(told) - MOST:,} more like that"] if len(told) > MOST else [])
