"""data/environment.json: what decides, besides the recorded inputs, on the last bits of a model.

It is no part of the model, so that the same weights have the same hash wherever they come from.
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
    """What is running now: versions, the kind of processor, its number format, and how many work together."""
    kind, compute = device(params.compute), params.compute
    accelerator = torch.cuda.get_device_name() if kind.type == "cuda" else kind.type
    return {
        "python": platform.python_version(),
        "torch": str(torch.__version__),  # With its build, which the package's version lacks.
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
