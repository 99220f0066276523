"""A web server of files that supports ranges, and can be slow or fail: `python range_server.py FOLDER [OPTION …]`.

It prints its port once it listens. DVC uses it as a remote of kind http; a folder's page is empty.
"""

import argparse
import asyncio
import re
from collections.abc import Awaitable
from pathlib import Path

RANGE = re.compile(r"range: bytes=(\d+)-(\d+)", re.IGNORECASE)


class Answers(asyncio.Protocol):
    """Answers the requests of a connection in order."""

    answered = 0
    """Number of requests for ranges, of all connections."""

    def __init__(self, options: argparse.Namespace) -> None:
        self._options, self._heard = options, b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Store the connection."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._last: asyncio.Task[None] | None = None

    def data_received(self, data: bytes) -> None:
        """Answer the requests in `data`."""
        self._heard += data
        while b"\r\n\r\n" in self._heard:
            request, self._heard = self._heard.split(b"\r\n\r\n", 1)
            self._last = asyncio.create_task(self._answer(request.decode(), self._last))

    async def _answer(self, request: str, before: Awaitable[None] | None) -> None:
        await asyncio.sleep(self._options.latency)
        if before is not None:
            await before
        method, name = request.split(" ", 2)[:2]
        path, wanted = self._options.folder / name.lstrip("/"), RANGE.search(request)
        if wanted:
            Answers.answered += 1
            if self._options.drop and Answers.answered % self._options.drop == 0:
                self._transport.abort()
                return
        if not path.exists():
            self._write("404 Not Found", b"")
        elif wanted and not self._options.whole:
            start, end = map(int, wanted.groups())
            with path.open("rb") as file:
                file.seek(start)
                content = file.read(end + 1 - start)
            self._write("206 Partial Content", content[::-1] if self._options.damage else content)
        else:
            self._write("200 OK", path.read_bytes() if path.is_file() else b"", is_head=method == "HEAD")

    def _write(self, status: str, content: bytes, *, is_head: bool = False) -> None:
        head = f"HTTP/1.1 {status}\r\nContent-Length: {len(content)}\r\nContent-Type: application/x-tar\r\n\r\n"
        self._transport.write(head.encode() + (b"" if is_head else content))


async def serve(options: argparse.Namespace) -> None:
    """Serve until killed."""
    server = await asyncio.get_running_loop().create_server(lambda: Answers(options), "127.0.0.1", options.port)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--latency", type=float, default=0.0, metavar="SECONDS")
    parser.add_argument("--drop", type=int, default=0, metavar="N", help="hang up at every N-th range")
    parser.add_argument("--damage", action="store_true", help="answer with other bytes")
    parser.add_argument("--whole", action="store_true", help="know no ranges")
    asyncio.run(serve(parser.parse_args()))
