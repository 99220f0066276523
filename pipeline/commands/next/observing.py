"""A network's features and probabilities for the images in folders and archives that are not known yet."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from pipeline.commands.serve.preprocessing import recorded_ingest, views
from pipeline.evaluation.inference import Trained
from pipeline.images.pixels import Pixels
from pipeline.ingestion.refusals import Refusal
from pipeline.ingestion.scan import Spot, find
from pipeline.params import Params

Array = npt.NDArray[np.floating]


@dataclass(frozen=True, kw_only=True)
class Unlabelled:
    """The images that are not known yet, each once, sorted by id, so that their order is independent of their paths."""

    spots: list[Spot]
    ids: list[str]
    features: Array
    """Shape (n, features)."""
    probabilities: Array
    """Shape (n, classes)."""
    known: int
    """The number of files whose image is known."""
    copies: int
    """The number of further files with one of these images."""
    unusable: int
    """The number of files that cannot be used."""


def observe(tops: Iterable[Path], trained: Trained, params: Params, known: set[str]) -> Unlabelled:
    """Run `trained` on the images in `tops`, except those whose ids are `known`.

    The pixels are the same as in `evaluate`, and are not kept. The result for 10⁵ images takes about 60 MB with the
    built-in network.

    Raises:
        ImagesError: one of `tops` does not exist.
    """
    spots = [spot for top in tops for spot in find(top)]
    ingest = recorded_ingest(params, mode=trained.spec.mode)
    seen = views(spots, ingest, trained.spec, workers=params.compute.workers, known=known)
    bar = iter(tqdm(seen, "looking", len(spots), unit=" images", disable=None, leave=False))
    first: dict[str, Spot] = {}
    features, probabilities, looked_at, unusable = [], [], 0, 0
    while batch := list(islice(bar, params.compute.batch_size)):
        looked_at += len(batch)
        fresh: list[Pixels] = []
        for spot, pixels, image_id in batch:
            if isinstance(pixels, Refusal) or image_id is None:
                unusable += 1
            elif image_id not in first:
                first[image_id] = spot
                fresh.append(pixels)
        if fresh:
            shares, seen_in = trained.look(np.stack(fresh))
            features.append(seen_in)
            probabilities.append(shares)
    ids, order = sorted(first), np.argsort(list(first))
    return Unlabelled(
        spots=[first[image_id] for image_id in ids],
        ids=ids,
        features=_joined(features, order),
        probabilities=_joined(probabilities, order),
        known=len(spots) - looked_at,
        copies=looked_at - unusable - len(first),
        unusable=unusable,
    )


def _joined(batches: Sequence[Array], order: npt.NDArray[np.intp]) -> Array:
    return np.concatenate(batches)[order] if batches else np.empty((0, 0))
