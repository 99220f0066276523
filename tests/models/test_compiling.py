"""torch.compile runs once: the next process finds its result."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

from pipeline import paths

COMPILED = """
import json, torch
from torch._dynamo.utils import counters
from pipeline.models.compiling import compile_network

torch.manual_seed(0)
torch.use_deterministic_algorithms(True)
network = torch.nn.Sequential(torch.nn.Linear(8, 8), torch.nn.ReLU())
compile_network(network, deterministic=True)
network(torch.ones(4, 8)).sum().backward()
found = dict(counters["aot_autograd"])
print(json.dumps([found.get("autograd_cache_hit", 0), found.get("autograd_cache_miss", 0)]))
print(sum(float(weight.grad.double().abs().sum()) for weight in network.parameters()))
"""


def compiled(**env: str) -> tuple[list[int], str]:
    """Return how many graphs a new process found and compiled, and the network's output."""
    outside = {name: value for name, value in os.environ.items() if name != "TORCHINDUCTOR_CACHE_DIR"}
    here = {**outside, "PYTHONPATH": str(ROOT), **env}
    out = subprocess.run([sys.executable, "-c", COMPILED], env=here, check=True, stdout=subprocess.PIPE, text=True)
    counts, sums = out.stdout.splitlines()
    return json.loads(counts), sums


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a compiler")
def test_next_process_compiles_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The compiled code is kept in data/.compiled and gives the same bits; a user's own cache folder is respected."""
    monkeypatch.chdir(tmp_path)
    (first, made), (second, found) = compiled(), compiled()
    assert first == [0, 1]
    assert second == [1, 0]
    assert made == found
    assert list(paths.COMPILED.iterdir())
    shutil.rmtree(paths.COMPILED)
    assert compiled(TORCHINDUCTOR_CACHE_DIR=str(tmp_path / "own"))[0] == [0, 1]
    assert not paths.COMPILED.exists()
    assert list((tmp_path / "own").iterdir())
