"""Of all places with images: one for each usable image, and a line for every place that is not used."""

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


def resolve(found: Iterable[PlacedFile], settled: pa.Table = NO_PLACES) -> Resolution:
    """The images in the places `found`, and those that are `settled`; under several labels they are refused in all.

    Of an image in several places the first one by name counts, and the attributes of the first one that has any.
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
    """The rows of `ids` in their order, and which of them have the id of the one before."""
    order = ids.order()
    return order, ids[order].is_again()


def _one_place_each(copies: pa.Table, image: Rows) -> tuple[pa.Table, npt.NDArray[np.bool_], list[Refused]]:
    """Of each image what counts; which of the images are under several labels; and a line for each place of those.

    `image` numbers the images of `copies`, shape (rows,), which are sorted `BY_NAME`.
    """
    first = np.flatnonzero(np.diff(image, prepend=-1))
    label = parquet.values(copies["label"].combine_chunks().dictionary_encode().indices)
    is_disputed = np.zeros(len(first), np.bool_)
    is_disputed[image[label != label[first[image]]]] = True
    saying, said = np.flatnonzero(parquet.lengths(copies["attributes"]))[::-1], first.copy()
    said[image[saying]] = saying  # The first one, which comes last here.
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
