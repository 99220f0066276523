"""Concurrent reads of byte ranges from objects on DVC's remote, instead of whole objects.

The ranges are read through the file system object that DVC itself uses for the remote, in fsspec's own thread.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from pipeline.errors import MissingDataError, one_line
from pipeline.versioning.fetching import PUSH_FIRST
from pipeline.versioning.remote import default_remote, received, silence

if TYPE_CHECKING:
    from dvc.repo import Repo

logger = logging.getLogger(__name__)

# Concurrent requests: at a latency of 30 ms, 4,000 ranges a second.
AT_ONCE = 128
# Seconds until one request times out, and until retries after a lost connection end.
PATIENCE = 60.0
# Seconds before the first retry, doubled each time.
WAIT = 0.25
AGAIN = "run `dvc repro` again when the remote can be read; it continues where it stopped"


class RemoteRanges:
    """Reads byte ranges of the objects on the default remote of `repo`."""

    def __init__(self, repo: Repo, *, what: object) -> None:
        """Open the remote. Errors say that `what` cannot be read.

        Raises:
            MissingDataError: there is no remote, or it does not answer.
        """
        name = default_remote(repo)
        if name is None:
            raise MissingDataError(what, "not all shards are present locally, and no remote is set", PUSH_FIRST)
        if mute := silence(repo, name):
            raise MissingDataError(what, f"cannot be read from remote {name!r}: {mute}", AGAIN)
        self.name, self._odb = name, repo.cloud.get_remote_odb(name)
        self._fs: Any = self._odb.fs.fs
        if hasattr(self._fs, "config_kwargs"):  # S3 opens at most ten connections by default.
            self._fs.config_kwargs["max_pool_connections"] = AT_ONCE
            asyncio.run_coroutine_threadsafe(self._fs.set_session(refresh=True), self._fs.loop).result(PATIENCE)
        logging.getLogger("aiohttp_retry").setLevel(logging.ERROR)  # No warnings of closed connections at exit.
        # SSH's method has no ranges, and would return the whole file.
        is_ranged = self._fs.async_impl and "start" in inspect.signature(self._fs._cat_file).parameters  # noqa: SLF001
        self._pool = None if is_ranged else ThreadPoolExecutor(AT_ONCE, "ranges")
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._warned = False

    def place(self, oid: str) -> str:
        """Return the address of the object `oid` on the remote."""
        return str(self._odb.fs.unstrip_protocol(self._odb.oid_to_path(oid)))

    async def read(self, oid: str, start: int, end: int, *, what: object) -> bytes:
        """Return bytes `start` to `end` (exclusive) of the object `oid`; fewer if the object is shorter.

        Raises:
            MissingDataError: the remote has no such object, or cannot be read. The message names `what`.
        """
        began, wait = time.monotonic(), WAIT
        while True:
            try:
                async with self._turns:
                    return await asyncio.wait_for(self._read(oid, start, end), PATIENCE)
            except FileNotFoundError:
                raise MissingDataError(what, f"{oid} is not on remote {self.name!r}", PUSH_FIRST) from None
            except Exception as error:  # noqa: BLE001 (each kind of remote raises its own errors)
                why = f"no answer in {PATIENCE:.0f} seconds" if isinstance(error, TimeoutError) else one_line(error)
                said = f"{oid} cannot be read from remote {self.name!r}: {why}"
                if isinstance(error, PermissionError | WholeObjectError) or time.monotonic() - began + wait > PATIENCE:
                    raise MissingDataError(what, said, AGAIN) from None
                self._warn(said)
            await asyncio.sleep(wait)
            wait *= 2

    async def _read(self, oid: str, start: int, end: int) -> bytes:
        path = self._odb.oid_to_path(oid)
        if self._pool is None:
            data: bytes = await self._fs._cat_file(path, start=start, end=end)  # noqa: SLF001 (fsspec documents it)
        else:
            data = await asyncio.get_running_loop().run_in_executor(self._pool, self._read_file, path, start, end)
        received.size += len(data)
        if len(data) > end - start:
            raise WholeObjectError("it does not support byte ranges; set compute.fetch to all")
        return data

    def _read_file(self, path: str, start: int, end: int) -> bytes:
        with self._fs.open(path, "rb") as file:
            file.seek(start)
            return bytes(file.read(end - start))

    def _warn(self, said: str) -> None:
        if not self._warned:
            logger.warning("%s; trying again for %.0f seconds", said, PATIENCE)
        self._warned = True


class WholeObjectError(Exception):
    """A server returned a whole object where a byte range was requested."""
