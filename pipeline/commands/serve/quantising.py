"""An ONNX file of 8-bit integers: smaller, faster where processors have them, and measured on the test images."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from pipeline import paths
from pipeline.commands.serve.checking import INPUT, Answers
from pipeline.errors import ExportError
from pipeline.images.dataset import Dataset, load, read_manifest
from pipeline.images.pixels import Pixels
from pipeline.models.network import Spec
from pipeline.params import Params

# Training images that say which values occur in the network.
CALIBRATED = 512
# Images in one step.
STEP = 64
# What has weights; all else stays in floats.
OPERATORS = ["Conv", "Gemm", "MatMul"]


class Measured(NamedTuple):
    """How good the integers are, against the floats, on the test images."""

    accuracy: float
    floats: float
    """The accuracy of the floats."""
    agreement: float
    """Share of the images to which both give the same class."""
    images: int
    calibrated: int
    """By how many training images."""


def load_split(name: str, spec: Spec, params: Params) -> Dataset:
    """The images of a split as the network of `spec` sees them.

    Raises:
        ExportError: there are none.
        MissingDataError: they are nowhere to be had.
    """
    path = paths.MANIFEST / f"{name}.csv"
    if not path.exists() or not len(manifest := read_manifest(name)):
        what = f"no {name} images, by which 8-bit integers are {'chosen' if name == 'train' else 'measured'}"
        raise ExportError(path, what, "run `dvc pull` or `dvc repro`, or choose --format onnx")
    return load(manifest, mode=spec.mode, size=spec.source, framing=spec.framing, compute=params.compute)


def quantise(path: Path, training: Dataset) -> int:
    """Make integers of the weights and values in the ONNX file `path`; returns by how many images of `training`."""
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    # Sorted by hash, so that the first are drawn from all.
    rows = np.arange(min(CALIBRATED, len(training)))

    class Reader(CalibrationDataReader):  # type: ignore[misc]  # Of a package that has no types.
        def __init__(self) -> None:
            self._batches = _batches(training, rows)

        def get_next(self) -> dict[str, Pixels] | None:
            batch = next(self._batches, None)
            return None if batch is None else {INPUT: batch}

    prepared = path.with_name("prepared.onnx")
    quant_pre_process(path, prepared, skip_symbolic_shape=True)
    quantize_static(
        prepared,
        path,
        Reader(),
        quant_format=QuantFormat.QDQ,
        op_types_to_quantize=OPERATORS,
        per_channel=True,
        activation_type=QuantType.QInt8,
        weight_type=QuantType.QInt8,
    )
    return len(rows)


def measure(integers: Answers, floats: Answers, test: Dataset, spec: Spec, *, calibrated: int) -> Measured:
    """What both make of the images of `test`."""
    classes = np.array(spec.classes)
    found = [
        [classes[answers(batch)[1].argmax(1)] for answers in (integers, floats)]
        for batch in _batches(test, np.arange(len(test)))
    ]
    by_integers, by_floats = (np.concatenate(parts) for parts in zip(*found, strict=True))
    right, right_before = (float((labels == test.labels).mean()) for labels in (by_integers, by_floats))
    return Measured(right, right_before, float((by_integers == by_floats).mean()), len(test), calibrated)


def describe_quantised(path: Path, facts: dict[str, str], measured: Measured) -> None:
    """Let the ONNX file `path` say `facts`, and what was `measured`."""
    import onnx

    from pipeline.commands.serve.onnx_file import describe

    proto = onnx.load(path)
    describe(proto, {**facts, "quantised": json.dumps(measured._asdict())})
    path.write_bytes(proto.SerializeToString(deterministic=True))


def _batches(dataset: Dataset, rows: "np.ndarray[tuple[int], np.dtype[np.intp]]") -> Iterator[Pixels]:
    steps = [rows[start : start + STEP] for start in range(0, len(rows), STEP)]
    yield from dataset.images.batches(steps)
