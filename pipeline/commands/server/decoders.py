"""Decode uploads in child processes, one image per process at a time, so that a crash affects only one image."""

import asyncio
from concurrent.futures import BrokenExecutor, Future
from contextlib import suppress
from typing import TYPE_CHECKING

from pipeline.commands.serve.preprocessing import view_of
from pipeline.images.pixels import Pixels
from pipeline.ingestion.refusals import Refusal
from pipeline.params import Ingest
from pipeline.signals import deaf_children

if TYPE_CHECKING:
    from loky import ProcessPoolExecutor

    from pipeline.models.network import Spec

# Time limit for decoding an image; slower images are refused.
SECONDS = 60.0
KILLS = Refusal("broken", "decoding it kills the decoder")


class Decoders:
    """A pool of at most `count` processes, each started when it is first needed."""

    def __init__(self, count: int, seconds: float = SECONDS) -> None:
        self._gate, self._seconds = asyncio.Semaphore(count), seconds
        self._idle: list[ProcessPoolExecutor] = []

    async def decode(self, raw: bytes, ingest: Ingest, spec: "Spec") -> Pixels | Refusal:
        """Decode the image file in the bytes `raw` as input of the network of `spec`, or refuse it; see `view_of`."""
        async with self._gate:
            with suppress(BrokenExecutor):
                return await self._decode(raw, ingest, spec)
            # Try a second time, since the system may have killed the process for lack of memory.
            with suppress(BrokenExecutor):
                return await self._decode(raw, ingest, spec)
            return KILLS

    async def _decode(self, raw: bytes, ingest: Ingest, spec: "Spec") -> Pixels | Refusal:
        process = self._idle.pop() if self._idle else _start()
        try:
            work = await asyncio.to_thread(_submit, process, raw, ingest, spec)
            seen: Pixels | Refusal = await asyncio.wait_for(asyncio.wrap_future(work), self._seconds)
        except TimeoutError:
            _end(process)
            return Refusal("too large", f"takes more than {self._seconds:g} seconds to decode")
        except BaseException:
            _end(process)
            raise
        self._idle.append(process)
        return seen

    def close(self) -> None:
        """End all idle processes."""
        while self._idle:
            _end(self._idle.pop())


def _start() -> "ProcessPoolExecutor":
    from loky import ProcessPoolExecutor

    return ProcessPoolExecutor(1)


def _submit(process: "ProcessPoolExecutor", raw: bytes, ingest: Ingest, spec: "Spec") -> "Future[Pixels | Refusal]":
    with deaf_children():  # The process starts here. It must ignore ^C, since the server ends it.
        decoding: Future[Pixels | Refusal] = process.submit(
            view_of, raw, ingest, size=spec.source, framing=spec.framing
        )
    return decoding


def _end(process: "ProcessPoolExecutor") -> None:
    process.shutdown(wait=False, kill_workers=True)
