"""Handing over an unfinished ingest: what one machine has decoded, another one need not decode again.

It lies there in chunks: a shard, and the journal's lines of its images. They say no more than what becomes of the bytes
of files in data/raw, so any number of machines may put some there and take some, for any branch.
"""

import json
from collections.abc import Collection, Container, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple

from tqdm import tqdm

from pipeline.files import md5_of_bytes
from pipeline.handover.attempts import Attempts, Say
from pipeline.handover.background import Background
from pipeline.handover.remote_folder import OFF, RemoteFolder, open_folder
from pipeline.images.shards import shard_name
from pipeline.ingestion.additions.journal import Entry, Journal
from pipeline.ingestion.perceptual_hash import PerceptualHash
from pipeline.ingestion.pictures.formats import is_by_another
from pipeline.ingestion.refusals import Refusal
from pipeline.ingestion.standardising import Picture
from pipeline.signals import stoppable
from pipeline.text import counted

# Where chunks are kept, a folder for each recipe.
INGESTS = "ingest"
# How the names of a chunk's two files end. The lines come last: what has them is whole.
SHARD, LINES = ".tar", ".jsonl"


class Chunk(NamedTuple):
    """Images that were decoded, and are in one shard."""

    shard: Path
    lines: bytes

    @property
    def name(self) -> str:
        """What its files there are called, without their endings."""
        return md5_of_bytes(self.lines)


class Needs(NamedTuple):
    """What an ingest looks for there; files of data/raw are given by the MD5 of their bytes."""

    files: Collection[str]
    """All files of data/raw."""
    unread: Collection[str]
    """Those with images that are to be decoded."""
    known: Container[str]
    """The ids of images that are not."""


@contextmanager
def sharing(where: str, journal: Journal, say: Say) -> "Iterator[SharedChunks | None]":
    """While this lasts, what `journal` gets can be kept `where` others find it; None where it is not to be.

    Where a signal or an error ends this, what was decoded until then is uploaded first. `say` tells people.

    Raises:
        ParamError: there is no such place.
    """
    if where == OFF:
        yield None
        return
    chunks = SharedChunks(open_folder(where, INGESTS, journal.recipe), journal, say)
    with stoppable():
        try:
            yield chunks
        except BaseException:
            chunks.leave()
            raise


class SharedChunks:
    """What the ingests by one recipe have in a folder that other machines reach."""

    def __init__(self, folder: RemoteFolder, journal: Journal, say: Say) -> None:
        self._folder, self._journal, self._say = folder, journal, say
        self._attempts = Attempts(folder, say)
        self._uploads = Background(self._upload)
        self._filling: list[Entry] = []
        """What is new of the shard that is being filled."""
        self._spent: set[str] = set()
        """The chunks that are of no use once this ingest has succeeded."""

    def begin(self, needs: Needs) -> None:
        """Add to the journal what is there and is needed; from now on, upload what it gets.

        Nothing is asked where there is nothing to decode.
        """
        if not needs.unread and not len(self._journal):
            return
        uploaded: set[str] = set()
        before = len(self._journal)
        try:
            for name, entries in self._chunks():
                uploaded.update(entry["id"] for entry in entries)
                if all(entry["file"] in needs.files for entry in entries):
                    self._spent.add(name)
                self._take(name, [entry for entry in entries if self._is_needed(entry, needs)])
        except Exception as error:  # noqa: BLE001 (every kind of remote has errors of its own)
            self._attempts.warn("cannot be read", error)
        if taken := len(self._journal) - before:
            self._say(f"took {counted(taken, 'image')} that another run had decoded, from {self._folder}")
        for entry in self._journal.entries():
            if entry["id"] not in uploaded:
                self._keep(entry)
        self._journal.on_kept = self._keep

    def leave(self) -> None:
        """End before ingest does: see that what was decoded arrives, if it does soon."""
        if self._journal.on_kept is None:
            return
        self._give()
        self._attempts.finish(self._uploads, "what was decoded")

    def clear(self) -> None:
        """Delete what no ingest of these files needs any more, since this one has succeeded."""
        if self._journal.on_kept is None:
            return
        self._journal.on_kept = None
        self._attempts.drop(self._uploads)
        self._attempts.attempt("is not deleted", self._delete)

    def _chunks(self) -> Iterator[tuple[str, list[Entry]]]:
        """The chunks that are there, by name, with what they say of their images."""
        files = self._attempts.ask(self._folder.times)
        names = sorted(file.removesuffix(LINES) for file in files if file.endswith(LINES))
        for name in tqdm(names, "looking for what others have decoded", unit=" shards", disable=None, leave=False):
            lines = self._attempts.ask(partial(self._folder.read, name + LINES))
            if md5_of_bytes(lines) == name:
                yield name, [json.loads(line) for line in lines.splitlines()]
            else:
                self._spent.add(name)
                self._attempts.warn("is damaged", ValueError(self._folder.url(name + LINES)))

    def _is_needed(self, entry: Entry, needs: Needs) -> bool:
        image_id, is_new = entry["id"], entry["id"] not in needs.known
        if entry["file"] not in needs.unread or not is_new or image_id in self._journal:
            return False
        return not (entry.get("reader") and is_by_another(entry["reader"]))

    def _take(self, name: str, entries: list[Entry]) -> None:
        """Add the images `entries` of a chunk to the journal, those that are whole."""
        if not entries:
            return
        part = self._journal.folder / "fetched"
        try:
            self._attempts.fetch(name + SHARD, part)
        except FileNotFoundError:
            return  # Whoever put it there has succeeded meanwhile.
        with part.open("rb") as file:
            for entry in entries:
                if "reason" in entry:
                    self._journal.add(entry["id"], Refusal(entry["reason"], entry["detail"]), entry["file"])
                    continue
                file.seek(entry["offset"])
                data = file.read(entry["length"])
                if md5_of_bytes(data) == entry["md5"]:
                    self._journal.add(entry["id"], _picture(entry, data), entry["file"])
        part.unlink()

    def _keep(self, entry: Entry) -> None:
        """Upload a shard once an image is in the next one."""
        now = _shard_of(self._filling)
        if now is not None and entry.get("shard", now) != now:
            self._give()
        self._filling.append(entry)

    def _give(self) -> None:
        entries, self._filling = self._filling, []
        if (shard := _shard_of(entries)) is not None:
            lines = "".join(json.dumps(entry) + "\n" for entry in entries)
            self._uploads.give(Chunk(self._journal.folder / shard_name(shard), lines.encode()))

    def _upload(self, chunk: Chunk) -> None:
        self._spent.add(chunk.name)
        lines = self._journal.folder / "lines"
        try:
            self._folder.prepare()
            self._folder.put(chunk.shard, chunk.name + SHARD)
            lines.write_bytes(chunk.lines)
            self._folder.put(lines, chunk.name + LINES)
        except Exception as error:  # noqa: BLE001 (every kind of remote has errors of its own)
            self._attempts.warn("lacks what was decoded", error)

    def _delete(self) -> None:
        for name in self._spent:
            for ending in (LINES, SHARD):
                self._folder.delete(name + ending)
        if not self._folder.times():
            self._folder.remove()


def _shard_of(entries: list[Entry]) -> int | None:
    return next((entry["shard"] for entry in entries if "shard" in entry), None)


def _picture(entry: Entry, data: bytes) -> Picture:
    shows = PerceptualHash(entry["key"], bytes.fromhex(entry["descriptor"]))
    more = {name: entry[name] for name in ("md5", "suffix", "width", "height", "reader", "patient")}
    return Picture(data, shows=shows, **more)
