"""data/images as a whole: the index of the shards, the members of archives, and refused.csv.

Writing is safe against a kill: it leaves either the old index with all the shards that it lists, or the new one.
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
        """Return the line for an image that has several `labels`."""
        return cls(source, image_id, DISPUTED, f"the same image is in {', '.join(sorted(labels))}")


class Collection(NamedTuple):
    """The content of data/images, without the shards."""

    table: pa.Table
    """The usable images, sorted by id; the columns of `index.SCHEMA` and `index.FURTHER`."""
    contents: Catalogue
    """The members of archives."""
    refused: list[Refused]
    """A line for each place that is not used, sorted by source."""

    @classmethod
    def read(cls, columns: list[str] | None = None) -> Self:
        """Read data/images, with all or only these `columns` of the index; missing files count as empty."""
        table = parquet.read_table(index.INDEX, index.WHOLE, columns)
        whole = columns is None or "reader" in columns
        return cls(index.completed(table) if whole else table, read_catalogue(), _read_refused())

    @property
    def recipe(self) -> str:
        """The name of the recipe that made the images."""
        return str((self.table.schema.metadata or {}).get(b"recipe", b"").decode())

    @property
    def ids(self) -> pa.ChunkedArray:
        """The ids of the usable images, sorted."""
        return self.table["id"]

    @property
    def unusable(self) -> dict[str, Refusal]:
        """The ids of unusable and forgotten images, with the reason; outdated refusals are left out."""
        said = ((line.id, Refusal(line.reason, line.detail)) for line in self.refused if line.id)
        known = {
            image_id: refusal
            for image_id, refusal in said
            if refusal.reason in refusals.UNUSABLE and not refusal.is_outdated
        }
        return known | dict.fromkeys(Forgotten.read().images, refusals.FORGOTTEN)

    @property
    def disputed(self) -> set[str]:
        """The ids of images that are refused because they have several labels."""
        return {line.id for line in self.refused if line.reason == DISPUTED}

    @property
    def dropped(self) -> pa.Array:
        """The ids of images whose class is dropped; an empty id for an image that was never read."""
        return parquet.strings(line.id for line in self.refused if line.reason == refusals.DROPPED)

    def check_usable(self, params: Ingest, vain: str = "") -> None:
        """Check that there are images, and that not too many are refused; `vain` is a prefix of the message.

        Raises:
            ImagesError: there are no images, or too many are refused.
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
        """Return the images that are stored unchanged, which a new recipe leaves as they are."""
        refused = [line for line in self.refused if line.reason not in refusals.UNUSABLE]
        return self._replace(table=self.table.filter(pc.equal(self.table["id"], self.table["md5"])), refused=refused)

    def without_deep(self) -> Self:
        """Return the images that do not depend on `ingest.range`; if that was not recorded, those stored unchanged."""
        reader = self.table["reader"]
        stored_as_came = pc.equal(self.table["id"], self.table["md5"])
        is_flat = pc.coalesce(pc.invert(pc.match_substring(reader, DEEP)), stored_as_came)
        refused = [line for line in self.refused if line.reason not in ("unsupported pixels", "too large")]
        return self._replace(table=self.table.filter(is_flat), refused=refused)

    def by_these_readers(self) -> Self:
        """Return the images except those whose reader is now installed in another version."""
        readers = pc.unique(self.table["reader"]).to_pylist()
        others = parquet.strings(reader for reader in readers if reader and is_by_another(reader))
        if not len(others):
            return self  # Avoids a copy.
        return self._replace(table=self.table.filter(pc.invert(pc.is_in(self.table["reader"], others))))

    def publish(self, recipe: str, listing: Listing = PLAIN, before: Mapping[int, ShardFile] | None = None) -> None:
        """Write data/images, the index last; then have DVC track the index's shards, and remove other shards.

        `before` are the shards of the previous index; some of them may be missing locally.
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
    """Return the classes in data/images, and the old names of classes in `mapping`."""
    labels = pc.unique(parquet.read_table(index.INDEX, index.SCHEMA, ["label"])["label"]).to_pylist()
    return {*labels, *mapping.heirs}


def _read_refused() -> list[Refused]:
    if not paths.REFUSED.exists():
        return []
    with paths.REFUSED.open(newline="", encoding="utf-8") as file:
        return [Refused(*row) for row in csv.reader(file)][1:]
