"""The scheduler examples in docs/clusters/ match this project."""

import re
import subprocess
from typing import Any

import pytest
from conftest import ROOT
from ruamel.yaml import YAML

CLUSTERS = ROOT / "docs/clusters"


def read(name: str) -> Any:
    """Return one of the YAML files, parsed."""
    return YAML(typ="safe").load(CLUSTERS / name)


@pytest.mark.parametrize("script", ["slurm.sh", "skypilot.yaml", "kuberay.yaml"])
def test_shell_can_read_it(script: str) -> None:
    """Every script has valid shell syntax, and runs this project's stages."""
    kuberay = read("kuberay.yaml")["spec"]["entrypoint"]
    text = {"skypilot.yaml": read("skypilot.yaml")["run"], "kuberay.yaml": kuberay}.get(script)
    text = text or (CLUSTERS / script).read_text(encoding="utf-8")
    subprocess.run(["bash", "-n"], input=text, text=True, check=True)
    assert "dvc repro" in text


def test_as_many_machines_as_params_are_told() -> None:
    """The comment at the top of each file names params that match the resources that it requests."""
    sky, ray = read("skypilot.yaml"), read("kuberay.yaml")["spec"]["rayClusterSpec"]
    (workers,) = ray["workerGroupSpecs"]
    (machine,) = workers["template"]["spec"]["containers"]
    slurm = (CLUSTERS / "slurm.sh").read_text(encoding="utf-8")
    asked = {
        "skypilot.yaml": (int(sky["resources"]["accelerators"].rpartition(":")[2]), sky["num_nodes"]),
        "kuberay.yaml": (int(machine["resources"]["limits"]["nvidia.com/gpu"]), workers["replicas"]),
        "slurm.sh": tuple(int(n) for n in re.findall(r"--(?:ntasks-per-node|nodes)=(\d+)", slurm)[1::-1]),
    }
    for name, (devices, nodes) in asked.items():
        comment = (CLUSTERS / name).read_text(encoding="utf-8")
        assert re.search(rf"devices {devices}, nodes {nodes}", comment), name


def test_kuberay_runs_the_ray_that_is_tested() -> None:
    """The KubeRay file and the pinned requirements have the same version of Ray."""
    pinned = re.search(r"^ray==(\S+)", (ROOT / "requirements-dev.txt").read_text(encoding="utf-8"), re.MULTILINE)
    assert pinned is not None
    assert read("kuberay.yaml")["spec"]["rayClusterSpec"]["rayVersion"] == pinned[1]
