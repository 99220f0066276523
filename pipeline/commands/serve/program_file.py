"""Write a network as a PyTorch export file, `.pt2`, which loads without this package or the network's code."""

import warnings
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import fx, nn

from pipeline.commands.serve.checking import Answers, network_answers
from pipeline.commands.serve.onnx_file import EXPORTABLE, LONGEST, example
from pipeline.errors import ExportError, one_line
from pipeline.models.network import Spec


def write_program(path: Path, network: nn.Module, spec: Spec, facts: Mapping[str, str]) -> None:
    """Write `network`, built from `spec`, to the file `path`, with `facts` as extra files.

    Raises:
        ExportError: PyTorch cannot export the network.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Deprecation warnings inside PyTorch's exporter.
        try:
            shapes = ({0: torch.export.Dim("batch")},)
            program = torch.export.export(network, (example(spec),), dynamic_shapes=shapes)
        except Exception as error:
            cause = one_line(error)[:LONGEST]
            raise ExportError(spec.model, f"PyTorch cannot export it ({cause})", EXPORTABLE) from error
        for module in program.graph_module.modules():
            for node in module.graph.nodes if isinstance(module, fx.GraphModule) else ():
                node.meta.pop("stack_trace", None)  # It contains paths of this machine.
        torch.export.save(program, path, extra_files=dict(facts))


def program_answers(path: Path) -> Answers:
    """Return a function that runs the file `path` on the CPU."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return network_answers(torch.export.load(path).module())
