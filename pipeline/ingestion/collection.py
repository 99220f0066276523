"""data/images as a whole: shards, the index over them, what the archives held, and refused.csv.

Written so that a kill at any moment leaves the old index and all that it names, or the new one.
"""

import csv
from collections.abc import Iterable
from typing import NamedTuple, Self

import pyarrow as pa
import pyarrow.compute as pc

from pipeline import parquet, paths
from pipeline.files import write_text
from pipeline.images import index
from pipeline.images.shards import shard_name
from pipeline.ingestion import refusals
from pipeline.ingestion.catalogue import MEMBERS, PLAIN, Catalogue, Listing, catalogue_table, read_catalogue
from pipeline.ingestion.labelling.mapping import ClassMapping
from pipeline.ingestion.refusals import Refusal
from pipeline.lineage.forgotten import Forgotten
from pipeline.text import csv_text

DISPUTED = "two labels"


class Refused(NamedTuple):
    """A line of refused.csv."""

    source: str
    id: str
    reason: str
    detail: str

    @classmethod
    def disputed(cls, source: str, image_id: str, labels: Iterable[str]) -> Self:
        """That of an image which is under several `labels`."""
        return cls(source, image_id, DISPUTED, f"the same image is in {', '.join(sorted(labels))}")


class Collection(NamedTuple):
    """What data/images says."""

    table: pa.Table
    """The usable images, of `index.SCHEMA`, by id."""
    contents: Catalogue
    """What the archives held."""
    refused: list[Refused]
    """Everything else, by source."""

    @classmethod
    def read(cls, columns: list[str] | None = None) -> Self:
        """What data/images says now, with these `columns` of the index or all; nothing where it is missing."""
        table = parquet.read_table(index.INDEX, index.SCHEMA, columns)
        return cls(table, read_catalogue(), _read_refused())

    @property
    def recipe(self) -> str:
        """Names how the images were made."""
        return str((self.table.schema.metadata or {}).get(b"recipe", b"").decode())

    @property
    def ids(self) -> pa.ChunkedArray:
        """The usable images, sorted."""
        return self.table["id"]

    @property
    def unusable(self) -> dict[str, Refusal]:
        """The ids whose bytes are known to be no usable image, or are to be forgotten."""
        known = {
            line.id: Refusal(line.reason, line.detail)
            for line in self.refused
            if line.id and line.reason in refusals.UNUSABLE
        }
        return known | dict.fromkeys(Forgotten.read().images, refusals.FORGOTTEN)

    @property
    def disputed(self) -> set[str]:
        """The ids that are refused because they lie in folders of several classes."""
        return {line.id for line in self.refused if line.reason == DISPUTED}

    @property
    def dropped(self) -> pa.Array:
        """The ids of the images that are left out because their class is dropped; empty where one was never read."""
        return parquet.strings(line.id for line in self.refused if line.reason == refusals.DROPPED)

    def originals(self) -> Self:
        """What of it another way of making images does not change: those that are stored as they came."""
        refused = [line for line in self.refused if line.reason not in refusals.UNUSABLE]
        return self._replace(table=self.table.filter(pc.equal(self.table["id"], self.table["md5"])), refused=refused)

    def publish(self, recipe: str, listing: Listing = PLAIN) -> None:
        """Write it all next to the shards, the index last; then remove the shards that it does not name."""
        parquet.write_table(catalogue_table(self.contents, listing), MEMBERS)
        write_text(paths.REFUSED, csv_text([Refused._fields, *self.refused]))
        parquet.write_table(self.table.replace_schema_metadata({"recipe": recipe}), index.INDEX)
        named = {shard_name(number) for number in pc.unique(self.table["shard"]).to_pylist()}
        for path in paths.IMAGES.glob("*.tar"):
            if path.name not in named:
                path.unlink()


def known_classes(mapping: ClassMapping) -> set[str]:
    """The classes of the images that data/images holds now, and the names that they had before `mapping`."""
    labels = pc.unique(parquet.read_table(index.INDEX, index.SCHEMA, ["label"])["label"]).to_pylist()
    return {*labels, *mapping.heirs}


def _read_refused() -> list[Refused]:
    if not paths.REFUSED.exists():
        return []
    with paths.REFUSED.open(newline="", encoding="utf-8") as file:
        return [Refused(*row) for row in csv.reader(file)][1:]
