"""Compare the images of data/raw with those that ingest last had; nothing is written."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline import parquet
from pipeline.commands.status.hindrances import hindrance
from pipeline.commands.status.image_difference import ImageDifference
from pipeline.commands.status.inspection import Inspection, see
from pipeline.commands.status.likeness import unlike
from pipeline.commands.status.sides import Sides, having_a_say, splits_of
from pipeline.ingestion.collection import Collection, Refused
from pipeline.ingestion.labelling.mapping import ClassMapping
from pipeline.ingestion.resolving import COLUMNS, resolve
from pipeline.params import Params
from pipeline.splits.classes import changes_of_classes
from pipeline.splits.weighting import weights_of
from pipeline.text import counted
from pipeline.versioning.raw.content import RawContent

Likely = Literal["yes", "maybe", "no"]


@dataclass(frozen=True, kw_only=True)
class RawChanges:
    """Changes in data/raw since ingest last ran."""

    new: int
    """Number of usable images that ingest did not have."""
    copies: int
    """Number of new places of images that are also in another place."""
    moved: int
    """Number of images whose place changed."""
    removed: int
    """Number of images that are gone; an upper bound if archives were not opened.

    An image whose place is found but was not inspected counts as `unread` instead.
    """
    unread: int
    """Number of images of which only the name is known so far, in an archive that was written again."""
    relabelled: int
    reweighted: int
    """Number of images whose class is the same and whose weight changed."""
    renamed: int
    """Number of images whose class was renamed."""
    classes: str
    """Which classes were renamed, merged, split or dropped, in half a sentence."""
    vanished: list[str]
    """Classes without any image now; empty if not everything was inspected."""
    successors: dict[str, str]
    """The new class of all images of a vanished class, if there is only one: its folder was renamed."""
    refused: dict[str, int]
    """Number of newly refused places, by reason."""
    found: int
    """Number of places that were never read before."""
    looked_at: int
    """Number of those places that were inspected within the time limit."""
    unopened: int
    """Number of archives that were not opened for lack of time."""
    images: int
    """Number of images that ingest will have if everything that was not inspected is usable."""
    splits: dict[str, int]
    """Number of changed images by split, where known; an image that moves counts in its old and its new split."""
    switched: int
    """Number of known images that move to another split."""
    held_out: list[str]
    """The ids of the images that move from train to another split."""
    rewrites: bool
    """Whether the content of data/images will change."""
    drift: list[str]
    """How the new images differ from those that ingest has, a sentence per difference."""
    hindrance: str
    """The error at which ingest would stop; empty if it would not, or if that is unknown."""

    @property
    def is_partial(self) -> bool:
        """Whether something was not inspected."""
        return self.looked_at < self.found or self.unopened > 0

    @property
    def changed_at_most(self) -> int:
        """The number of new, removed and relabelled images if everything that was not inspected is usable."""
        return self.new + self.found - self.looked_at - self.unread + self.removed + self.relabelled + self.reweighted

    def __str__(self) -> str:
        parts = {
            "new": self.new,
            "not inspected": self.found - self.looked_at,
            "removed": self.removed,
            "relabelled": self.relabelled,
            "reweighted": self.reweighted,
            "of renamed classes": self.renamed,
            "moved to another split": self.switched,
        }
        several = [(what, count) for what, count in parts.items() if count]
        if not several:
            return "the same images"
        (first, many), *others = several
        told = [f"{counted(many, 'image')} {first}", *(f"{count:,} {what}" for what, count in others)]
        return ", ".join(told)

    @property
    def changed(self) -> int:
        """The number of images that are certainly new, relabelled, reweighted or removed."""
        return self.new + self.relabelled + self.reweighted + (0 if self.is_partial else self.removed)

    @property
    def changes_images(self) -> Likely:
        """Whether the images or classes that ingest returns will change."""
        return "yes" if self.changed or self.renamed or self.switched else "maybe" if self.is_partial else "no"

    @property
    def changes_training(self) -> Likely:
        """Whether training gets other images. A change in val is not certain: near-duplicates are left out."""
        if self.splits.get("train"):
            return "yes"
        changed = self.changed + self.renamed + 2 * self.switched
        is_certain = not self.is_partial and sum(self.splits.values()) == changed
        return "no" if is_certain and not self.splits.get("val") else "maybe"


def look(content: RawContent, before: Mapping[str, str] | None, params: Params, seconds: float) -> RawChanges:
    """Compare the `content` of data/raw with what ingest last had; inspect new local files for about `seconds`.

    `before` maps each file of data/raw to its MD5 when ingest last ran. If it is None, no copies are counted.
    """
    had, mapping = Collection.read([*COLUMNS, "key"]), ClassMapping.read()
    files, seen = content.files, see(content, had, params, seconds)
    found, refused, _ = resolve(seen.places, seen.settled_table)
    different = ImageDifference.between(had.table, found)
    new, gone, other = different.new, different.gone.keys(), different.other
    reweighted = _reweighted(had.table, found) - new - gone
    relabelled = {one for one, (was, label) in other.items() if label != mapping.label(was)}
    changed = new | other.keys() | reweighted | (set() if seen.is_partial else gone)
    classes, old_classes = ({*pc.unique(table["label"]).to_pylist()} for table in (found, had.table))
    added = set() if before is None else {file.path for file in files if before.get(file.path) != file.md5}
    vanished = [] if seen.is_partial else sorted(_named(mapping, old_classes) - classes)
    fresh, mended = _refused_otherwise(had.refused, refused)
    unread = seen.unread.keys() & different.gone.values()
    return RawChanges(
        new=len(new),
        copies=_count_copies(seen, had.table, added),
        moved=different.moved,
        removed=len(gone) - len(unread),
        unread=len(unread),
        relabelled=len(relabelled),
        reweighted=len(reweighted - relabelled),
        renamed=len(other.keys() - relabelled),
        classes=str(changes_of_classes(mapping, old_classes, classes)),
        vanished=vanished,
        successors=_successors(vanished, {(mapping.label(was), label) for was, label in {*other.values()}}),
        refused=dict(Counter(line.reason for line in fresh)),
        found=seen.found,
        looked_at=seen.looked_at,
        unopened=seen.unopened,
        images=len(found) + seen.found - seen.looked_at,
        drift=unlike((label for name, label in seen.unread.items() if name not in unread), seen.figures, mapping),
        hindrance="" if seen.is_partial else hindrance(content, gone, len(had.ids), (found, refused), params.ingest),
        rewrites=bool(new or gone or different.listed or fresh or mended or seen.archives != set(had.contents)),
        **_sides(changed, changed | different.listed, (had.table, found), seen.keys, params)._asdict(),
    )


def _sides(
    changed: set[str], interest: set[str], tables: tuple[pa.Table, pa.Table], keys: dict[str, str], params: Params
) -> Sides:
    """Compare the splits of the images of `interest` in both tables; `changed` are some of them, `keys` of new ones."""
    before, now = (having_a_say(table, interest, params) for table in tables)
    known = dict(zip(before["id"].to_pylist(), before["key"].to_pylist(), strict=True)) | keys
    return Sides.between(changed, *(splits_of(table, known, params) for table in (before, now)))


def _successors(vanished: list[str], changes: set[tuple[str | None, str]]) -> dict[str, str]:
    """Return the class that each of the `vanished` classes became, if the `changes` of labels name exactly one."""
    became: dict[str | None, list[str]] = {}
    for before, now in changes:
        became.setdefault(before, []).append(now)
    return {one: became[one][0] for one in vanished if len(became.get(one, ())) == 1}


def _refused_otherwise(before: list[Refused], now: list[Refused]) -> tuple[set[Refused], set[Refused]]:
    """Return the lines of refused.csv that will be new, and the lines that will be gone."""
    # Links to folders are ignored, since finding them would need a walk through data/raw.
    return set(now) - set(before), {line for line in before if line.reason != "link"} - set(now)


def _reweighted(before: pa.Table, now: pa.Table) -> set[str]:
    """Return the ids of images whose weight differs between the tables."""
    return {image_id for image_id, _ in _weights(before).items() ^ _weights(now).items()}


def _weights(images: pa.Table) -> dict[str, float]:
    """Return the weights other than 1, by id."""
    weights = weights_of(images)
    chosen = weights != 1
    if not chosen.any():
        return {}
    ids = images["id"].to_pylist()
    return {ids[at]: float(weights[at]) for at in np.flatnonzero(chosen)}


def _named(mapping: ClassMapping, classes: Iterable[str]) -> set[str]:
    """Return the current names of `classes`, without the dropped ones."""
    return {label for name in classes if (label := mapping.label(name)) is not None}


def _count_copies(seen: Inspection, old: pa.Table, added: set[str]) -> int:
    """Return how many places in the files `added` contain an image that is also elsewhere; `old` is ingest's table."""
    places = [(one.id, one.name, one.place.path in added) for one in seen.places if one.refusal is None and one.id]
    is_added = seen.settled.within(added)
    came = {image_id for image_id, _, is_new in places if is_new}
    came.update(seen.settled_table["id"].take(parquet.column_of(np.flatnonzero(is_added))).to_pylist())
    wanted = parquet.strings(came)
    rows = parquet.values(pc.indices_nonzero(pc.is_in(seen.settled_table["id"], wanted)))
    settled = seen.settled_table.select(["id", "source"]).take(parquet.column_of(rows))
    columns = (column.to_pylist() for column in settled.columns)
    places += zip(*columns, is_added[rows].tolist(), strict=True)
    had = old.select(["id", "source"]).filter(pc.is_in(old["id"], wanted))
    was = dict(zip(*(column.to_pylist() for column in had.columns), strict=True))
    names: dict[str, list[tuple[str, bool]]] = {}
    for image_id, name, is_new in places:
        if image_id in came:
            names.setdefault(image_id, []).append((name, is_new))
    count = 0
    for image_id, found in names.items():
        new = sum(is_new and name != was.get(image_id) for name, is_new in found)
        is_where_it_was = any(name == was.get(image_id) for name, _ in found)
        count += new - (new > 0 and not is_where_it_was)
    return count
