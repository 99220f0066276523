"""Requirements of processes that train together are checked before waiting, and files are shared."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT
from support.tiny import tiny_params

from pipeline.errors import ParamError
from pipeline.params import read_params

# Importing Lightning takes seconds: tests import it when they run, and share a worker process.
pytestmark = pytest.mark.xdist_group("lightning")
RANKS = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "TORCHELASTIC_RUN_ID", "SLURM_NTASKS", "MASTER_ADDR", "MASTER_PORT")


@pytest.fixture(autouse=True)
def _alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make an empty project, without the environment of a launcher."""
    monkeypatch.chdir(tmp_path)
    for name in RANKS:
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("compute", "said"),
    [
        ({"nodes": 2}, "compute.nodes is 2, but this process was not started as one of several; set compute.launcher"),
        ({"nodes": 2, "launcher": "torchrun"}, "compute.nodes is 2, and compute.address does not say where they meet"),
        ({"nodes": 2, "launcher": "torchrun", "address": "here"}, "compute.address is 'here'; it should be HOST:PORT"),
        ({"launcher": "slurm"}, "compute.launcher"),
        ({"timeout": 0.0}, "compute.timeout"),
        ({"launcher": "torchrun", "devices": 9}, "train.batch_size 8 is too small to be shared out among 9 devices"),
    ],
)
def test_what_is_missing_is_said(compute: dict[str, Any], said: str) -> None:
    """Missing requirements are errors before anything waits."""
    from pipeline.train import train

    with pytest.raises(ParamError) as raised:
        train(tiny_params(train={"batch_size": 8}, compute=compute))
    assert said in str(raised.value)


def test_another_number_of_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    """A number of processes other than in params.yaml, started by torchrun, is an error."""
    from pipeline.train import train

    tiny_params(train={"batch_size": 8})
    for name, value in {"TORCHELASTIC_RUN_ID": "1", "RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "2"}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ParamError, match=r"^params.yaml: 2 processes started, and compute.devices times"):
        train(read_params())


SCRIPT = """
import os, sys
from pathlib import Path
import torch.distributed as dist
from pipeline.training.processes.joining import spread, hand_out

rank = int(sys.argv[1])
os.environ.update(RANK=str(rank), LOCAL_RANK="0", WORLD_SIZE="2", TORCHELASTIC_RUN_ID="1")
from lightning.pytorch.utilities import rank_zero_only
rank_zero_only.rank = rank
dist.init_process_group("gloo", init_method="file://" + str(Path("meeting").absolute()), rank=rank, world_size=2)
for folder in sys.argv[2:]:
    os.chdir(folder)
    file = Path("state")
    print(spread(file if rank == 0 else None), file.read_bytes())
    print(spread(None))
    hand_out(Path("model"), Path("environment"))
    print(sorted((str(path), path.read_text()) for path in Path().rglob("*") if path.is_file()))
    dist.barrier()
"""


def test_files_reach_the_other_disk(tmp_path: Path) -> None:
    """All processes get the first one's files, and folders contain nothing else."""
    cases = ("lacks it", "has another one", "has it", "one disk")
    disks = [[tmp_path / how / ("0" if how == "one disk" else str(rank)) for how in cases] for rank in range(2)]
    for how, first, second in zip(cases, *disks, strict=True):
        for folder in (first, second):
            (folder / "model/deep").mkdir(parents=True, exist_ok=True)
        (first / "state").write_text("the state")
        (first / "model/deep/weights").write_text("weights")
        (first / "environment").write_text("here")
        if how == "has another one":
            (second / "state").write_text("an old state")
            (second / "model/of-before").write_text("old")
        if how == "has it":
            (second / "state").write_text("the state")
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", SCRIPT, str(rank), *map(str, folders)],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank, folders in enumerate(disks)
    ]
    outs = [process.communicate(timeout=100) for process in processes]
    files = [("environment", "here"), ("model/deep/weights", "weights"), ("state", "the state")]
    expected = f"state b'the state'\nNone\n{files}\n"
    for out, error in outs:
        assert out == expected * len(cases), f"{cases}: {out}{error}"
