"""Classify images from any place, batch by batch, with bounded memory."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from pipeline.commands.serve.preprocessing import recorded_ingest, views
from pipeline.evaluation.inference import Trained
from pipeline.images.pixels import Pixels
from pipeline.ingestion.refusals import Refusal
from pipeline.ingestion.scan import Spot
from pipeline.params import Params


class Guess(NamedTuple):
    """A class and its predicted probability."""

    label: str
    probability: float


class Answer(NamedTuple):
    """The most likely classes of an image, or why the image cannot be used."""

    name: str
    guesses: list[Guess] | Refusal
    """The most likely classes, sorted by probability, the highest first; ties are in the model's order of classes."""


def as_object(name: str | None, guesses: list[Guess]) -> dict[str, Any]:
    """Return the JSON object of the image `name`, as `predict --json` and `serve` print it."""
    top = [{"class": label, "confidence": share} for label, share in guesses]
    return {"file": name, **top[0], "top": top}


def answers(spots: Sequence[Spot], trained: Trained, params: Params, *, top: int) -> Iterator[Answer]:
    """Yield the `top` most likely classes of the image at each of `spots`, in their order.

    The pixels are bit for bit those that `evaluate` reads once an image is ingested. The probabilities are identical,
    too, if the batches are; in batches of another size PyTorch may round the last bits differently.
    """
    spec = trained.spec
    ingest = recorded_ingest(params, mode=spec.mode)
    seen = views(spots, ingest, spec, workers=params.compute.workers)
    bar = tqdm(seen, "predicting", len(spots), unit=" images", disable=None, leave=False)
    named = ((view.spot.name, view.seen) for view in bar)
    yield from answered(named, trained, step=params.compute.batch_size, top=top)


def answered(
    named: Iterable[tuple[str, Pixels | Refusal]], trained: Trained, *, step: int, top: int
) -> Iterator[Answer]:
    """Yield the answers for preprocessed images, each of shape (channels, size, size), in batches of `step`."""
    rest = iter(named)
    while batch := list(islice(rest, step)):
        yield from _answer(batch, trained, top)


def _answer(batch: list[tuple[str, Pixels | Refusal]], trained: Trained, top: int) -> Iterator[Answer]:
    images = [seen for _, seen in batch if not isinstance(seen, Refusal)]
    rows = iter(trained.probabilities(np.stack(images)) if images else ())
    for name, seen in batch:
        yield Answer(name, seen if isinstance(seen, Refusal) else _likeliest(next(rows), trained.spec.classes, top))


def _likeliest(row: npt.NDArray[np.float64], classes: Sequence[str], top: int) -> list[Guess]:
    return [Guess(classes[place], float(row[place])) for place in np.argsort(-row, kind="stable")[:top]]
