"""Decodes new images in other processes and keeps them in the journal."""

import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from itertools import islice
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
from tqdm import tqdm

from pipeline import paths
from pipeline.ids import Ids
from pipeline.ingestion.additions.journal import Journal
from pipeline.ingestion.additions.ray_decoding import FEWEST, decoders, reading_elsewhere
from pipeline.ingestion.additions.shared_chunks import Needs
from pipeline.ingestion.catalogue import Catalogue
from pipeline.ingestion.collection import Collection
from pipeline.ingestion.decoding import Job, KnownIds, Outcome, Place, decode
from pipeline.ingestion.labelling.sources import source_of
from pipeline.ingestion.places import Found, Source
from pipeline.ingestion.refusals import Refusal
from pipeline.ingestion.standardising import Picture
from pipeline.lineage import selection
from pipeline.params import Params
from pipeline.text import counted
from pipeline.versioning.raw.absent_files import AbsentFiles

# Up to this number of new images, their places are kept as a list.
MOST_LISTED = 10_000
CHANGED = Refusal("changed", "written to after DVC had hashed it; the next run reads it")


class Kept(NamedTuple):
    """The results of decoding, apart from what is in the journal."""

    passing: dict[Place, Refusal]
    """The places that could not be read in this run, and why."""
    remarks: dict[str, str]
    """Remarks on images to report to the user, by source."""
    decoded: int
    """The number of images decoded, including refused ones."""
    stored: int
    """The number of images stored, without copies and refused ones."""


class NewImages:
    """The images in `found` that neither `before` nor `journal` contains; `md5s` maps paths to the MD5s of files."""

    def __init__(
        self, found: Callable[[], Found], before: Collection, journal: Journal, md5s: Mapping[str, str]
    ) -> None:
        self._found, self._before, self._journal, self._md5s = found, before, journal, md5s
        self._ids = Ids.of(before.ids)
        disputed = before.disputed
        self._settled = disputed and disputed - _changed(found().unread(self._known()), disputed)

    def needs(self) -> Needs:
        """Return which images to look for among those that other machines have decoded."""
        known = self._known()
        unread = {self._md5s[place.path] for place in self._places(known)}
        return Needs(frozenset(self._md5s.values()), unread, known)

    def decode(self, params: Params, absent: AbsentFiles) -> Iterator[Outcome]:
        """Yield the outcome of each new image, in order; `absent` files are fetched."""
        known = self._known()
        few = [*islice(self._places(known), MOST_LISTED + 1)]
        # Each iteration over the places takes time for all known images; a list of many places takes memory.
        places = partial(self._places, known) if len(few) > MOST_LISTED else partial(iter, few)
        total = sum(1 for _ in places())
        if not total:
            return
        selection.secure(params)  # Fail now rather than after hours of decoding.
        _warn_of_full_disk(total, self._before.table["length"])
        wanted = {place.path for place in places() if place.path in absent}
        job, compute = Job(KnownIds.of(known.packed()), params.ingest), params.compute
        if compute.engine == "ray" and total >= FEWEST:
            with decoders(reading_elsewhere(job, wanted, absent), compute) as ray:
                yield from self._shown(total, decode(places(), ray.job, ray.cores, pool=ray))
            return
        job = job._replace(elsewhere=absent.fetch(wanted))
        yield from self._shown(total, decode(places(), job, compute.workers))

    def keep(self, outcomes: Iterable[Outcome], contents: Catalogue) -> Kept:
        """Write `outcomes` to the journal, and the ids and refusals of archive members to `contents`."""
        passing: dict[Place, Refusal] = {}
        remarks: dict[str, str] = {}
        decoded = stored = 0
        for place, image_id, result in outcomes:
            file = self._md5s[place.path]
            if image_id is None:
                assert isinstance(result, Refusal)
                if place.member is None or result.is_passing:
                    passing[place] = result
                else:
                    contents[file][place.position].refusal = result
                continue
            if place.member is not None:
                contents[file][place.position].id = image_id
            elif image_id != file:
                passing[place], file = CHANGED, image_id
            if result is not None:
                decoded += 1
                if image_id not in self._journal.facts:
                    self._journal.add(image_id, result, file)
                    stored += isinstance(result, Picture)
            if isinstance(result, Picture) and result.remark:
                remarks[source_of(place.path, place.member)] = result.remark
        return Kept(passing, remarks, decoded, stored)

    @staticmethod
    def _shown(total: int, outcomes: Iterable[Outcome]) -> Iterator[Outcome]:
        yield from tqdm(outcomes, "decoding", total, unit=" images", disable=None)

    def _known(self) -> Ids:
        more = {*self._before.unusable, *self._journal.facts, *self._journal.refused}
        return self._ids.joined(Ids.sorted_of(more))

    def _places(self, known: Ids) -> Iterator[Place]:
        return (one.place for one in self._found().unread(known) if one.id not in self._settled)


def _warn_of_full_disk(images: int, lengths: pa.ChunkedArray) -> None:
    """Warn if `images` new images may not fit on the disk; `lengths` are the sizes of stored ones, in bytes."""
    needed, free = images * (pc.mean(lengths).as_py() or 0), shutil.disk_usage(paths.DATA).free
    if needed > free:
        sizes = f"{needed / 2**20:,.0f} MiB for {counted(images, 'image')}, and {free >> 20:,} MiB are free"
        print(f"ingest: warning: the disk may become full: about {sizes}", flush=True)


def _changed(unread: Iterable[Source], disputed: set[str]) -> set[str]:
    """Return the `disputed` images that now lie in folders of a single class."""
    labels: dict[str, set[str | None]] = {}
    for source in unread:
        if source.id in disputed:
            labels.setdefault(source.id, set()).add(source.label)
    return {image_id for image_id, several in labels.items() if len(several) < 2}
