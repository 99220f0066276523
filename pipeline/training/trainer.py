"""Set up Lightning's trainer, and check the devices for it."""

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
    """Check that the devices can train as `params` require, and silence Lightning's own messages.

    Raises:
        ParamError: the devices do not support the params, or would have too few images per step.
    """
    _check_devices(params)
    _quieten()


def trainer_of(params: Params, callbacks: list[pl.Callback], *, rounds: int, folder: Path) -> pl.Trainer:
    """Build Lightning's trainer, which trains up to `rounds` rounds since the cold start and writes to `folder`."""
    thaws = any(isinstance(callback, HeadFirst) for callback in callbacks)
    return pl.Trainer(
        accelerator=params.compute.accelerator,
        devices=params.compute.devices,
        num_nodes=params.compute.nodes,
        # By default DDP waits for gradients of all weights, also of those that are frozen at first.
        strategy="ddp_find_unused_parameters_true" if thaws and devices_of(params) > 1 else params.compute.strategy,
        sync_batchnorm=device(params.compute).type == "cuda",  # PyTorch supports it on CUDA only.
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
    """Check that the devices exist, support the precision, and get enough images in each step."""
    precision_on(device(params.compute), params.train.precision)
    check_count(params.compute)
    # The equal batches of a training may be as small as half of `train.batch_size`.
    devices, parts, size = devices_of(params), params.train.accumulate, params.train.batch_size
    if size < 4 * devices * parts:
        places = [f"among {devices} devices"] * (devices > 1) + [f"in train.accumulate {parts} parts"] * (parts > 1)
        lower = ["compute.devices"] * (devices > 1) + ["train.accumulate"] * (parts > 1)
        what = f"train.batch_size {size} is too small to be shared out {' and '.join(places)}"
        raise ParamError(paths.PARAMS, what, f"make it {4 * devices * parts} or more, or lower {' or '.join(lower)}")


def devices_of(params: Params) -> int:
    """Return the number of devices that train together."""
    return params.compute.devices * params.compute.nodes


def _quieten() -> None:
    """Silence messages of Lightning that do not help the user."""
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    # Lightning warns of deprecated calls in its own code, and of data loaders that are not PyTorch's.
    warnings.filterwarnings("ignore", module=r"lightning\..*")
