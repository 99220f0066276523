"""Read the images of a request, within limits of size, number and time."""

import asyncio
from contextlib import suppress
from typing import NamedTuple

from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import Message

# Maximum numbers of images in a request, and of other fields in a form.
MOST, MOST_FIELDS = 64, 16
# Time within which a request must have arrived.
SECONDS = 60.0
# How much of a refused request is still read, in bytes and in seconds.
DROPPED, DROPPING = 8 * 2**20, 2.0


class Upload(NamedTuple):
    """An uploaded image file."""

    name: str | None
    """The file name that the client sent; None if the file is the whole body."""
    raw: bytes


async def read_uploads(request: Request, limit: int) -> list[Upload]:
    """Return the files of a form, or the body as the only file; the request may have `limit` bytes.

    Raises:
        HTTPException: the request is too large or too slow, its form is malformed, or it has no image.
    """
    body = _BoundedBody(request, limit)
    try:
        async with asyncio.timeout(SECONDS):
            uploads = await _read(Request(request.scope, body))
    except TimeoutError:
        raise HTTPException(408, f"the request took more than {SECONDS:g} seconds to arrive") from None
    except HTTPException:
        await body.drop()
        raise
    if not uploads:
        raise HTTPException(400, "no image: send its bytes as the body, or files as multipart/form-data")
    return uploads


class _BoundedBody:
    """A request's body that raises an exception once more than `limit` bytes have arrived."""

    def __init__(self, request: Request, limit: int) -> None:
        self._receive, self._limit, self._came = request.receive, limit, 0
        declared = request.headers.get("content-length", "")
        self._is_too_large = declared.isdecimal() and int(declared) > limit
        # A client that sends `Expect: 100-continue` sends the body only once it is asked to.
        self._is_waiting = "expect" in request.headers
        self._is_done = False

    async def __call__(self) -> Message:
        if self._is_too_large:
            raise _too_large(self._limit)
        message = await self._next()
        if self._came > self._limit:
            raise _too_large(self._limit)
        return message

    async def drop(self) -> None:
        """Read and discard the rest: if the connection is closed before, the client may not receive the response."""
        with suppress(TimeoutError):
            async with asyncio.timeout(DROPPING):
                while not (self._is_done or self._is_waiting) and self._came < self._limit + DROPPED:
                    await self._next()

    async def _next(self) -> Message:
        message, self._is_waiting = await self._receive(), False
        self._came += len(message.get("body", b""))
        self._is_done = not message.get("more_body", False)
        return message


async def _read(request: Request) -> list[Upload]:
    if not request.headers.get("content-type", "").lower().startswith("multipart/form-data"):
        body = await request.body()
        return [Upload(None, body)] if body else []
    async with request.form(max_files=MOST, max_fields=MOST_FIELDS) as form:
        files = [value for _, value in form.multi_items() if isinstance(value, UploadFile)]
        return [Upload(file.filename, await file.read()) for file in files if file.filename]


def _too_large(limit: int) -> HTTPException:
    what = f"the request is larger than {limit / 2**20:g} MiB; send fewer or smaller images"
    return HTTPException(413, what, {"Connection": "close"})
