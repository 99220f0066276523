"""Write a network as an ONNX file with metadata."""

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

# The packages of the extra `export`.
NEEDED = ("onnx", "onnxruntime", "onnxscript")
PACKAGE = "treering"
OPSET = 20
# Maximum length of the shown part of an error message from PyTorch.
LONGEST = 200
EXPORTABLE = "write its forward without branches on the values of tensors, and for any number of images"


def check_packages() -> None:
    """Check that the packages for the export are installed.

    Raises:
        ExportError: a package is missing.
    """
    need(NEEDED, NEEDED, "pipeline export", ExportError)


def write_onnx(path: Path, network: nn.Module, spec: Spec, facts: Mapping[str, str]) -> None:
    """Write `network`, built from `spec`, to the ONNX file `path`, with `facts` as its metadata.

    Raises:
        ExportError: PyTorch cannot export the network.
    """
    proto = proto_of(network, spec)
    describe(proto, facts)
    path.write_bytes(proto.SerializeToString(deterministic=True))


def proto_of(network: nn.Module, spec: Spec) -> "ModelProto":
    """Export `network`, built from `spec`, to an ONNX model.

    Raises:
        ExportError: PyTorch cannot export the network.
    """
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # It warns about optional packages.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Deprecation warnings inside PyTorch's exporter.
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
    """Set the metadata of `proto` to `facts`; remove PyTorch's, which contains paths of source files at each node."""
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
    """Return two black images for the network of `spec`."""
    return torch.zeros((2, 1 if spec.mode == "grey" else 3, spec.source, spec.source), dtype=torch.uint8)
