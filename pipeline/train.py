"""Stage 3: data/manifest/{train,val}.csv and data/base → data/model. Trains one generation.

Run by `dvc repro`, or alone as `python -m pipeline.train`. The same manifests, base and params give the same bytes.
"""

import logging
import shutil
import sys
import warnings
from pathlib import Path

import lightning.pytorch as pl
import torch

from pipeline import paths
from pipeline.checkpoint import CHECKPOINT, Checkpoint
from pipeline.classifier import Classifier
from pipeline.dataset import load, read_manifest
from pipeline.generation import Generation, plan
from pipeline.lineage import write_lineage
from pipeline.loader import EvalLoader, TrainLoader
from pipeline.model import build
from pipeline.params import Params
from pipeline.publish import put_directory
from pipeline.seen import write_seen
from pipeline.stage import main
from pipeline.warm import warm_start

PROGRESS = paths.PROGRESS / "train"


def train(params: Params) -> str:
    """Train the next generation into data/model; returns what it came to."""
    manifest = read_manifest("train")
    generation = plan(params, manifest.set_index("id")["label"])
    print(f"train: {generation}", flush=True)
    shutil.rmtree(PROGRESS, ignore_errors=True)
    PROGRESS.mkdir(parents=True)
    trainer = fit(generation, params)
    new = PROGRESS / "model"
    new.mkdir()
    trainer.save_checkpoint(new / CHECKPOINT, weights_only=False)
    write_lineage(generation.lineage, new)
    write_seen(generation.seen, new)
    put_directory(new, paths.MODEL)
    shutil.rmtree(PROGRESS)
    accuracy = trainer.callback_metrics.get("val_accuracy")
    measured = "no validation images" if accuracy is None else f"{accuracy:.1%} right on the validation images"
    steps = generation.lineage.steps
    return f"{steps.run:,} steps ({steps.total:,} since the cold start), {measured}"


def fit(generation: Generation, params: Params) -> pl.Trainer:
    """Train `generation`; the trainer that did it can save its checkpoint."""
    _quieten()
    spec, classes = generation.spec, list(generation.spec.classes)
    manifests = {name: read_manifest(name) for name in ("train", "val")}
    known = manifests["val"]["label"].isin(classes)  # A new class may have no training image yet.
    training, validation = (
        load(manifest, mode=spec.mode, size=spec.size, workers=params.compute.workers)
        for manifest in (manifests["train"], manifests["val"][known])
    )
    pl.seed_everything(params.train.seed, verbose=False)
    peak = params.train.lr * (params.train.warm_lr if generation.base else 1)
    network = build(spec, pretrained=params.train.pretrained and generation.base is None)
    classifier = Classifier(network, spec, params.train, steps=generation.lineage.steps.run, peak=peak)
    trainer = pl.Trainer(
        accelerator=params.compute.accelerator,
        devices=1,
        precision=params.train.precision,
        deterministic=params.train.deterministic,
        max_epochs=generation.lineage.epochs.total,
        default_root_dir=PROGRESS,
        logger=False,
        enable_checkpointing=False,
        enable_model_summary=False,
        enable_progress_bar=sys.stdout.isatty(),
        num_sanity_val_steps=0,
    )
    trainer.fit(
        classifier,
        TrainLoader(training, classes, params.train),
        EvalLoader(validation, classes, batch_size=params.compute.batch_size) if len(validation) else None,
        ckpt_path=_saved_start(generation.base, classifier),
        weights_only=True,
    )
    classifier.check()
    assert trainer.global_step == generation.lineage.steps.total, "Lightning trained for another number of steps"
    return trainer


def _saved_start(base: Checkpoint | None, classifier: Classifier) -> Path | None:
    """The file with which Lightning begins a warm start."""
    if base is None:
        return None
    path = PROGRESS / "start.ckpt"
    torch.save(warm_start(base, classifier), path)
    return path


def _quieten() -> None:
    """Keep Lightning's remarks about itself and its surroundings from people who asked for none."""
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    # It deprecates its own way of calling torch, and knows of no loader but torch's.
    warnings.filterwarnings("ignore", module=r"lightning\..*")


if __name__ == "__main__":
    main("train", train)
