"""Any image as the network sees it: ingest makes it uniform, and what reads stored images makes pixels of it."""

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from io import BytesIO
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from PIL import Image
from pydantic import ValidationError

from pipeline import paths
from pipeline.errors import RecordError
from pipeline.images.pixels import FRAMINGS, PixelReader, Pixels
from pipeline.ingestion.decoding import LOCK, MAX_FILE, Job, KnownIds, Outcome, decode
from pipeline.ingestion.refusals import Refusal
from pipeline.ingestion.scan import Spot
from pipeline.ingestion.standardising import Picture, make_uniform
from pipeline.locking import locked
from pipeline.params import Ingest, Params
from pipeline.versioning.lock import checkout_hint, read_record

if TYPE_CHECKING:
    from pipeline.models.network import Spec  # Which imports PyTorch, and each process that decodes would.


class View(NamedTuple):
    """An image, or why there is none."""

    spot: Spot
    seen: Pixels | Refusal
    """Shape (channels, size, size)."""
    id: str | None
    """The image's id, None where it could not be read."""


def recorded_ingest(params: Params, *, mode: str) -> Ingest:
    """How images are stored, in the colours `mode` of a network.

    By what dvc.lock records: data/images was made so, and every model here is measured on it. What params.yaml says may
    have been changed since, and counts where nothing is recorded.

    Raises:
        RecordError: dvc.lock records what cannot be.
    """
    record = read_record().get("ingest")
    # A release without that param made images so.
    recorded = {"range": "dtype", **record.params.get("ingest", {})} if record else {}
    current = params.ingest.model_dump()
    try:
        return Ingest.model_validate(
            {**current, **{key: recorded.get(key, current[key]) for key in current}, "mode": mode}
        )
    except (ValidationError, AttributeError):
        raise RecordError(paths.LOCK, "the parameters of ingest in it cannot be", checkout_hint(paths.LOCK)) from None


def views(
    spots: Sequence[Spot], ingest: Ingest, spec: "Spec", *, workers: int, known: Iterable[str] = ()
) -> Iterator[View]:
    """Each of `spots` as the network of `spec` takes it, in their order.

    Images whose ids are `known` are left out. They are read and decoded in `workers` other processes, only so far
    ahead of who asks that memory stays bounded.
    """
    finish = partial(_with_pixels, mode=ingest.mode, size=spec.source, framing=spec.framing)
    readable = (spot.place for spot in spots if spot.refusal is None)
    outcomes = decode(readable, Job(KnownIds(known), ingest, finish), workers)
    shape = PixelReader(ingest.mode, spec.source).shape
    for spot in spots:
        _, image_id, result = Outcome(spot.place, None, spot.refusal) if spot.refusal else next(outcomes)
        if result is not None:
            seen = result if isinstance(result, Refusal) else np.frombuffer(result.data, np.uint8).reshape(shape)
            yield View(spot, seen, image_id)


def view_of(raw: bytes, ingest: Ingest, *, size: int, framing: str) -> Pixels | Refusal:
    """The image in the bytes `raw`, decoded in this process: what `views` makes of a file that holds them.

    Shape (channels, size, size), `size` being the `source` of a network's spec.
    """
    if len(raw) > MAX_FILE:
        return Refusal("too large", f"{len(raw)} bytes")
    made = make_uniform(raw, ingest, one_at_a_time=locked(LOCK))
    return made if isinstance(made, Refusal) else _pixels(made, mode=ingest.mode, size=size, framing=framing)


def _with_pixels(picture: Picture, *, mode: str, size: int, framing: str) -> Picture:
    """`picture` with its pixels in the place of its bytes."""
    return picture._replace(data=_pixels(picture, mode=mode, size=size, framing=framing).tobytes())


def _pixels(picture: Picture, *, mode: str, size: int, framing: str) -> Pixels:
    return np.ascontiguousarray(FRAMINGS[framing](Image.open(BytesIO(picture.data)), mode=mode, size=size))
