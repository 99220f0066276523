"""Lightning's trainer, set up, and what it demands of the devices."""

import logging
import warnings
from pathlib import Path

import lightning.pytorch as pl

from pipeline import paths
from pipeline.errors import ParamError
from pipeline.models.device import check_count, device
from pipeline.models.precision import precision_on
from pipeline.params import Params
from pipeline.training.callbacks import HeadFirst


def prepare(params: Params) -> None:
    """Look whether training can be as `params` say, and let Lightning say what people asked for, and no more.

    Raises:
        ParamError: the devices cannot compute so, or would have too few images in a step.
    """
    _check_devices(params)
    _quieten()


def trainer_of(params: Params, callbacks: list[pl.Callback], *, rounds: int, folder: Path) -> pl.Trainer:
    """Lightning's trainer, up to so many `rounds` since the cold start; what it writes goes to `folder`."""
    thaws = any(isinstance(callback, HeadFirst) for callback in callbacks)
    return pl.Trainer(
        accelerator=params.compute.accelerator,
        devices=params.compute.devices,
        num_nodes=params.compute.nodes,
        # DDP would wait for gradients of all that will train.
        strategy="ddp_find_unused_parameters_true" if thaws and devices_of(params) > 1 else params.compute.strategy,
        sync_batchnorm=device(params.compute).type == "cuda",  # Torch has it for no other.
        precision=precision_on(device(params.compute), params.train.precision),
        deterministic=params.train.deterministic,
        gradient_clip_val=params.train.clip_norm,
        accumulate_grad_batches=params.train.accumulate,
        max_epochs=rounds,
        default_root_dir=folder,
        callbacks=callbacks,
        logger=False,
        enable_checkpointing=False,
        enable_model_summary=False,
        enable_progress_bar=False,
        num_sanity_val_steps=0,
    )


def _check_devices(params: Params) -> None:
    """Look whether there are such devices, that can compute so, and have enough images in each step."""
    precision_on(device(params.compute), params.train.precision)
    check_count(params.compute)
    # Batches may be half as large as they may be.
    devices, parts, size = devices_of(params), params.train.accumulate, params.train.batch_size
    if size < 4 * devices * parts:
        places = [f"among {devices} devices"] * (devices > 1) + [f"in train.accumulate {parts} parts"] * (parts > 1)
        lower = ["compute.devices"] * (devices > 1) + ["train.accumulate"] * (parts > 1)
        what = f"train.batch_size {size} is too small to be shared out {' and '.join(places)}"
        raise ParamError(paths.PARAMS, what, f"make it {4 * devices * parts} or more, or lower {' or '.join(lower)}")


def devices_of(params: Params) -> int:
    """How many devices train together."""
    return params.compute.devices * params.compute.nodes


def _quieten() -> None:
    """Keep Lightning's remarks about itself and its surroundings from people who asked for none."""
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    # It deprecates its own way of calling torch, and knows of no loader but torch's.
    warnings.filterwarnings("ignore", module=r"lightning\..*")
