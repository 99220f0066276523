"""The HTTP application: its routes and their handlers."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from pipeline.commands.serve.model import Model
from pipeline.commands.serve.predicting import as_object
from pipeline.commands.server.current import Current
from pipeline.commands.server.decoders import Decoders
from pipeline.commands.server.guard import Guard
from pipeline.commands.server.page import render
from pipeline.commands.server.uploads import read_uploads
from pipeline.errors import one_line
from pipeline.ingestion.refusals import Refusal

logger = logging.getLogger(__name__)

# Maximum number of requests whose images are in memory; further requests wait, and their bodies are not read.
AT_ONCE = 8
# Seconds between two checks of the model's folder.
PAUSE = 1.0


class Service:
    """Handlers of requests; each uses the model that is current at that moment."""

    def __init__(self, current: Current, decoders: Decoders, limit: int) -> None:
        self._current, self._decoders, self._limit = current, decoders, limit
        self._gate = asyncio.Semaphore(AT_ONCE)

    async def show(self, request: Request) -> Response:
        """Handle GET /: return the page."""
        return HTMLResponse(render(self._current.model, str(request.base_url), self._limit))

    async def health(self, _: Request) -> Response:
        """Handle GET /health: return the current model, and why a newer one is not served."""
        model, waiting = self._current.model, self._current.waiting
        about = {**_about(model), "classes": model.classes, "lineage": model.lineage.model_dump(mode="json")}
        return JSONResponse({"status": "ok", "model": about, "waiting": waiting or None})

    async def predict(self, request: Request) -> Response:
        """Handle POST /predict: classify the images in the request."""
        top = request.query_params.get("top", str(2**31))
        if not top.isdecimal() or int(top) < 1:
            raise HTTPException(400, f"top is {top!r}, not a whole number of at least 1")
        async with self._gate:
            uploads = await read_uploads(request, self._limit)
            model = self._current.model
            decode = partial(self._decoders.decode, ingest=model.ingest, spec=model.trained.spec)
            seen = await asyncio.gather(*(decode(upload.raw) for upload in uploads))
            names = [upload.name for upload in uploads]
            del uploads
            named = zip([name or "" for name in names], seen, strict=True)
            answers = await asyncio.to_thread(model.answers, named, top=int(top))
        told = [_told(name, answer.guesses) for name, answer in zip(names, answers, strict=True)]
        usable = any("class" in one for one in told)
        return JSONResponse({"model": _about(model), "images": told}, 200 if usable else 422)

    @asynccontextmanager
    async def running(self, _: Starlette) -> AsyncIterator[None]:
        """Look for newer models while the application runs, and close the decoders at the end."""
        watching = asyncio.create_task(self._watch())
        try:
            yield
        finally:
            watching.cancel()
            with suppress(asyncio.CancelledError):
                await watching
            self._decoders.close()

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(PAUSE)
            try:
                said = await asyncio.to_thread(self._current.look)
            except Exception as error:  # noqa: BLE001 (the current model stays in service)
                said = f"cannot look for a newer model: {one_line(error)}"
            if said:
                print(f"pipeline: {said}", flush=True)


def make_app(service: Service, host: str) -> Starlette:
    """Return the application for a server that listens on `host`."""
    return Starlette(
        routes=[
            Route("/", service.show),
            Route("/health", service.health),
            Route("/predict", service.predict, methods=["POST"]),
        ],
        middleware=[Middleware(Guard, host=host)],
        exception_handlers={HTTPException: _refused, Exception: _failed},
        lifespan=service.running,
    )


def _about(model: Model) -> dict[str, Any]:
    """Return the JSON object that identifies `model`."""
    lineage = model.lineage
    return {
        "hash": model.hash,
        "generation": lineage.generation,
        "start": lineage.start,
        "base": lineage.base,
        "images": lineage.images.total,
    }


def _told(name: str | None, guesses: Any) -> dict[str, Any]:
    if isinstance(guesses, Refusal):
        return {"file": name, "refused": guesses.reason, "detail": guesses.detail}
    return as_object(name, guesses)


async def _refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return JSONResponse({"error": error.detail}, error.status_code, error.headers)


async def _failed(_: Request, error: Exception) -> Response:
    logger.debug("failed", exc_info=error)
    return JSONResponse({"error": one_line(error)}, 500)
