"""Shares an unfinished ingest between machines: one need not decode again what another has decoded.

A shared folder holds chunks: a shard, and the journal's lines for its images. A chunk depends only on the bytes of
files in data/raw, so any number of machines may upload and download chunks, for any branch.
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

# The subfolder for chunks, with a folder for each recipe.
INGESTS = "ingest"
# The suffixes of a chunk's two files. The lines are uploaded last: a chunk that has them is complete.
SHARD, LINES = ".tar", ".jsonl"


class Chunk(NamedTuple):
    """Decoded images of one shard, with their lines of the journal."""

    shard: Path
    lines: bytes

    @property
    def name(self) -> str:
        """The name of the chunk's files in the shared folder, without suffix."""
        return md5_of_bytes(self.lines)


class Needs(NamedTuple):
    """What an ingest looks for in the shared folder; files of data/raw are identified by MD5."""

    files: Collection[str]
    """All files of data/raw."""
    unread: Collection[str]
    """The files with images that are to be decoded."""
    known: Container[str]
    """The ids of images that need not be decoded."""


@contextmanager
def sharing(where: str, journal: Journal, say: Say) -> "Iterator[SharedChunks | None]":
    """Yield the chunks shared at `where`, to and from which `journal` is synchronised; None if sharing is off.

    If a signal or an error ends the context, the images decoded so far are uploaded first. `say` prints messages.

    Raises:
        ParamError: `where` cannot be opened.
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
    """The chunks of one recipe in a folder that other machines can access."""

    def __init__(self, folder: RemoteFolder, journal: Journal, say: Say) -> None:
        self._folder, self._journal, self._say = folder, journal, say
        self._attempts = Attempts(folder, say)
        self._uploads = Background(self._upload)
        self._filling: list[Entry] = []
        """Entries of the current shard that are not uploaded yet."""
        self._spent: set[str] = set()
        """Names of chunks that are obsolete once this ingest has succeeded."""

    def begin(self, needs: Needs) -> None:
        """Add the needed images of the shared folder to the journal, and upload new ones from now on.

        The shared folder is not accessed if there is nothing to decode.
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
        """Upload what was decoded before ingest ends early, within a limited time."""
        if self._journal.on_kept is None:
            return
        self._give()
        self._attempts.finish(self._uploads, "what was decoded")

    def clear(self) -> None:
        """Delete the chunks that are obsolete after this successful ingest."""
        if self._journal.on_kept is None:
            return
        self._journal.on_kept = None
        self._attempts.drop(self._uploads)
        self._attempts.attempt("is not deleted", self._delete)

    def _chunks(self) -> Iterator[tuple[str, list[Entry]]]:
        """Yield the name and the entries of each chunk in the shared folder."""
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
        """Add the images `entries` of the chunk `name` to the journal, unless their bytes are damaged."""
        if not entries:
            return
        part = self._journal.folder / "fetched"
        try:
            self._attempts.fetch(name + SHARD, part)
        except FileNotFoundError:
            return  # The machine that uploaded it has finished meanwhile, and deleted it.
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
        """Queue `entry` for upload; upload a shard when the first image of the next one arrives."""
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
