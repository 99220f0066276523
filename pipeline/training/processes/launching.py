"""Start the training processes of this machine by torchrun, which also restarts them if one is killed."""

import logging
import os
import socket
import sys
import time
import uuid
from contextlib import suppress

from torch.distributed.elastic.multiprocessing.api import SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.elastic.rendezvous.api import RendezvousError
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from pipeline import paths
from pipeline.errors import ParamError, TrainingError
from pipeline.handover.attempts import GRACE
from pipeline.params import Compute, Params
from pipeline.signals import INTERRUPTED
from pipeline.training.processes.ray_actor import INSIDE, end_with_input
from pipeline.training.processes.ray_machines import train_on_ray
from pipeline.training.trainer import prepare

COMMAND = ["-m", "pipeline", "run", "train"]
# Most restarts after a process was killed.
RESTARTS = 3
# Torchrun's run id, which machines that meet at one address must share.
RUN = "train"


def launch(params: Params) -> None:
    """Run training in the processes that `params` require, locally or on Ray's machines, and wait for its end.

    Raises:
        ParamError: there are several machines, but no address at which they meet.
        TrainingError: another machine does not arrive, or a process fails.
        SystemExit: training was interrupted; a process has printed the message.
    """
    compute = params.compute
    if compute.launcher == "ray" and INSIDE not in os.environ:
        train_on_ray(compute)
        return
    if INSIDE in os.environ:
        end_with_input()
    prepare(params)  # Reports errors once, instead of in each process.
    logging.getLogger("torch.distributed").setLevel(logging.CRITICAL)
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    # Gives process 0 its own port, a new one at each start, since machines count restarts differently.
    os.environ["TORCH_DISABLE_SHARE_RDZV_TCP_STORE"] = "1"
    if compute.nodes > 1:
        where = _meeting_point(compute)
        print(f"train: {compute.nodes} machines meet at {where}; process 0 prints the progress", flush=True)
        _wait_for(where, compute)
    # Torchrun restarts processes regardless of their exit status; only several machines need this.
    restarts = RESTARTS if compute.nodes == 1 else 0
    while True:
        try:
            elastic_launch(_config(compute), sys.executable)(*COMMAND)
        except SignalException:
            raise SystemExit(INTERRUPTED) from None
        except RendezvousError as error:
            raise _not_met(compute) from error
        except ChildFailedError as error:
            _check_killed(error, may_start_again=restarts > 0)
            restarts -= 1
        else:
            return


def _check_killed(error: ChildFailedError, *, may_start_again: bool) -> None:
    """Check that the processes ended with `error` because one was killed, and print a message.

    Raises:
        TrainingError: none was killed, or they may not start again.
        SystemExit: training was interrupted.
    """
    codes = {failure.exitcode for failure in error.failures.values()}
    if INTERRUPTED in codes:
        raise SystemExit(INTERRUPTED)
    rank, failure = min(error.failures.items(), key=lambda one: one[1].timestamp)
    code = failure.exitcode
    what = f"process {rank} was killed by signal {-code}" if code < 0 else f"process {rank} ended with status {code}"
    if not may_start_again or min(codes) >= 0:
        raise TrainingError(paths.PROGRESS, what, "see its output; `dvc repro` continues") from None
    print(f"train: {what}; starting again", flush=True)


def _wait_for(where: str, compute: Compute) -> None:
    """Wait until the machine at the address `where` listens, unless it is this machine.

    Torchrun would wait, too, but prints many messages meanwhile.

    Raises:
        TrainingError: the machine does not listen within `compute.timeout`.
    """
    host, _, port = where.rpartition(":")
    end = time.monotonic() + compute.timeout
    while not _is_of_this_machine(host):
        with suppress(OSError), socket.create_connection((host, int(port)), timeout=min(5.0, compute.timeout)):
            return
        if time.monotonic() > end:
            raise _not_met(compute)
        time.sleep(0.5)


def _is_of_this_machine(host: str) -> bool:
    try:
        socket.create_server((host, 0)).close()
    except OSError:
        return False
    return True


def _not_met(compute: Compute) -> TrainingError:
    what = f"{compute.nodes} machines did not meet in {compute.timeout:g} s (compute.timeout)"
    hint = "see whether `dvc repro` or `pipeline run train` runs on each, and reaches that address"
    return TrainingError(_meeting_point(compute), what, hint)


def _config(compute: Compute) -> LaunchConfig:
    alone, seconds = compute.nodes == 1, max(1, round(compute.timeout))
    # Without this, torchrun would guess from host names whether it is the host.
    listens = {"is_host": os.environ[INSIDE] == "0"} if INSIDE in os.environ and not alone else {}
    return LaunchConfig(
        min_nodes=compute.nodes,
        max_nodes=compute.nodes,
        nproc_per_node=compute.devices,
        run_id=uuid.uuid4().hex if alone else RUN,
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0" if alone else _meeting_point(compute),
        rdzv_configs={"join_timeout": seconds, "timeout": seconds, "read_timeout": seconds, **listens},
        max_restarts=0 if alone else RESTARTS,
        shutdown_timeout=round(GRACE) + 20,
    )


def _meeting_point(compute: Compute) -> str:
    """Return the address at which the machines meet, as HOST:PORT."""
    if compute.address and compute.launcher != "ray":
        return compute.address
    if "MASTER_ADDR" in os.environ:
        return f"{os.environ['MASTER_ADDR']}:{os.environ.get('MASTER_PORT', '29400')}"
    what = f"compute.nodes is {compute.nodes}, and compute.address does not say where they meet"
    raise ParamError(paths.PARAMS, what, "make it HOST:PORT of the first machine, or set MASTER_ADDR and MASTER_PORT")
