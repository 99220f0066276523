"""Inspect an image as ingest does, to learn its size or why it is refused, without keeping its pixels."""

import warnings
from contextlib import AbstractContextManager

from pipeline.ingestion.pictures.formats import opened
from pipeline.ingestion.refusals import Refusal
from pipeline.ingestion.standardising import Picture, make_uniform
from pipeline.params import Ingest


def measured(
    raw: bytes, params: Ingest, *, one_at_a_time: AbstractContextManager[object], md5: str | None = None
) -> Picture | Refusal:
    """Like `make_uniform`, but with the file's own width and height in pixels, and without image data."""
    made = make_uniform(raw, params, md5=md5, one_at_a_time=one_at_a_time)
    if isinstance(made, Refusal):
        return made
    with warnings.catch_warnings(action="ignore"), opened(raw) as image:
        return made._replace(data=b"", width=image.width, height=image.height)
