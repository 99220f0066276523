"""data/environment.json records the environment of a training, without place and time."""

import json
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import ROOT

from pipeline import paths
from pipeline.params import Params, read_params
from pipeline.training.environment import environment, write_environment


def test_says_what_decides_on_bits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has versions, processor and threads, and neither host, paths nor time, so that it is reproducible."""
    params = on_cpu()
    monkeypatch.chdir(tmp_path)
    write_environment(params)
    first = paths.ENVIRONMENT.read_bytes()
    said = json.loads(first)
    assert said["torch"] == torch.__version__
    assert said["python"] == platform.python_version()
    assert said["threads"] == torch.get_num_threads()
    assert said["accelerator"] == "cpu"
    assert platform.node() not in first.decode()
    assert str(tmp_path) not in first.decode()
    paths.ENVIRONMENT.unlink()
    write_environment(params)
    assert paths.ENVIRONMENT.read_bytes() == first
    assert said["precision"] == "32-true"
    assert environment(on_cpu(devices=2))["devices"] == 2


def on_cpu(**compute: Any) -> Params:
    """Return the params of a training on the CPU."""
    params = read_params(ROOT / "params.yaml")
    return params.model_copy(update={"compute": params.compute.model_copy(update={"accelerator": "cpu", **compute})})


def test_says_which_number_format_auto_was() -> None:
    """It records which number format `auto` was."""
    params = on_cpu()
    for asked, used in (("auto", "32-true"), ("bf16-mixed", "bf16-mixed")):
        train = params.train.model_copy(update={"precision": asked})
        assert environment(params.model_copy(update={"train": train}))["precision"] == used


STEPS = """
import hashlib, os, torch
from pipeline.models.network import Spec, build

torch.manual_seed(0)
network = build(Spec(model="small", size=32, mode="rgb", classes=("a", "b")))
images = torch.randint(0, 256, (48, 3, 32, 32), dtype=torch.uint8)
for _ in range(3):
    network(images).logsumexp(1).mean().backward()
    with torch.no_grad():  # An optimizer of torch.optim imports the compiler, which takes seconds.
        for weights in network.parameters():
            weights -= 0.01 * weights.grad
weights = b"".join(value.numpy().tobytes() for value in network.state_dict().values())
print(os.environ["THP_MEM_ALLOC_ENABLE"], hashlib.md5(weights).hexdigest())
"""


def test_large_pages_change_no_bit() -> None:
    """Large pages are enabled unless the user disabled them, and do not affect the recorded environment."""
    env = {name: value for name, value in os.environ.items() if name != "THP_MEM_ALLOC_ENABLE"}
    said = []
    for chosen in ({}, {"THP_MEM_ALLOC_ENABLE": "0"}):
        ran = subprocess.run(
            [sys.executable, "-c", STEPS], env={**env, **chosen}, cwd=ROOT, check=True, capture_output=True, text=True
        )
        said.append(ran.stdout.split())
    (pages, weights), (no_pages, same) = said
    assert (pages, no_pages) == ("1", "0")
    assert weights == same
