"""How the images of data/raw differ from those that ingest last had; nothing is written."""

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
    """What has changed since ingest last ran."""

    new: int
    """Usable images that ingest did not have."""
    copies: int
    """New places of images that are elsewhere, too."""
    moved: int
    """Images that lie in another place than they did."""
    removed: int
    """Images that are not found any more, nor their names where not all was inspected; at most, if some is unopened."""
    unread: int
    """Images of which there is the name alone so far, in an archive that was written anew."""
    relabelled: int
    reweighted: int
    """Images of the same class whose weight is another one."""
    renamed: int
    """Images whose class has another name now."""
    classes: str
    """Which classes were renamed, merged, split or dropped, in half a sentence."""
    vanished: list[str]
    """Classes of which no image is left; none is named where not all was inspected."""
    successors: dict[str, str]
    """The class that the images of a vanished one are of now, where that is one: its folder was renamed."""
    refused: dict[str, int]
    """How many places cannot be used that ingest did not refuse before, by reason."""
    found: int
    """Places that were never read before."""
    looked_at: int
    """How many of them there was the time to look at."""
    unopened: int
    """Archives that there was not the time to open."""
    images: int
    """How many ingest will have, if all that was not inspected is usable."""
    splits: dict[str, int]
    """How many of the images that change belong to each split, where that is known; to both, if they change sides."""
    switched: int
    """Images that were there before, and belong to another split now."""
    held_out: list[str]
    """The ids of those of them that were for training."""
    rewrites: bool
    """Whether data/images will not be what it is."""
    drift: list[str]
    """How the new images differ from those that ingest has, a sentence each."""
    hindrance: str
    """Why ingest would stop; empty if it would not, or that is not known."""

    @property
    def is_partial(self) -> bool:
        """Whether something was not inspected."""
        return self.looked_at < self.found or self.unopened > 0

    @property
    def changed_at_most(self) -> int:
        """How many images are new, gone or relabelled, if all that was not inspected is usable."""
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
        """Images that are new, relabelled, reweighted or removed for certain."""
        return self.new + self.relabelled + self.reweighted + (0 if self.is_partial else self.removed)

    @property
    def changes_images(self) -> Likely:
        """Whether other images, or other classes, come out of ingest."""
        return "yes" if self.changed or self.renamed or self.switched else "maybe" if self.is_partial else "no"

    @property
    def changes_training(self) -> Likely:
        """Whether training gets other images; one in val may yet be left out as a near-duplicate."""
        if self.splits.get("train"):
            return "yes"
        changed = self.changed + self.renamed + 2 * self.switched
        is_certain = not self.is_partial and sum(self.splits.values()) == changed
        return "no" if is_certain and not self.splits.get("val") else "maybe"


def look(content: RawContent, before: Mapping[str, str] | None, params: Params, seconds: float) -> RawChanges:
    """Compare the `content` of data/raw with what ingest had, looking at what is new and here for about `seconds`.

    `before` says the MD5 of each file of data/raw when ingest last ran. Where that is not known no copy is counted.
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
    """What those of `interest` have to do with splits, of which some have `changed`; `keys` are those of new images."""
    before, now = (having_a_say(table, interest, params) for table in tables)
    known = dict(zip(before["id"].to_pylist(), before["key"].to_pylist(), strict=True)) | keys
    return Sides.between(changed, *(splits_of(table, known, params) for table in (before, now)))


def _successors(vanished: list[str], changes: set[tuple[str | None, str]]) -> dict[str, str]:
    """The class that each of `vanished` became, if by the `changes` of labels it is one."""
    became: dict[str | None, list[str]] = {}
    for before, now in changes:
        became.setdefault(before, []).append(now)
    return {one: became[one][0] for one in vanished if len(became.get(one, ())) == 1}


def _refused_otherwise(before: list[Refused], now: list[Refused]) -> tuple[set[Refused], set[Refused]]:
    """The lines of refused.csv that are new, and those that will be gone."""
    # Links to folders are found by a walk through data/raw that is not worth its time here.
    return set(now) - set(before), {line for line in before if line.reason != "link"} - set(now)


def _reweighted(before: pa.Table, now: pa.Table) -> set[str]:
    """The images that have another weight in one of the tables than in the other."""
    return {image_id for image_id, _ in _weights(before).items() ^ _weights(now).items()}


def _weights(images: pa.Table) -> dict[str, float]:
    """The weights that are not 1, by id."""
    weights = weights_of(images)
    chosen = weights != 1
    if not chosen.any():
        return {}
    ids = images["id"].to_pylist()
    return {ids[at]: float(weights[at]) for at in np.flatnonzero(chosen)}


def _named(mapping: ClassMapping, classes: Iterable[str]) -> set[str]:
    """What those of `classes` are called now that are not dropped."""
    return {label for name in classes if (label := mapping.label(name)) is not None}


def _count_copies(seen: Inspection, old: pa.Table, added: set[str]) -> int:
    """How many places in the files `added` hold an image that is elsewhere, too; `old` is what ingest had."""
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
