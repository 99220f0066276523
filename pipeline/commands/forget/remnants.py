"""Find the DVC objects that contain an image or were made from it, by directory listings or by their content.

Every directory listing in a store is read, whether or not a commit records it.
"""

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
from tqdm import tqdm

from pipeline import paths
from pipeline.commands.forget.contents import (
    archive_holds,
    has_seen_any,
    holds_more,
    is_any_archive,
    is_checkpoint,
    lists_any,
    rows_of,
    stems_in,
)
from pipeline.commands.forget.stores import UNFINISHED_COPY, Objects
from pipeline.errors import CheckpointError
from pipeline.images import index
from pipeline.images.shard_files import named_shards
from pipeline.images.shards import is_shard, shard_name
from pipeline.ingestion import catalogue
from pipeline.ingestion.unpacking.archive_names import is_archive
from pipeline.lineage.forgotten import MODEL
from pipeline.lineage.lineage import LINEAGE
from pipeline.lineage.seen_images import SEEN
from pipeline.versioning.lock import StageRecord

SHARD, ARCHIVE, FILE, WEIGHTS, REPORT, COPY = "shard", "archive", "file", "weights", "report", "copy"
# Files of a model that are kept: which images it has seen, its origin, its curves. Neither images nor weights.
KEPT = (SEEN, LINEAGE, "curves.csv")
# Outputs of `evaluate` that show images, and files that list these images (test images and suspects).
SUSPECTS = str(paths.REPORT / "suspects.csv")
SHOWN = (*(str(paths.REPORT / name) for name in ("report.html", "predictions.csv")), SUSPECTS)
LISTS = (str(paths.MANIFEST / "test.csv"), SUSPECTS)
# Columns that identify the files that `evaluate` writes for each image: predictions.csv and suspects.csv.
MADE = {b"predicted", b"suggested"}


class Remnant(NamedTuple):
    """An object that is to be deleted."""

    what: str
    name: str
    """The object's present or former path, or a description."""
    oid: str


class Remnants(NamedTuple):
    """The result of a search."""

    found: list[Remnant]
    models: list[str]
    """The hashes of the models that have seen one of the images."""
    stored: frozenset[str]
    """The MD5s of the images as stored in shards, as far as an index lists them."""
    unknown: list[str]
    """Directories that could not be checked, each with the reason."""


