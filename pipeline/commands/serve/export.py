"""A model as a file that says all about itself, and preprocess.py, which makes its input of image files.

Both are checked before they are put in place. There are three formats: ONNX, ONNX of 8-bit integers, and PyTorch's own.
"""

import json
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import numpy as np
import pandas as pd
from torch import Tensor, nn

from pipeline import paths
from pipeline.commands.serve import standalone
from pipeline.commands.serve.checking import Answers, check_files, check_images, network_answers, onnx_answers
from pipeline.commands.serve.formats import FORMATS, INT8, PT2
from pipeline.commands.serve.onnx_file import PACKAGE, check_packages, write_onnx
from pipeline.commands.serve.preprocessing import recorded_ingest
from pipeline.commands.serve.program_file import program_answers, write_program
from pipeline.commands.serve.quantising import Measured, describe_quantised, load_split, measure, quantise
from pipeline.errors import ExportError
from pipeline.evaluation.inference import require
from pipeline.files import put
from pipeline.images.dataset import Dataset, load, read_manifest
from pipeline.images.pixels import Pixels
from pipeline.lineage.lineage import read_lineage
from pipeline.models.checkpoint import read_network
from pipeline.models.network import Network, Spec
from pipeline.params import Params
from pipeline.versioning import hashing

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
    measured: Measured | None = None
    """What became of the accuracy, where that may have changed."""


class WithProbabilities(nn.Module):
    """Gives logits, and probabilities."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Images of shape (n, channels, size, size), uint8, to both, each of shape (n, classes), float32."""
        logits = self.network(images)
        return logits, logits.softmax(1)


def export(model: Path, target: Path, params: Params, kind: str) -> Exported:
    """Write the model in the folder `model` to the file `target`, of the format `kind`, and preprocess.py.

    Neither is written if anything fails.

    Raises:
        ExportError: a package is missing, the files do not do what is done here, there is nothing to check that on, or
            a preprocess.py is there that no export wrote.
        MissingDataError: there is no model, or the images to check it on are nowhere to be had.
        CheckpointError: the model is damaged.
    """
    require(model)
    if kind != PT2:
        check_packages()
    network, spec = read_network(model)
    images = _images(spec, params)
    splits = [load_split(name, spec, params) for name in ("train", "test")] if kind == INT8 else []
    facts = facts_of(model, spec, network, params)
    target.parent.mkdir(parents=True, exist_ok=True)
    script, ingest = target.with_name(standalone.SCRIPT), recorded_ingest(params, mode=spec.mode)
    standalone.check_place(script)
    with TemporaryDirectory(prefix=".export-", dir=target.parent) as folder:
        aside, script_aside = (Path(folder, name) for name in (f"model{FORMATS[kind]}", script.name))
        whole = WithProbabilities(network).eval()
        answers, expected = _written(aside, whole, spec, facts, kind), network_answers(whole)
        difference = check_images(answers, target, expected, images)
        measured = None
        if kind == INT8:
            answers, measured = _quantised(aside, answers, spec, splits, facts)
            expected = answers  # Of the same pixels, that is all there is to see.
        script_aside.write_text(standalone.script_of(ingest, spec), encoding="utf-8")
        check_files(answers, script_aside, expected, ingest, spec)
        put(script_aside, script)
        put(aside, target)
    return Exported(target.stat().st_size, len(images), difference, measured)


def _written(path: Path, whole: nn.Module, spec: Spec, facts: dict[str, str], kind: str) -> Answers:
    """Write the file `path`; returns what it answers."""
    if kind == PT2:
        write_program(path, whole, spec, facts)
        return program_answers(path)
    write_onnx(path, whole, spec, facts)
    return onnx_answers(path)


def _quantised(
    path: Path, floats: Answers, spec: Spec, splits: Sequence[Dataset], facts: dict[str, str]
) -> tuple[Answers, Measured]:
    """Quantise the ONNX file `path`, which answers `floats`; returns what it answers then, and how good that is."""
    training, test = splits
    count = quantise(path, training)
    answers = onnx_answers(path)
    measured = measure(answers, floats, test, spec, calibrated=count)
    describe_quantised(path, facts, measured)
    return answers, measured


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
