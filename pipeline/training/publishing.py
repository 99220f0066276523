"""data/model and data/curves, made of what a training has left."""

import shutil
from pathlib import Path
from typing import NamedTuple

import lightning.pytorch as pl
import torch

from pipeline import paths
from pipeline.files import put_directory
from pipeline.lineage.lineage import Weights, write_lineage
from pipeline.lineage.seen_images import write_seen
from pipeline.models.checkpoint import CHECKPOINT, RESPONSE, network_of, respond
from pipeline.models.pretrained import Loaded, keep_published
from pipeline.params import Params
from pipeline.result import Result
from pipeline.text import counted, percent
from pipeline.training.callbacks import finished
from pipeline.training.curves import ACCURACY, Curves, show_curves, write_curves
from pipeline.training.environment import write_environment
from pipeline.training.generation import Generation


class FinishedRun(NamedTuple):
    """What a training left behind in this process."""

    trainer: pl.Trainer
    """Can save its checkpoint."""
    curves: Curves
    begun: int
    """The step at which it began, or went on, counted over all generations."""
    weights: Loaded | None
    """What its network began with, where that is neither the base nor drawn."""


def publish(run: FinishedRun, last: Path, generation: Generation, params: Params) -> Result:
    """Make data/model and data/curves of `run`, whose checkpoint is `last`; returns what it came to."""
    trainer, curves, begun, weights = run
    new = last.with_name("model")
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir()
    model = finished(torch.load(last, map_location="cpu", weights_only=True), generation.rounds.draws.end)
    response = respond(network_of(model, new), generation.spec)
    torch.save({**model, RESPONSE: response}, new / CHECKPOINT)
    accuracy = trainer.callback_metrics.get(ACCURACY)  # None without validation images.
    right = None if accuracy is None else float(accuracy)
    origin = weights and Weights(source=weights.source, md5=weights.md5, fit=str(weights.fit))
    lineage = generation.lineage.model_copy(update={"validation": right, "weights": origin})
    write_lineage(lineage, new)
    keep_published(last.parent, new)
    write_seen(generation.seen, new)
    write_curves(curves, new)
    put_directory(new, paths.MODEL)
    show_curves(curves, paths.CURVES)
    write_environment(params)
    measured = "no validation images" if right is None else f"validation accuracy {percent(right)}"
    said = f"{counted(lineage.steps.run, 'step')} ({lineage.steps.total:,} in total), {measured}"
    return Result(said, trainer.global_step - begun)
