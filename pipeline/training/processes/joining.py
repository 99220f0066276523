"""Join the processes of a distributed training that a launcher has started: torchrun, SLURM and others.

They meet before training begins, so that an error can name a missing process. Files that exist only on the first
process's disk are copied to the other machines.
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

# In the order in which Lightning checks them.
ENVIRONMENTS = (TorchElasticEnvironment, SLURMEnvironment, LSFEnvironment, MPIEnvironment)


def is_in_torchrun() -> bool:
    """Whether torchrun started this process."""
    return TorchElasticEnvironment.detect()


def is_first_process() -> bool:
    """Whether this is the first process (rank 0) of those that train together."""
    return getattr(rank_zero_only, "rank", 0) == 0


@contextmanager
def joined(params: Params) -> Iterator[None]:
    """Meet the other processes if a launcher has started them; inside the context, the end of one is detected.

    Raises:
        ParamError: the number of processes differs from `params`.
        TrainingError: a process does not arrive within `compute.timeout`, or has ended.
    """
    if INSIDE in os.environ:
        end_with_input()
    _join(params)
    try:
        yield
    except (dist.DistError, RuntimeError) as error:
        if not dist.is_initialized() or not (isinstance(error, dist.DistError) or "gloo" in str(error)):
            raise
        what = "another process of this training has ended"
        raise TrainingError(paths.PROGRESS, what, "see its output; `dvc repro` continues") from error


def spread(path: Path | None) -> Path | None:
    """Copy the file `path` of the first process to the disk of every machine; returns the first process's `path`."""
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
    """Copy the files and folders `outputs` of the first process to the disk of every machine."""
    if not dist.is_initialized():
        return
    files = _of_first(sorted(_files_in(outputs)))
    for path in files:
        spread(path)
    if _is_first_here():
        for path in _files_in(outputs) - set(files):
            path.unlink(missing_ok=True)  # Files of the previous model.


def check_inputs(inputs: str) -> None:
    """Check that all processes train on the same inputs, whose hash is `inputs`.

    Raises:
        TrainingError: the hashes differ.
    """
    if not dist.is_initialized():
        return
    first, *rest = _gathered(inputs)
    if others := [str(rank) for rank, its in enumerate(rest, 1) if its != first]:
        what = f"data, code or params of process {', '.join(others)} are not those of process 0"
        raise TrainingError(paths.PIPELINE, what, "check out one commit on all machines, and run `dvc repro manifest`")


def _environment() -> ClusterEnvironment | None:
    """Return the launcher that started this process as one of several; None if there is none, or it is Lightning."""
    found = next((kind for kind in ENVIRONMENTS if kind.detect()), None)
    return None if found is None else found()


def _join(params: Params) -> None:
    compute, started_by = params.compute, _environment()
    if started_by is None:
        if compute.nodes > 1:
            what = f"compute.nodes is {compute.nodes}, but this process was not started as one of several"
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
    # Torchrun itself may listen at this address, and may continue to do so when it restarts the processes.
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
    while not store.check(keys):  # PyTorch's own wait prints messages.
        if time.monotonic() > end:
            missing = ", ".join(str(one) for one in range(size) if not store.check([keys[one]]))
            what = f"process {missing} of {size} did not come within {seconds:g} s (compute.timeout)"
            raise TrainingError(f"{host}:{port}", what, "see its output, and whether it can reach this address")
        time.sleep(0.1)
    backend = "cpu:gloo,cuda:nccl" if device(params.compute).type == "cuda" else "gloo"
    dist.init_process_group(backend, store=PrefixStore(attempt, store), rank=rank, world_size=size)
    atexit.register(_part)


def _part() -> None:
    if dist.is_initialized():
        dist.destroy_process_group()


def _is_first_here() -> bool:
    """Whether this is the first process of its machine (local rank 0)."""
    started_by = _environment()
    return started_by is None or started_by.local_rank() == 0


def _files_in(outputs: Iterable[Path]) -> set[Path]:
    return {path for output in outputs for path in [output, *output.rglob("*")] if path.is_file()}


def _of_first(value: T) -> T:
    """Return the first process's `value` (broadcast)."""
    values = [value]
    dist.broadcast_object_list(values, src=0)
    return values[0]


def _gathered(value: T) -> list[T]:
    """Return the `value` of each process, in the order of their ranks."""
    values: list[T] = [value] * dist.get_world_size()
    dist.all_gather_object(values, value)
    return values
