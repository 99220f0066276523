"""data/environment.json: what determines the last bits of a model, apart from the recorded inputs.

It is not part of the model, so that equal weights have the same hash on every machine.
"""

import json
import platform
from importlib.metadata import version

import torch

from pipeline import paths
from pipeline.files import write_text
from pipeline.models.device import device
from pipeline.models.precision import precision_on
from pipeline.params import Params

PACKAGES = ("lightning", "numpy", "pillow", "schedulefree")
Environment = dict[str, str | int]


def environment(params: Params) -> Environment:
    """Return the current environment: versions, processor and accelerator, threads, devices and number format."""
    kind, compute = device(params.compute), params.compute
    accelerator = torch.cuda.get_device_name() if kind.type == "cuda" else kind.type
    return {
        "python": platform.python_version(),
        "torch": str(torch.__version__),  # Includes the build, unlike the version of the package.
        **{package: version(package) for package in PACKAGES},
        "system": f"{platform.system()} {platform.machine()}",
        "processor": torch.backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads(),
        "accelerator": accelerator,
        "devices": compute.devices * compute.nodes,
        "precision": precision_on(kind, params.train.precision),
    }


def write_environment(params: Params) -> None:
    """Write data/environment.json."""
    write_text(paths.ENVIRONMENT, json.dumps(environment(params), indent=2) + "\n")
