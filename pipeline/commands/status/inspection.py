"""Inspect data/raw: images that ingest has read, and new files as far as a time limit allows."""

import os
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

import pyarrow as pa

from pipeline.commands.status.likeness import StoredFigures
from pipeline.ids import Ids
from pipeline.ingestion.archive_listing import list_archive, listed_again
from pipeline.ingestion.catalogue import Catalogue, Listing, is_current
from pipeline.ingestion.collection import Collection, known_classes
from pipeline.ingestion.decoding import Job, KnownIds, Outcome, decode
from pipeline.ingestion.labelling.label_files import is_label_file
from pipeline.ingestion.labelling.label_tables import Columns
from pipeline.ingestion.labelling.labels import Labels
from pipeline.ingestion.labelling.mapping import ClassMapping
from pipeline.ingestion.places import Knowledge, Source, find, looking_into
from pipeline.ingestion.refusals import Refusal
from pipeline.ingestion.settled import Settled
from pipeline.ingestion.standardising import Picture
from pipeline.ingestion.unpacking.archive_names import is_archive
from pipeline.params import Ingest, Params
from pipeline.versioning.raw.absent_files import AbsentFiles
from pipeline.versioning.raw.content import RawContent
from pipeline.versioning.raw_files import RawFile

# A zip file has its directory at the end. Other archives have to be read completely; larger ones are not opened here.
LISTED_AT_THE_END = ".zip"
MOST_READ_THROUGH = 16 * 2**20


@dataclass(frozen=True, kw_only=True)
class Inspection:
    """The content of data/raw, as far as it was inspected."""

    places: list[Source]
    """Places that are processed one by one; new places only as far as time allowed."""
    settled: Settled
    """All other places; ingest has their images."""
    settled_table: pa.Table
    """`settled` as a table for `resolve`."""
    keys: dict[str, str]
    """The perceptual key of each inspected image, by id."""
    figures: dict[str, tuple[str, StoredFigures]]
    """The label and the future index figures of each inspected image, by id."""
    found: int
    looked_at: int
    unopened: int
    archives: set[str]
    unread: dict[str, str | None]
    """The labels of the places that were not inspected for lack of time, by source."""

    @property
    def is_partial(self) -> bool:
        """Whether anything was not inspected for lack of time."""
        return self.looked_at < self.found or self.unopened > 0


def see(content: RawContent, had: Collection, params: Params, seconds: float) -> Inspection:
    """Inspect new files that are available locally, for about `seconds`. Missing label files are fetched."""
    files, absent, listing = content.files, AbsentFiles.of(content.belonging), Listing.of(params.ingest)
    contents, unopened = _list_archives(files, absent, had.contents, monotonic() + seconds, listing)
    mapping, labels = ClassMapping.read(), _labels(files, absent, params.ingest)
    settled, look = Settled.among(files, contents, labels), looking_into(absent, had.refused, fetch=False)
    found = find(settled, contents, labels, Knowledge(had.unusable, look=look), mapping)
    others, ids = list(found.others), Ids.of(had.ids)
    known = ids[ids.order()].joined(Ids.sorted_of(had.disputed))
    unread = list(found._replace(others=iter(others)).unread(known))
    settled = found.settled.at(known.find(found.settled.ids) >= 0)
    elsewhere = absent.cached(source.place.path for source in unread)
    unread.sort(key=lambda source: source.place.path in absent and source.place.path not in elsewhere)
    here = [one.place for one in unread if one.place.path not in absent or one.place.path in elsewhere]
    # Leave one core to DVC's status, which is computed meanwhile; a process more would not make this faster.
    cores = os.cpu_count() or 1
    workers = min(params.compute.workers or cores, max(cores - 1, 1))
    job = Job(KnownIds.of(known.packed()), params.ingest, elsewhere=elsewhere)
    outcomes = list(decode(here, job, workers, seconds=seconds))
    pictures = {one.id: one.result for one in outcomes if one.id and isinstance(one.result, Picture)}
    label_of = {one.id: source.label or "" for source, one in zip(unread, outcomes, strict=False)}
    seen = [one for one in others if one.refusal is not None or (one.id is not None and one.id in known)]
    return Inspection(
        places=seen + [_after(source, outcome) for source, outcome in zip(unread, outcomes, strict=False)],
        settled=settled,
        settled_table=settled.table(found.labels),
        keys={one: picture.shows.key for one, picture in pictures.items()},
        figures={one: (label_of[one], StoredFigures.of(picture)) for one, picture in pictures.items()},
        found=len(unread),
        looked_at=len(outcomes),
        unopened=unopened,
        archives={file.md5 for file in files if file.md5 in contents},
        unread={source.name: source.label for source in unread[len(outcomes) :]},
    )


def _labels(files: list[RawFile], absent: AbsentFiles, params: Ingest) -> Labels:
    """Read the label files; fetch those that are not available locally, as ingest will."""
    columns = Columns(**params.columns)
    names = [file.path for file in files if is_label_file(file.path, columns)]
    absent.fetch(names)
    found, classes = {name: absent.at(name) for name in names}, known_classes(ClassMapping.read())
    return Labels.read(files=found, strip=params.strip, columns=columns, classes=classes)


def _after(source: Source, outcome: Outcome) -> Source:
    """Return `source` with the id and the refusal that its inspection found."""
    refusal = outcome.result if isinstance(outcome.result, Refusal) else None
    return source._replace(id=outcome.id, refusal=refusal)


def _list_archives(
    files: list[RawFile], absent: AbsentFiles, known: Catalogue, deadline: float, listing: Listing
) -> tuple[Catalogue, int]:
    """Return the members of each archive, and the number of archives that were not opened for lack of time.

    An archive that was not opened has no members in the result.
    """
    archives = [file for file in files if is_archive(file.path)]
    contents = known.of(file.md5 for file in archives)
    unopened = 0
    is_outdated = not is_current(listing)
    for path, md5 in archives:
        if md5 in known and not is_outdated and known.is_supported(md5):
            continue
        file = absent.at(path)
        is_opened = _is_fast(path, file) and monotonic() < deadline
        if md5 not in known:
            contents[md5] = list_archive(file, listing) if is_opened else []
            unopened += not is_opened
        elif is_opened:
            contents[md5] = listed_again(known[md5], file, listing)
    return contents, unopened


def _is_fast(name: str, archive: Path) -> bool:
    """Whether the file `archive` exists locally and can be listed quickly; `name` is its name in data/raw."""
    if not archive.exists():
        return False
    return name.lower().endswith(LISTED_AT_THE_END) or archive.stat().st_size <= MOST_READ_THROUGH
