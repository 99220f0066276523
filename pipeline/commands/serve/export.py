"""A model as an ONNX file that says all about itself, and preprocess.py, which makes its input of image files.

Both are checked against the model before they are put in place.
"""

import json
import logging
import warnings
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from pipeline import paths
from pipeline.commands.packages import need
from pipeline.commands.serve import standalone
from pipeline.commands.serve.checking import INPUT, OUTPUTS, check_files, check_images, open_session
from pipeline.commands.serve.preprocessing import recorded_ingest
from pipeline.errors import ExportError, one_line
from pipeline.evaluation.inference import require
from pipeline.files import put
from pipeline.images.dataset import load, read_manifest
from pipeline.images.pixels import Pixels
from pipeline.lineage.lineage import read_lineage
from pipeline.models.checkpoint import read_network
from pipeline.models.network import Network, Spec
from pipeline.params import Params
from pipeline.versioning import hashing

if TYPE_CHECKING:
    from onnx import ModelProto


# What the extra `export` brings.
NEEDED = ("onnx", "onnxruntime", "onnxscript")
PACKAGE = "treering"
OPSET = 20
# Characters of what PyTorch says that are shown.
LONGEST = 200
CHECKED = 64
SPLITS = ("test", "val", "train")
# How an image becomes a square, in words.
FRAMED = {
    "fill": "scale to fill a square of {size} pixels and keep the middle, bilinear: ImageOps.fit of Pillow",
    "squash": "scale width and height to {size} pixels each, whatever they were, bilinear: resize of Pillow",
}


class Exported(NamedTuple):
    """A file that was written and checked."""

    size: int
    """In bytes."""
    images: int
    """How many images it was checked on."""
    difference: float
    """The largest between its outputs and the model's: of probabilities absolute, of logits beyond 1 relative."""


class WithProbabilities(nn.Module):
    """Gives logits, and probabilities."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Images of shape (n, channels, size, size), uint8, to both, each of shape (n, classes), float32."""
        logits = self.network(images)
        return logits, logits.softmax(1)


def export(model: Path, target: Path, params: Params) -> Exported:
    """Write the model in the folder `model` to the ONNX file `target`, and preprocess.py; neither if anything fails.

    The ONNX file takes `images`, uint8 of shape (any number, channels, source, source), and gives `logits` and
    `probabilities`, float32 of shape (the same number, classes); what the network does not see is cut off in it. The
    same model and versions of the packages give the same bytes.

    Raises:
        ExportError: a package is missing, the files do not do what is done here, there is nothing to check that on, or
            a preprocess.py is there that no export wrote.
        MissingDataError: there is no model, or the images to check it on are nowhere to be had.
        CheckpointError: the model is damaged.
    """
    require(model)
    check_packages()
    network, spec = read_network(model)
    images = _images(spec, params)
    whole = WithProbabilities(network).eval()
    proto = proto_of(whole, spec)
    _describe(proto, facts_of(model, spec, network, params))
    target.parent.mkdir(parents=True, exist_ok=True)
    script, ingest = target.with_name(standalone.SCRIPT), recorded_ingest(params, mode=spec.mode)
    standalone.check_place(script)
    with TemporaryDirectory(prefix=".export-", dir=target.parent) as folder:
        aside, script_aside = (Path(folder, path.name) for path in (target, script))
        aside.write_bytes(proto.SerializeToString(deterministic=True))
        script_aside.write_text(standalone.script_of(ingest, spec), encoding="utf-8")
        session = open_session(aside)
        difference = check_images(session, target, whole, images)
        check_files(session, script_aside, whole, ingest, spec)
        put(script_aside, script)
        put(aside, target)
    return Exported(target.stat().st_size, len(images), difference)


def facts_of(model: Path, spec: Spec, network: Network, params: Params) -> dict[str, str]:
    """What the file says of itself: text, or JSON of what is more than that."""
    ingest = recorded_ingest(params, mode=spec.mode)
    preprocessing = {
        "layout": "NCHW",
        "dtype": "uint8",
        "colour": "grey" if spec.mode == "grey" else "sRGB, in the order red, green, blue",
        "size": spec.source,
        "steps": [
            f"make 8 bits of more, with black and white by {ingest.range}",
            "turn upright as EXIF says, convert to that colour, put on white what is transparent",
            f"if the shorter side is longer than {ingest.size}, scale it to that, bicubic",
            FRAMED[spec.framing].format(size=spec.source),
        ],
        # Both are in the graph already.
        "center_crop": spec.size,
        "normalisation": {name: [value.item() for value in network.get_buffer(name)] for name in ("mean", "std")},
    }
    return {
        "classes": json.dumps(spec.classes, ensure_ascii=False),
        "preprocessing": json.dumps(preprocessing, ensure_ascii=False),
        "lineage": read_lineage(model).model_dump_json(),
        "network": spec.model,
        "model": hashing.directory_hash(model) or "",
        "treering": _version(),
    }


def _version() -> str:
    try:
        return version(PACKAGE)
    except PackageNotFoundError:  # `python -m pipeline` needs no installation.
        return ""


def check_packages() -> None:
    """See that what exporting needs is installed.

    Raises:
        ExportError: it is not.
    """
    need(NEEDED, NEEDED, "pipeline export", ExportError)


def _images(spec: Spec, params: Params) -> Pixels:
    """Images to check with, of the test split where it has enough; none at all is an error."""
    try:
        manifest = pd.concat([read_manifest(split) for split in SPLITS])[:CHECKED]
    except FileNotFoundError:
        hint = f"run `dvc pull {paths.MANIFEST / 'test.csv'}` and the like, or `dvc repro`"
        raise ExportError(paths.MANIFEST, "no manifests, so no images to check the file on", hint) from None
    if not len(manifest):
        raise ExportError(paths.MANIFEST, "no images to check the file on", "run `dvc repro`")
    images = load(manifest, mode=spec.mode, size=spec.source, framing=spec.framing, compute=params.compute).images
    (batch,) = images.batches([np.arange(len(images))])
    return batch


def proto_of(network: nn.Module, spec: Spec) -> "ModelProto":
    """What the ONNX file of `network`, which is that of `spec`, holds.

    Raises:
        ExportError: PyTorch cannot export it.
    """
    example = torch.zeros((2, 1 if spec.mode == "grey" else 3, spec.source, spec.source), dtype=torch.uint8)
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # It warns of packages that nothing here needs.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Of what its authors are about to change.
        try:
            program = torch.onnx.export(
                network,
                (example,),
                input_names=[INPUT],
                output_names=OUTPUTS,
                opset_version=OPSET,
                dynamo=True,
                dynamic_shapes=({0: torch.export.Dim("batch")},),
                verbose=False,
            )
        except torch.onnx.OnnxExporterError as error:
            cause = one_line(error.__cause__ or error)[:LONGEST]
            hint = "write its forward without branches on the values of tensors, and for any number of images"
            raise ExportError(spec.model, f"PyTorch cannot export it ({cause})", hint) from error
    assert program is not None
    return program.model_proto


def _describe(proto: "ModelProto", facts: dict[str, str]) -> None:
    """Let `proto` say `facts`, and no more of where it was made: PyTorch notes at each node the files of its code."""
    import onnx

    graph = proto.graph
    del graph.metadata_props[:]
    for part in (graph.node, graph.initializer, graph.value_info, graph.input, graph.output):
        for one in part:
            del one.metadata_props[:]
    onnx.helper.set_model_props(proto, facts)
    proto.producer_name, proto.producer_version = PACKAGE, facts["treering"]
