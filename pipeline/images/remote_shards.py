"""Reading images of shards that are not in data/shards, from DVC's cache, data/.stored or the remote.

One asynchronous reader, in fsspec's thread, reads ahead of the decoders, in the order in which they need the images.
While data/.stored has space, it reads and keeps blocks of shards, otherwise only the images' own bytes. The MD5 of
every image is checked.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from threading import Lock
from typing import Any, TypeVar

from pipeline import paths
from pipeline.errors import ImagesError
from pipeline.files import md5_of_bytes
from pipeline.images.block_cache import BLOCK, BlockCache
from pipeline.images.pixels import Slot, Stored
from pipeline.images.ranges import RemoteRanges
from pipeline.images.shards import shard_name
from pipeline.versioning.objects import cached_path
from pipeline.versioning.repository import repository

T = TypeVar("T")

logger = logging.getLogger(__name__)

# Maximum amount that is read ahead, in bytes and in images.
AHEAD = 2**26
IMAGES_AHEAD = 4096
# Images at most `GAP` bytes apart are read in one request of at most `SPAN` bytes.
GAP, SPAN = 2**14, 2**20
# Attempts to read an image that arrives damaged.
TRIES = 3
# Threads that read and write local files.
FILES = 8


class RemoteShards:
    """Shards that are not in data/shards."""

    def __init__(self, oids: dict[int, str], *, limit: int, processes: int) -> None:
        """`oids` has their MD5s by number; `limit`, in bytes, is that of data/.stored, shared by all `processes`."""
        self._oids, self._cache = oids, BlockCache(paths.STORED, limit=limit, processes=processes)
        self._whole = {number: cached_path(repository(), oid) for number, oid in oids.items()}
        self._pool = ThreadPoolExecutor(FILES, "stored")
        self._coming: dict[tuple[str, int], asyncio.Task[None]] = {}
        self._opening = Lock()
        self._opened: RemoteRanges | None = None

    def ahead(self, batches: Iterable[Sequence[Slot]], *, keep: bool) -> Iterator[list[Stored]]:
        """Yield each batch with the bytes of images in these shards; the slots of other images stay slots.

        With `keep`, whole blocks are read and kept in data/.stored, since later batches will need their other images.

        Raises:
            MissingDataError: the remote lacks a shard, or cannot be read.
            ImagesError: an image is damaged on the remote.
        """
        from fsspec.asyn import get_loop

        waiting: deque[tuple[int, int, Future[list[Stored]]]] = deque()
        try:
            for batch in batches:
                future = asyncio.run_coroutine_threadsafe(self._read(batch, keep=keep), get_loop())
                waiting.append((sum(slot.length for slot in batch), len(batch), future))
                while sum(size for size, *_ in waiting) > AHEAD or sum(one[1] for one in waiting) > IMAGES_AHEAD:
                    yield waiting.popleft()[-1].result()
            while waiting:
                yield waiting.popleft()[-1].result()
        finally:
            for *_, future in waiting:
                future.cancel()

    async def _read(self, batch: Sequence[Slot], *, keep: bool) -> list[Stored]:
        wanted = {slot for slot in batch if slot.shard in self._oids}
        found = await self._in_thread(self._read_here, wanted)
        if keep and wanted - found.keys():
            for _ in range(2):  # A damaged block is detected only when all blocks of an image are local.
                await self._bring_blocks(wanted - found.keys())
                found |= await self._in_thread(self._read_here, wanted - found.keys())
        for _ in range(TRIES):
            spans = _spans(sorted(wanted - found.keys()))
            for read in await asyncio.gather(*map(self._read_span, spans)):
                found |= read
        for slot in sorted(wanted - found.keys()):
            raise await self._damaged(slot)
        return [found.get(slot, slot) for slot in batch]

    def _read_here(self, wanted: Collection[Slot]) -> dict[Slot, bytes]:
        """Return the images that are undamaged on this machine."""
        found = {}
        for slot in wanted:
            oid, end = self._oids[slot.shard], slot.offset + slot.length
            whole = _part_of(self._whole[slot.shard], slot)
            if whole is not None and md5_of_bytes(whole) == slot.md5:
                found[slot] = whole
            elif (data := self._cache.read(oid, slot.offset, end)) is not None:
                if md5_of_bytes(data) == slot.md5:
                    found[slot] = data
                else:
                    self._cache.drop_damaged(oid, slot.offset, end)
        return found

    async def _read_span(self, span: list[Slot]) -> dict[Slot, bytes]:
        """Read images that are close together in one request; returns the undamaged ones."""
        oid, start, end = self._oids[span[0].shard], span[0].offset, span[-1].offset + span[-1].length
        data = await (await self._remote()).read(oid, start, end, what=_where(span[0]))
        parts = {slot: data[slot.offset - start : slot.offset - start + slot.length] for slot in span}
        return {slot: part for slot, part in parts.items() if md5_of_bytes(part) == slot.md5}

    async def _bring_blocks(self, wanted: Collection[Slot]) -> None:
        """Download the blocks that hold these images, as far as there is space."""
        tasks = []
        for slot in sorted(wanted):
            oid = self._oids[slot.shard]
            for number in self._cache.blocks(slot.offset, slot.offset + slot.length):
                if (oid, number) not in self._coming:
                    bringing = self._bring_block(oid, number, _where(slot))
                    self._coming[oid, number] = asyncio.create_task(bringing)
                tasks.append(self._coming[oid, number])
        await asyncio.gather(*map(asyncio.shield, tasks))  # Shielded, since other batches may wait for the same blocks.

    async def _bring_block(self, oid: str, number: int, what: object) -> None:
        try:
            if self._cache.has(oid, number) or not self._cache.take_room():
                return
            try:
                data = await (await self._remote()).read(oid, number * BLOCK, (number + 1) * BLOCK, what=what)
                await self._in_thread(self._cache.add, oid, number, data)
            finally:
                self._cache.give_back()
        except OSError as error:
            logger.warning("%s: %s; no more is kept there", paths.STORED, error.strerror)
            self._cache.close()
        finally:
            del self._coming[oid, number]

    async def _damaged(self, slot: Slot) -> ImagesError:
        remote = await self._remote()
        where = f"remote {remote.name!r} ({remote.place(self._oids[slot.shard])})"
        what = f"the image at byte {slot.offset} is damaged on {where}"
        return ImagesError(_where(slot), what, f"delete that object, and run `dvc push` where {paths.SHARDS} is whole")

    async def _remote(self) -> RemoteRanges:
        return await self._in_thread(self._open)  # Not in this thread, which the remote needs.

    def _open(self) -> RemoteRanges:
        with self._opening:
            if self._opened is None:
                self._opened = RemoteRanges(repository(), what=paths.SHARDS)
        return self._opened

    async def _in_thread(self, job: Callable[..., T], *arguments: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._pool, job, *arguments)


def read_ahead(
    batches: Iterable[Sequence[Slot]], elsewhere: RemoteShards | None, *, keep: bool
) -> Iterator[Sequence[Stored]]:
    """Yield the batches of `RemoteShards.ahead`; if `elsewhere` is None, all slots stay slots."""
    return iter(batches) if elsewhere is None else elsewhere.ahead(batches, keep=keep)


def _where(slot: Slot) -> Path:
    return paths.SHARDS / shard_name(slot.shard)


def _part_of(shard: Path, slot: Slot) -> bytes | None:
    """Return the bytes at `slot` of the file `shard`; None if it cannot be read."""
    try:
        with shard.open("rb") as file:
            file.seek(slot.offset)
            return file.read(slot.length)
    except OSError:
        return None


def _spans(slots: Iterable[Slot]) -> list[list[Slot]]:
    """Group the sorted `slots` into the images to read in one request."""
    spans: list[list[Slot]] = []
    for slot in slots:
        first, last = (spans[-1][0], spans[-1][-1]) if spans else (None, None)
        if (
            first is not None
            and last is not None
            and slot.shard == first.shard
            and slot.offset - last.offset - last.length <= GAP
            and slot.offset + slot.length - first.offset <= SPAN
        ):
            spans[-1].append(slot)
        else:
            spans.append([slot])
    return spans
