"""How the images of data/raw differ from those that ingest last had; nothing is written."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import pyarrow as pa

from pipeline.commands.status.inspection import see
from pipeline.commands.status.likeness import unlike
from pipeline.commands.status.sides import Sides, splits_of
from pipeline.ingestion.collection import Collection, Refused
from pipeline.ingestion.labelling.mapping import ClassMapping
from pipeline.ingestion.places import Source
from pipeline.ingestion.resolving import resolve
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


class _PlacedImage(NamedTuple):
    label: str
    source: str
    attributes: str


def look(content: RawContent, before: Mapping[str, str], params: Params, seconds: float) -> RawChanges:
    """Compare the `content` of data/raw with what ingest had, looking at what is new and here for about `seconds`.

    `before` says the MD5 of each file of data/raw when ingest last ran, as far as that is known.
    """
    had, mapping = Collection.read(["id", "label", "source", "attributes", "key"]), ClassMapping.read()
    files, seen = content.files, see(content, had, params, seconds)
    found, refused, _ = resolve(seen.places)
    images, old = _by_id(found), _by_id(had.table)
    new, gone, common = images.keys() - old.keys(), old.keys() - images.keys(), images.keys() & old.keys()
    reweighted = _reweighted(had.table, found) & common
    other = {one for one in common if images[one].label != old[one].label}
    relabelled = {one for one in other if images[one].label != mapping.label(old[one].label)}
    added = {file.path for file in files if before.get(file.path) != file.md5}
    changed = new | other | reweighted | (set() if seen.is_partial else gone)
    listed = {one for one in common if images[one] != old[one]}
    keys = dict(zip(had.ids.to_pylist(), had.table["key"].to_pylist(), strict=True)) | seen.keys
    sides = Sides.between(changed, *(splits_of(table, changed | listed, keys, params) for table in (had.table, found)))
    fresh, mended = _refused_otherwise(had.refused, refused)
    unread = sum(old[one].source in seen.unread for one in gone)
    return RawChanges(
        new=len(new),
        copies=_count_copies(seen.places, old, added),
        moved=sum(images[one].source != old[one].source for one in common),
        removed=len(gone) - unread,
        unread=unread,
        relabelled=len(relabelled),
        reweighted=len(reweighted - relabelled),
        renamed=len(other - relabelled),
        classes=str(changes_of_classes(mapping, _classes(old), _classes(images))),
        vanished=[] if seen.is_partial else sorted(_named(mapping, _classes(old)) - _classes(images)),
        refused=dict(Counter(line.reason for line in fresh)),
        found=seen.found,
        looked_at=seen.looked_at,
        unopened=seen.unopened,
        images=len(images) + seen.found - seen.looked_at,
        drift=unlike(seen.labels, seen.figures, mapping),
        rewrites=bool(images != old or fresh or mended or seen.archives != set(had.contents)),
        **sides._asdict(),
    )


def _refused_otherwise(before: list[Refused], now: list[Refused]) -> tuple[set[Refused], set[Refused]]:
    """The lines of refused.csv that are new, and those that will be gone."""
    # Links to folders are found by a walk through data/raw that is not worth its time here.
    return set(now) - set(before), {line for line in before if line.reason != "link"} - set(now)


def _by_id(images: pa.Table) -> dict[str, _PlacedImage]:
    """The images in a table with the columns id, label, source and attributes."""
    columns = (images[name].to_pylist() for name in ("id", *_PlacedImage._fields))
    return {image_id: _PlacedImage(*rest) for image_id, *rest in zip(*columns, strict=True)}


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


def _classes(images: Mapping[str, _PlacedImage]) -> set[str]:
    return {image.label for image in images.values()}


def _named(mapping: ClassMapping, classes: Iterable[str]) -> set[str]:
    """What those of `classes` are called now that are not dropped."""
    return {label for name in classes if (label := mapping.label(name)) is not None}


def _count_copies(places: Iterable[Source], old: Mapping[str, _PlacedImage], added: set[str]) -> int:
    """How many places in the files `added` hold an image that is elsewhere, too."""
    names: dict[str, list[tuple[str, bool]]] = {}
    for source in places:
        if source.refusal is None and source.id is not None:
            names.setdefault(source.id, []).append((source.name, source.place.path in added))
    count = 0
    for image_id, found in names.items():
        was = old[image_id].source if image_id in old else None
        came = sum(is_added and name != was for name, is_added in found)
        is_where_it_was = any(name == was for name, _ in found)
        count += came - (came > 0 and not is_where_it_was)
    return count
