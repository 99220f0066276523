"""What a model says of images that lie anywhere, batch by batch, with bounded memory."""

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from pipeline.commands.serve.preprocessing import View, recorded_ingest, views
from pipeline.evaluation.inference import Trained
from pipeline.ingestion.refusals import Refusal
from pipeline.ingestion.scan import Spot
from pipeline.params import Params


class Guess(NamedTuple):
    """A class, and the probability that the model gives it."""

    label: str
    probability: float


class Answer(NamedTuple):
    """What a model says of an image, or why the image cannot be used."""

    name: str
    guesses: list[Guess] | Refusal
    """The likeliest classes, the likeliest first; of equal ones the model's first."""


def answers(spots: Sequence[Spot], trained: Trained, params: Params, *, top: int) -> Iterator[Answer]:
    """What `trained` says of each of `spots`, in their order: the `top` likeliest classes.

    The pixels are, bit for bit, those that `evaluate` sees of an image once it is ingested, and so are probabilities of
    the same images in the same steps; with more or fewer in a step PyTorch may round the last bits another way.
    """
    spec = trained.spec
    ingest = recorded_ingest(params, mode=spec.mode)
    seen = views(spots, ingest, spec, workers=params.compute.workers)
    bar = iter(tqdm(seen, "predicting", len(spots), unit=" images", disable=None, leave=False))
    while batch := list(islice(bar, params.compute.batch_size)):
        yield from _answer(batch, trained, top)


def _answer(batch: list[View], trained: Trained, top: int) -> Iterator[Answer]:
    images = [view.seen for view in batch if not isinstance(view.seen, Refusal)]
    rows = iter(trained.probabilities(np.stack(images)) if images else ())
    for spot, seen, _ in batch:
        yield Answer(
            spot.name, seen if isinstance(seen, Refusal) else _likeliest(next(rows), trained.spec.classes, top)
        )


def _likeliest(row: npt.NDArray[np.float64], classes: Sequence[str], top: int) -> list[Guess]:
    return [Guess(classes[place], float(row[place])) for place in np.argsort(-row, kind="stable")[:top]]
