"""Reduces all places with images to one per usable image, and lists the places that are not used."""

from collections.abc import Iterable
from itertools import groupby
from operator import itemgetter
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline import parquet
from pipeline.ids import Ids, Rows
from pipeline.ingestion.collection import Refused
from pipeline.ingestion.refusals import Refusal

COLUMNS = ["id", "label", "source", "attributes"]
NO_PLACES = parquet.without_rows(pa.schema(dict.fromkeys(COLUMNS, pa.string())))
BY_NAME = ["id", "source", "attributes"]


class PlacedFile(Protocol):
    """A place, and what is known of the file there."""

    @property
    def name(self) -> str:
        """The name of the place in messages and tables."""

    @property
    def id(self) -> str | None:
        """The image's id; never None if there is no refusal."""

    @property
    def label(self) -> str | None:
        """The image's class; never None if there is no refusal."""

    @property
    def refusal(self) -> Refusal | None:
        """Why the image is not used; None if it is used."""

    @property
    def attributes(self) -> str:
        """The further columns of label files as JSON; empty if there are none."""


class Resolution(NamedTuple):
    """The images in all places, and the places that are not used."""

    images: pa.Table
    """A row for each usable image, sorted by id; the columns `COLUMNS`."""
    refused: list[Refused]
    """A line for each place that is not used, unsorted."""
    copies: pa.Table
    """All places of images that are in several places, sorted by id; the columns `COLUMNS`."""


def resolve(found: Iterable[PlacedFile], settled: pa.Table = NO_PLACES) -> Resolution:
    """Return the images in the places `found` and `settled`; an image with several labels is refused in all its places.

    An image in several places gets the first source by name, and the attributes of the first place that has any.
    `settled` has the columns `COLUMNS`, a row for each place.
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
    others = pa.table([column.finish() for column in (ids, labels, names, attributes)], COLUMNS)
    places = pa.concat_tables([settled, others])
    order, is_again = _sorted(Ids.of(places["id"]))
    is_copied = is_again | np.append(is_again, False)[1:]
    copies = parquet.rows_at(places, order[is_copied]).sort_by([(name, "ascending") for name in BY_NAME])
    once, is_disputed, disputed = _one_place_each(copies, np.cumsum(~is_again[is_copied]) - 1)
    rows, is_one_of_several = order[~is_again], is_copied[~is_again]
    rows[is_one_of_several] = len(places) + np.arange(len(once))
    is_used = np.ones(len(rows), np.bool_)
    is_used[is_one_of_several] = ~is_disputed
    images = parquet.rows_at(pa.concat_tables([places, once]), rows[is_used])
    return Resolution(images, refused + disputed, copies)


def _sorted(ids: Ids) -> tuple[Rows, npt.NDArray[np.bool_]]:
    """Return the order that sorts `ids`, and a mask of the sorted ids that equal their predecessor."""
    order = ids.order()
    return order, ids[order].is_again()


def _one_place_each(copies: pa.Table, image: Rows) -> tuple[pa.Table, npt.NDArray[np.bool_], list[Refused]]:
    """Return one row per image, a mask of the images with several labels, and a line for each place of those.

    `copies` is sorted by `BY_NAME`; `image` has the number of each row's image, shape (rows,).
    """
    first = np.flatnonzero(np.diff(image, prepend=-1))
    label = parquet.values(copies["label"].combine_chunks().dictionary_encode().indices)
    is_disputed = np.zeros(len(first), np.bool_)
    is_disputed[image[label != label[first[image]]]] = True
    saying, said = np.flatnonzero(parquet.lengths(copies["attributes"]))[::-1], first.copy()
    said[image[saying]] = saying  # The order is reversed, so that the first place of an image is assigned last.
    attributes = copies["attributes"].take(parquet.column_of(said))
    once = copies.take(parquet.column_of(first)).set_column(COLUMNS.index("attributes"), "attributes", attributes)
    rows = np.flatnonzero(is_disputed[image])
    places = zip(image[rows].tolist(), copies.take(parquet.column_of(rows)).to_pylist(), strict=True)
    disputed = []
    for _, several in groupby(places, itemgetter(0)):
        found = [place for _, place in several]
        labels = {place["label"] for place in found}
        disputed += [Refused.disputed(place["source"], place["id"], labels) for place in found]
    return once, is_disputed, disputed