class Search:
    """A search for the objects that contain the images `ids` or were made from them."""

    def __init__(self, ids: Collection[str], objects: Objects) -> None:
        self._ids, self._objects = frozenset(ids), objects
        self._found: dict[str, Remnant] = {}
        self._models: list[str] = []
        self._stored: set[str] = set()
        self._unknown: list[str] = []
        # Shards that contain none of the images, according to an index.
        self._innocent: set[str] = set()
        # Objects that a listing or record names; their content is not inspected.
        self._named: set[str] = set()

    def run(self, records: Iterable[Mapping[str, StageRecord]]) -> Remnants:
        """Search all objects; `records` are all versions of dvc.lock."""
        listings = {oid: self._objects.listing(oid) for oid in sorted(self._objects.oids) if oid.endswith(".dir")}
        for oid in self._objects.oids:
            if UNFINISHED_COPY.fullmatch(oid[2:]):  # Its origin is unknown.
                self._note(COPY, "a copy that was never finished", oid)
        for oid in self._ids & self._objects.oids:
            self._note(FILE, f"{paths.RAW}: the file itself", oid)
        archived: set[str] = set()
        known: set[str] = set()
        for oid, files in tqdm(listings.items(), "looking for it", unit=" directories", disable=None):
            if files is None:
                self._unknown.append(f"{oid}: its listing is damaged")
                continue
            self._named |= {*files.values()}
            self._look_at_images(files)
            self._look_at_model(oid, files)
            listed, holding = self._catalogue(files)
            known |= listed
            archived |= holding
        for files in listings.values():
            self._look_at_shards(files or {})
            self._look_at_archives(files or {}, known, archived)
        self._look_at_reports(list(records))
        for oid in tqdm(self._orphans(), "looking into others", unit=" objects", disable=None):
            self._look_into(oid)
        models = sorted(set(self._models))
        return Remnants(sorted(self._found.values()), models, frozenset(self._stored), self._unknown)

    def _note(self, what: str, name: str, oid: str) -> None:
        if oid in self._objects.oids:
            self._found.setdefault(oid, Remnant(what, name, oid))

    def _look_at_images(self, files: Mapping[str, str]) -> None:
        """Check the shards of a version of data/images by its index, or by member names if they hold removed images."""
        if index.INDEX.name not in files:
            return
        path = self._objects.find(files[index.INDEX.name])
        rows = rows_of(path, index.SCHEMA, ["id", "shard", "length", "md5"])
        if path is None or rows is None:
            return
        shards = named_shards(path, files)
        wanted = rows.filter(_among(rows["id"], self._ids)).to_pylist()
        self._stored |= {row["md5"] for row in wanted}
        holding = {row["shard"] for row in wanted}
        for number, file in shards.items():
            name = str(paths.SHARDS / shard_name(number))
            if number in holding:
                self._note(SHARD, name, file.md5)
            elif file.size >= 0 and not holds_more(file.size, number, rows):
                self._innocent.add(file.md5)
            elif file.md5 not in self._found and (stored := self._objects.find(file.md5)):
                if not holds_more(stored.stat().st_size, number, rows):
                    self._innocent.add(file.md5)
                elif not self._ids.isdisjoint(stems_in(stored)):
                    self._note(SHARD, name, file.md5)

    def _look_at_shards(self, files: Mapping[str, str]) -> None:
        """Check the shards that no readable index describes, by the names of their members."""
        for name, md5 in files.items():
            if not is_shard(Path(name)) or md5 in self._found or md5 in self._innocent:
                continue
            if (stored := self._objects.find(md5)) and not self._ids.isdisjoint(stems_in(stored)):
                self._note(SHARD, str(paths.SHARDS / name), md5)

    def _look_at_model(self, oid: str, files: Mapping[str, str]) -> None:
        if SEEN not in files or LINEAGE not in files:
            return
        weights = {name: md5 for name, md5 in files.items() if name not in KEPT}
        path = self._objects.find(files[SEEN])
        try:
            has_seen = path is not None and has_seen_any(path, self._ids)
        except CheckpointError:
            path = None
        if path is None:
            if not self._objects.oids.isdisjoint(weights.values()):
                self._unknown.append(f"{oid}: the model does not record what it has seen")
        elif has_seen:
            self._models.append(oid)
            for name, md5 in weights.items():
                self._note(WEIGHTS, f"{name} of {MODEL} {oid[:8]}", md5)

    def _catalogue(self, files: Mapping[str, str]) -> tuple[set[str], set[str]]:
        """Return the archives that a version of data/images lists, and those of them that hold one of the images."""
        path = self._objects.find(files[name]) if (name := catalogue.MEMBERS.name) in files else None
        rows = rows_of(path, catalogue.SCHEMA, ["archive", "id"])
        if rows is None:
            return set(), set()
        holding = rows.filter(_among(rows["id"], self._ids))["archive"]
        return set(pc.unique(rows["archive"]).to_pylist()), set(holding.to_pylist())

    def _look_at_archives(self, files: Mapping[str, str], known: set[str], holding: set[str]) -> None:
        """Check the archives of a version of data/raw; open those that are not `known`, so not read by ingest."""
        for name, md5 in files.items():
            if md5 in self._found or not is_archive(name) or md5 not in self._objects.oids:
                continue
            path = None if md5 in known | holding else self._objects.find(md5)
            if md5 in holding or (path is not None and archive_holds(path, self._ids)):
                self._note(ARCHIVE, str(paths.RAW / name), md5)

    def _look_at_reports(self, records: list[Mapping[str, StageRecord]]) -> None:
        """Note the reports of every recorded evaluation that lists one of the images, or whose lists are missing."""
        for record in records:
            for stage in record.values():
                self._named |= {*stage.outs.values(), *stage.deps.values()}
            evaluated = record.get("evaluate")
            if evaluated is None or not any(evaluated.outs.get(name) in self._objects.oids for name in SHOWN):
                continue
            known = {**evaluated.deps, **evaluated.outs}
            lists = [self._objects.find(known[name]) for name in LISTS if name in known]
            if not lists or any(path is None or lists_any(path, self._ids) for path in lists):
                for name in SHOWN:
                    self._note(REPORT, name, evaluated.outs.get(name, ""))

    def _orphans(self) -> list[str]:
        """Return the objects that nothing names, from uncommitted runs or interrupted uploads."""
        return sorted(
            oid
            for oid in self._objects.oids - self._named - self._found.keys()
            if not oid.endswith(".dir") and "." not in oid[:32]
        )

    def _look_into(self, oid: str) -> None:
        path = self._objects.find(oid)
        if path is None:
            return
        with path.open("rb") as file:
            head = file.read(512).lstrip().lower()
        if head.startswith((b"<!doctype html", b"<html")):
            self._note(REPORT, "a report that nothing names", oid)
        elif not MADE.isdisjoint(head.partition(b"\n")[0].split(b",")) and lists_any(path, self._ids):
            self._note(REPORT, "a list of a report that nothing names", oid)
        elif is_checkpoint(path):
            self._note(WEIGHTS, "a checkpoint that nothing names", oid)
        elif is_any_archive(path) and (archive_holds(path, self._ids) or not self._ids.isdisjoint(stems_in(path))):
            self._note(ARCHIVE, "an archive that nothing names", oid)


def _among(column: pa.ChunkedArray, ids: Collection[str]) -> pa.ChunkedArray:
    return pc.is_in(column, pa.array(sorted(ids), pa.string()))
