"""Convert any image to the network's input, by the code of ingest and of the reader of stored images."""

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
    from pipeline.models.network import Spec  # It imports PyTorch, which decoding processes must not load.


class View(NamedTuple):
    """A preprocessed image, or why it cannot be used."""

    spot: Spot
    seen: Pixels | Refusal
    """Pixels of shape (channels, size, size), or the reason to refuse the image."""
    id: str | None
    """The image's id; None if it could not be read."""


def recorded_ingest(params: Params, *, mode: str) -> Ingest:
    """Return the params of ingest for a network with the colour `mode`.

    They are those in dvc.lock: data/images was made with them, and every model is evaluated on data/images. The params
    in params.yaml may have changed since; they are used for values that dvc.lock does not record.

    Raises:
        RecordError: dvc.lock contains invalid parameters.
    """
    record = read_record().get("ingest")
    # Releases without the param `range` made images with "dtype".
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
    """Yield the image at each of `spots` as input of the network of `spec`, in their order.

    Images with `known` ids are left out. `workers` processes read and decode ahead of the consumer, in bounded memory.
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
    """Decode the image file in the bytes `raw` in this process; the result is that of `views` for such a file.

    Its shape is (channels, size, size), where `size` is the `source` of the network's spec.
    """
    if len(raw) > MAX_FILE:
        return Refusal("too large", f"{len(raw)} bytes")
    made = make_uniform(raw, ingest, one_at_a_time=locked(LOCK))
    return made if isinstance(made, Refusal) else _pixels(made, mode=ingest.mode, size=size, framing=framing)


def _with_pixels(picture: Picture, *, mode: str, size: int, framing: str) -> Picture:
    """Return `picture` with its pixels in place of its encoded bytes."""
    return picture._replace(data=_pixels(picture, mode=mode, size=size, framing=framing).tobytes())


def _pixels(picture: Picture, *, mode: str, size: int, framing: str) -> Pixels:
    return np.ascontiguousarray(FRAMINGS[framing](Image.open(BytesIO(picture.data)), mode=mode, size=size))
