"""Export a model as a self-describing file, with a preprocess.py that converts image files to the model's input.

Both files are checked before they are put in place. The formats are ONNX, ONNX with 8-bit integers, and PyTorch's .pt2.
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
# Descriptions of the framings: how an image becomes a square.
FRAMED = {
    "fill": "scale to fill a square of {size} pixels and keep the middle, bilinear: ImageOps.fit of Pillow",
    "squash": "scale width and height to {size} pixels each, whatever they were, bilinear: resize of Pillow",
}


class Exported(NamedTuple):
    """Facts about an exported file that was checked."""

    size: int
    """Size of the file in bytes."""
    images: int
    """Number of images that the file was checked on."""
    difference: float
    """Largest difference between the file's and the model's outputs; relative for logits of a magnitude above 1."""
    measured: Measured | None = None
    """Accuracy of a quantised file; None for other formats, which do not change it."""


class WithProbabilities(nn.Module):
    """A network that returns logits and probabilities."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Map images, shape (n, channels, size, size), uint8, to logits and probabilities, (n, classes), float32."""
        logits = self.network(images)
        return logits, logits.softmax(1)


def export(model: Path, target: Path, params: Params, kind: str) -> Exported:
    """Export the model in the folder `model` to the file `target` in the format `kind`, and write preprocess.py.

    Neither file is written if anything fails.

    Raises:
        ExportError: a package is missing, the files do not reproduce the model's outputs, there are no images to check
            them on, or there is a preprocess.py that no export wrote.
        MissingDataError: there is no model, or the images to check it on are not available.
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
            expected = answers  # Quantised outputs differ from the model's; only the preprocessing is checked.
        script_aside.write_text(standalone.script_of(ingest, spec), encoding="utf-8")
        check_files(answers, script_aside, expected, ingest, spec)
        put(script_aside, script)
        put(aside, target)
    return Exported(target.stat().st_size, len(images), difference, measured)


def _written(path: Path, whole: nn.Module, spec: Spec, facts: dict[str, str], kind: str) -> Answers:
    """Write the file `path`, and return a function that runs it."""
    if kind == PT2:
        write_program(path, whole, spec, facts)
        return program_answers(path)
    write_onnx(path, whole, spec, facts)
    return onnx_answers(path)


def _quantised(
    path: Path, floats: Answers, spec: Spec, splits: Sequence[Dataset], facts: dict[str, str]
) -> tuple[Answers, Measured]:
    """Quantise the ONNX file `path`, and return a function that runs it, and its accuracy.

    `floats` runs the file as it was before.
    """
    training, test = splits
    count = quantise(path, training)
    answers = onnx_answers(path)
    measured = measure(answers, floats, test, spec, calibrated=count)
    describe_quantised(path, facts, measured)
    return answers, measured


def facts_of(model: Path, spec: Spec, network: Network, params: Params) -> dict[str, str]:
    """Return the file's metadata: text, or JSON for structured values."""
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
        # The graph contains these two steps.
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
    """Return at most `CHECKED` images, of the test split first, then val and train.

    Raises:
        ExportError: there are no manifests or no images.
    """
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
