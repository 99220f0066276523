"""data/images as a whole: the index over the shards, what the archives held, and refused.csv.

Written so that a kill at any moment leaves the old index and all that it names, or the new one.
"""

import csv
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import NamedTuple, Self

import pyarrow as pa
import pyarrow.compute as pc

from pipeline import parquet, paths
from pipeline.errors import ImagesError
from pipeline.files import write_text
from pipeline.images import index
from pipeline.images.shard_files import DAMAGED, ShardFile, known_files, metadata_of, remove_others
from pipeline.images.tracked_shards import track
from pipeline.ingestion import refusals
from pipeline.ingestion.catalogue import MEMBERS, PLAIN, Catalogue, Listing, catalogue_table, read_catalogue
from pipeline.ingestion.labelling.mapping import ClassMapping
from pipeline.ingestion.pictures.formats import DEEP, is_by_another
from pipeline.ingestion.refusals import Refusal
from pipeline.lineage.forgotten import Forgotten
from pipeline.params import Ingest
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
    """The usable images, of `index.SCHEMA` and `index.FURTHER`, by id."""
    contents: Catalogue
    """What the archives held."""
    refused: list[Refused]
    """Everything else, by source."""

    @classmethod
    def read(cls, columns: list[str] | None = None) -> Self:
        """What data/images says now, with these `columns` of the index or all; nothing where it is missing."""
        table = parquet.read_table(index.INDEX, index.WHOLE, columns)
        whole = columns is None or "reader" in columns
        return cls(index.completed(table) if whole else table, read_catalogue(), _read_refused())

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
        """The ids whose bytes are known to be no usable image, as far as that still holds, or are to be forgotten."""
        said = ((line.id, Refusal(line.reason, line.detail)) for line in self.refused if line.id)
        known = {
            image_id: refusal
            for image_id, refusal in said
            if refusal.reason in refusals.UNUSABLE and not refusal.is_outdated
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

    def check_usable(self, params: Ingest, vain: str = "") -> None:
        """See that there are images, and not too many are refused; `vain` is what to say first.

        Raises:
            ImagesError: there are none, or too many are.
        """
        refused = [line for line in self.refused if line.reason != refusals.DROPPED]
        total = self.table.num_rows + len(refused)
        if total and len(refused) > params.max_refused * total:
            reason, count = Counter(line.reason for line in refused).most_common(1)[0]
            one = next(line for line in refused if line.reason == reason)
            named = f"{count:,} as {reason!r} ({one.source}: {one.detail})"
            hint = f"repair or remove them, or raise ingest.max_refused ({params.max_refused}) in {paths.PARAMS}"
            raise ImagesError(paths.RAW, f"{vain}{len(refused):,} of {total:,} images are refused, {named}", hint)
        if not self.table.num_rows:
            hint = "put a folder for each class there, or archives of such folders"
            raise ImagesError(paths.RAW, f"{vain}no images in it", hint)

    def originals(self) -> Self:
        """What of it another way of making images does not change: those that are stored as they came."""
        refused = [line for line in self.refused if line.reason not in refusals.UNUSABLE]
        return self._replace(table=self.table.filter(pc.equal(self.table["id"], self.table["md5"])), refused=refused)

    def without_deep(self) -> Self:
        """What of it another `ingest.range` does not change; of what no release said otherwise, the originals."""
        reader = self.table["reader"]
        stored_as_came = pc.equal(self.table["id"], self.table["md5"])
        is_flat = pc.coalesce(pc.invert(pc.match_substring(reader, DEEP)), stored_as_came)
        refused = [line for line in self.refused if line.reason not in ("unsupported pixels", "too large")]
        return self._replace(table=self.table.filter(is_flat), refused=refused)

    def by_these_readers(self) -> Self:
        """What of it the packages that are installed would make the same; what none could make again stays, too."""
        readers = pc.unique(self.table["reader"]).to_pylist()
        others = parquet.strings(reader for reader in readers if reader and is_by_another(reader))
        if not len(others):
            return self  # To filter is to copy.
        return self._replace(table=self.table.filter(pc.invert(pc.is_in(self.table["reader"], others))))

    def publish(self, recipe: str, listing: Listing = PLAIN, before: Mapping[int, ShardFile] | None = None) -> None:
        """Write it all, the index last; then have DVC track the shards that it names, and remove others.

        `before` are the shards that the index named until now, of which some need not be here.
        """
        shards = known_files(set(pc.unique(self.table["shard"]).to_pylist()), before or {})
        write_text(paths.REFUSED, csv_text([Refused._fields, *self.refused]))
        metadata = {"recipe": recipe, "shards": metadata_of(shards)}
        table = index.shortened(self.table).replace_schema_metadata(metadata)
        parquet.write_tables({MEMBERS: catalogue_table(self.contents, listing), index.INDEX: table})
        remove_others(shards)
        track(shards)
        DAMAGED.unlink(missing_ok=True)


def known_classes(mapping: ClassMapping) -> set[str]:
    """The classes of the images that data/images holds now, and the names that they had before `mapping`."""
    labels = pc.unique(parquet.read_table(index.INDEX, index.SCHEMA, ["label"])["label"]).to_pylist()
    return {*labels, *mapping.heirs}


def _read_refused() -> list[Refused]:
    if not paths.REFUSED.exists():
        return []
    with paths.REFUSED.open(newline="", encoding="utf-8") as file:
        return [Refused(*row) for row in csv.reader(file)][1:]
