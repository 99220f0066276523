"""A network as an ONNX file, which says of itself what it is told to."""

import logging
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import nn

from pipeline.commands.packages import need
from pipeline.commands.serve.checking import INPUT, OUTPUTS
from pipeline.errors import ExportError, one_line
from pipeline.models.network import Spec

if TYPE_CHECKING:
    from onnx import ModelProto

# What the extra `export` brings.
NEEDED = ("onnx", "onnxruntime", "onnxscript")
PACKAGE = "treering"
OPSET = 20
# Characters of what PyTorch says that are shown.
LONGEST = 200
EXPORTABLE = "write its forward without branches on the values of tensors, and for any number of images"


def check_packages() -> None:
    """See that what exporting needs is installed.

    Raises:
        ExportError: it is not.
    """
    need(NEEDED, NEEDED, "pipeline export", ExportError)


def write_onnx(path: Path, network: nn.Module, spec: Spec, facts: Mapping[str, str]) -> None:
    """Write `network`, which is that of `spec`, into the file `path`, which will say `facts`.

    Raises:
        ExportError: PyTorch cannot export it.
    """
    proto = proto_of(network, spec)
    describe(proto, facts)
    path.write_bytes(proto.SerializeToString(deterministic=True))


def proto_of(network: nn.Module, spec: Spec) -> "ModelProto":
    """What the ONNX file of `network`, which is that of `spec`, holds.

    Raises:
        ExportError: PyTorch cannot export it.
    """
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # It warns of packages that nothing here needs.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Of what its authors are about to change.
        try:
            program = torch.onnx.export(
                network,
                (example(spec),),
                input_names=[INPUT],
                output_names=OUTPUTS,
                opset_version=OPSET,
                dynamo=True,
                dynamic_shapes=({0: torch.export.Dim("batch")},),
                verbose=False,
            )
        except torch.onnx.OnnxExporterError as error:
            cause = one_line(error.__cause__ or error)[:LONGEST]
            raise ExportError(spec.model, f"PyTorch cannot export it ({cause})", EXPORTABLE) from error
    assert program is not None
    return program.model_proto


def describe(proto: "ModelProto", facts: Mapping[str, str]) -> None:
    """Let `proto` say `facts`, and no more of where it was made: PyTorch notes at each node the files of its code."""
    import onnx

    graph = proto.graph
    del graph.metadata_props[:]
    for part in (graph.node, graph.initializer, graph.value_info, graph.input, graph.output):
        for one in part:
            del one.metadata_props[:]
    del proto.metadata_props[:]
    onnx.helper.set_model_props(proto, dict(facts))
    proto.producer_name, proto.producer_version = PACKAGE, facts["treering"]


def example(spec: Spec) -> torch.Tensor:
    """Two images for the network of `spec`."""
    return torch.zeros((2, 1 if spec.mode == "grey" else 3, spec.source, spec.source), dtype=torch.uint8)
