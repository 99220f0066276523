"""Processes that something else has started to train together: torchrun, SLURM and the like.

They meet before training begins, so that one that does not come is missed by name. What only the first one's disk
holds, the others are given.
"""

import atexit
import os
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

import torch.distributed as dist
from lightning.fabric.plugins.environments.cluster_environment import ClusterEnvironment
from lightning.fabric.plugins.environments.lsf import LSFEnvironment
from lightning.fabric.plugins.environments.mpi import MPIEnvironment
from lightning.fabric.plugins.environments.slurm import SLURMEnvironment
from lightning.fabric.plugins.environments.torchelastic import TorchElasticEnvironment
from lightning.pytorch.utilities import rank_zero_only
from torch.distributed import PrefixStore, TCPStore  # type: ignore[attr-defined]

from pipeline import paths
from pipeline.errors import ParamError, TrainingError
from pipeline.files import md5_of_file
from pipeline.models.device import device
from pipeline.params import Params
from pipeline.text import counted
from pipeline.training.processes.ray_actor import INSIDE, end_with_input

T = TypeVar("T")

# In the order in which Lightning looks for them.
ENVIRONMENTS = (TorchElasticEnvironment, SLURMEnvironment, LSFEnvironment, MPIEnvironment)


def is_in_torchrun() -> bool:
    """Whether torchrun started this process."""
    return TorchElasticEnvironment.detect()


def is_first_process() -> bool:
    """Whether no other process, of those that train together, comes before this one."""
    return getattr(rank_zero_only, "rank", 0) == 0


@contextmanager
def joined(params: Params) -> Iterator[None]:
    """Meet the other processes, if others start them; while this lasts, one that ends is noticed.

    Raises:
        ParamError: there are more or fewer than `params` say.
        TrainingError: one of them does not come within `compute.timeout`, or has ended.
    """
    if INSIDE in os.environ:
        end_with_input()
    _join(params)
    try:
        yield
    except (dist.DistError, RuntimeError) as error:
        if not dist.is_initialized() or not (isinstance(error, dist.DistError) or "gloo" in str(error)):
            raise
        what = "another process that trains together with this one has ended"
        raise TrainingError(paths.PROGRESS, what, "see what that one said; `dvc repro` continues") from error


def spread(path: Path | None) -> Path | None:
    """The file that the first process gives as `path`, None where it gives none: on every machine's disk afterwards."""
    if not dist.is_initialized():
        return path
    path = _of_first(path)
    if path is None:
        return None
    md5 = _of_first(md5_of_file(path) if is_first_process() else "")
    is_here = path.exists() and md5_of_file(path) == md5
    if all(_gathered(is_here)):
        return path
    content = _of_first(path.read_bytes() if is_first_process() else b"")
    if not is_here and _is_first_here():
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name("received")
        part.write_bytes(content)
        part.replace(path)
    dist.barrier()
    return path


def hand_out(*outputs: Path) -> None:
    """Put the files and folders `outputs` of the first process onto every machine's disk."""
    if not dist.is_initialized():
        return
    files = _of_first(sorted(_files_in(outputs)))
    for path in files:
        spread(path)
    if _is_first_here():
        for path in _files_in(outputs) - set(files):
            path.unlink(missing_ok=True)  # Of the model before.


def check_inputs(inputs: str) -> None:
    """See that all processes train on the same inputs, whose hash is `inputs`.

    Raises:
        TrainingError: they do not.
    """
    if not dist.is_initialized():
        return
    first, *rest = _gathered(inputs)
    if others := [str(rank) for rank, its in enumerate(rest, 1) if its != first]:
        what = f"data, code or params of process {', '.join(others)} are not those of process 0"
        raise TrainingError(paths.PIPELINE, what, "check out one commit on all machines, and run `dvc repro manifest`")


def _environment() -> ClusterEnvironment | None:
    """What started this process as one of several, None where nothing did, or Lightning."""
    found = next((kind for kind in ENVIRONMENTS if kind.detect()), None)
    return None if found is None else found()


def _join(params: Params) -> None:
    compute, started_by = params.compute, _environment()
    if started_by is None:
        if compute.nodes > 1:
            what = f"compute.nodes is {compute.nodes}, and nothing started this process as one of several"
            raise ParamError(
                paths.PARAMS, what, "set compute.launcher to torchrun or ray, or see docs/scale.md for SLURM"
            )
        return
    size, expected = started_by.world_size(), compute.devices * compute.nodes
    if size != expected:
        what = f"{counted(size, 'process', 'processes')} started, and compute.devices times compute.nodes is {expected}"
        raise ParamError(paths.PARAMS, what, "make them the same")
    if size > 1 and not dist.is_initialized():
        _meet(started_by, params)


def _meet(started_by: ClusterEnvironment, params: Params) -> None:
    host, port = started_by.main_address, started_by.main_port
    rank, size, seconds = started_by.global_rank(), started_by.world_size(), params.compute.timeout
    # Torchrun itself may listen there, and go on to when it starts them again.
    torchrun_listens = os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True"
    attempt = os.environ["TORCHELASTIC_RESTART_COUNT"] if torchrun_listens else "0"
    listens = rank == 0 and not torchrun_listens
    try:
        store = TCPStore(host, port, is_master=listens, timeout=timedelta(seconds=seconds), wait_for_workers=False)
    except dist.DistError as error:
        what = f"nothing answers within {seconds:g} s (compute.timeout)"
        raise TrainingError(f"{host}:{port}", what, "see whether process 0 runs, and can be reached") from error
    keys = [f"here/{attempt}/{one}" for one in range(size)]
    store.set(keys[rank], "")
    end = time.monotonic() + seconds
    while not store.check(keys):  # Torch's own way to wait prints what it sees.
        if time.monotonic() > end:
            missing = ", ".join(str(one) for one in range(size) if not store.check([keys[one]]))
            what = f"process {missing} of {size} did not come within {seconds:g} s (compute.timeout)"
            raise TrainingError(f"{host}:{port}", what, "see what it says, and whether it reaches this address")
        time.sleep(0.1)
    backend = "cpu:gloo,cuda:nccl" if device(params.compute).type == "cuda" else "gloo"
    dist.init_process_group(backend, store=PrefixStore(attempt, store), rank=rank, world_size=size)
    atexit.register(_part)


def _part() -> None:
    if dist.is_initialized():
        dist.destroy_process_group()


def _is_first_here() -> bool:
    """Whether this is the first process of its machine."""
    started_by = _environment()
    return started_by is None or started_by.local_rank() == 0


def _files_in(outputs: Iterable[Path]) -> set[Path]:
    return {path for output in outputs for path in [output, *output.rglob("*")] if path.is_file()}


def _of_first(value: T) -> T:
    """What the first process gives."""
    values = [value]
    dist.broadcast_object_list(values, src=0)
    return values[0]


def _gathered(value: T) -> list[T]:
    """What each process gives, in their order."""
    values: list[T] = [value] * dist.get_world_size()
    dist.all_gather_object(values, value)
    return values
