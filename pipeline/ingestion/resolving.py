"""Of all places with images: one for each usable image, and a line for every place that is not used."""

from collections.abc import Iterable
from typing import NamedTuple, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline import parquet
from pipeline.ingestion.collection import Refused
from pipeline.ingestion.refusals import Refusal

COLUMNS = ["id", "label", "source", "attributes"]


class PlacedFile(Protocol):
    """A place, and what is known of what lies there."""

    @property
    def name(self) -> str:
        """How the place is named to people."""

    @property
    def id(self) -> str | None:
        """The image's id; known where there is no refusal."""

    @property
    def label(self) -> str | None:
        """The image's class; likewise."""

    @property
    def refusal(self) -> Refusal | None:
        """Why it is not used, if it is not."""

    @property
    def attributes(self) -> str:
        """What labels.csv says beyond the class, as JSON; empty where that is nothing."""


class Resolution(NamedTuple):
    """What comes of all places."""

    images: pa.Table
    """A row for each usable image, by id: `COLUMNS`."""
    refused: list[Refused]
    """A line for each place that is not used, in no order."""
    copies: pa.Table
    """All places of the images that are in several, likewise: `COLUMNS`."""


def resolve(found: Iterable[PlacedFile]) -> Resolution:
    """The images in the places `found`; those that are under several labels are refused in all of them.

    Of an image in several places the first one by name counts, and the attributes of the first one that has any.
    """
    ids, labels, names, attributes = (parquet.Strings() for _ in COLUMNS)
    refused = []
    for one in found:
        if one.refusal is not None:
            refused.append(Refused(one.name, one.id or "", *one.refusal))
        else:
            ids.append(one.id)
            labels.append(one.label)
            names.append(one.name)
            attributes.append(one.attributes)
    places = pa.table([column.finish() for column in (ids, labels, names, attributes)], COLUMNS)
    counts = pc.value_counts(places["id"])
    several = np.flatnonzero(np.frombuffer(counts.field("counts").buffers()[1], np.int64) > 1)
    is_copied = pc.is_in(places["id"], counts.field("values").take(parquet.integers(several)))
    copies = places.filter(is_copied)
    once, disputed = _one_place_each(copies)
    images = pa.concat_tables([places.filter(pc.invert(is_copied)), once]).sort_by("id")
    return Resolution(images, refused + disputed, copies)


def _one_place_each(copies: pa.Table) -> tuple[pa.Table, list[Refused]]:
    """Of each image its first place; and the images that are under several labels."""
    found_at: dict[str, list[tuple[str, str, str]]] = {}
    for place in copies.to_pylist():
        found_at.setdefault(place["id"], []).append((place["source"], place["label"], place["attributes"]))
    disputed: list[Refused] = []
    first = []
    for image_id, found in found_at.items():
        labels = {label for _, label, _ in found}
        if len(labels) == 1:
            attributes = next(filter(None, (text for _, _, text in sorted(found))), "")
            first.append((image_id, labels.pop(), min(found)[0], attributes))
        else:
            disputed.extend(Refused.disputed(name, image_id, labels) for name, _, _ in found)
    columns = [parquet.strings(row[column] for row in first) for column in range(4)]
    return pa.table(columns, COLUMNS), disputed
