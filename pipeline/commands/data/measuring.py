"""An image inspected as ingest does, for its size and for what is wrong with it, without its pixels."""

import warnings
from contextlib import AbstractContextManager

from pipeline.ingestion.pictures.formats import opened
from pipeline.ingestion.refusals import Refusal
from pipeline.ingestion.standardising import Picture, make_uniform
from pipeline.params import Ingest


def measured(
    raw: bytes, params: Ingest, *, one_at_a_time: AbstractContextManager[object], md5: str | None = None
) -> Picture | Refusal:
    """As `make_uniform`, but with the width and height that the file has, and no bytes."""
    made = make_uniform(raw, params, md5=md5, one_at_a_time=one_at_a_time)
    if isinstance(made, Refusal):
        return made
    with warnings.catch_warnings(action="ignore"), opened(raw) as image:
        return made._replace(data=b"", width=image.width, height=image.height)
