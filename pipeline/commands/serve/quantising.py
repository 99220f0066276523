"""Quantise an ONNX file to 8-bit integers, and measure its accuracy on the test images.

The file is smaller, and faster on processors with 8-bit instructions.
"""

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

# Maximum number of training images for calibration.
CALIBRATED = 512
# Images in one batch.
STEP = 64
# Operators with weights; all others stay in floats.
OPERATORS = ["Conv", "Gemm", "MatMul"]


class Measured(NamedTuple):
    """Accuracy of the quantised model against the float model, on the test images."""

    accuracy: float
    floats: float
    """Accuracy of the float model."""
    agreement: float
    """Share of the images for which both models predict the same class."""
    images: int
    calibrated: int
    """Number of training images used for calibration."""


def load_split(name: str, spec: Spec, params: Params) -> Dataset:
    """Load the images of the split `name` as input of the network of `spec`.

    Raises:
        ExportError: the split has no images.
        MissingDataError: the images are not available.
    """
    path = paths.MANIFEST / f"{name}.csv"
    if not path.exists() or not len(manifest := read_manifest(name)):
        what = f"no {name} images, by which 8-bit integers are {'chosen' if name == 'train' else 'measured'}"
        raise ExportError(path, what, "run `dvc pull` or `dvc repro`, or choose --format onnx")
    return load(manifest, mode=spec.mode, size=spec.source, framing=spec.framing, compute=params.compute)


def quantise(path: Path, training: Dataset) -> int:
    """Quantise the weights and activations of the ONNX file `path`, and return the number of calibration images."""
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    # The images are sorted by hash, so that the first ones are a random sample.
    rows = np.arange(min(CALIBRATED, len(training)))

    class Reader(CalibrationDataReader):  # type: ignore[misc]  # The package has no type hints.
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
    """Compare the predictions of `integers` and `floats` on the images of `test`."""
    classes = np.array(spec.classes)
    found = [
        [classes[answers(batch)[1].argmax(1)] for answers in (integers, floats)]
        for batch in _batches(test, np.arange(len(test)))
    ]
    by_integers, by_floats = (np.concatenate(parts) for parts in zip(*found, strict=True))
    right, right_before = (float((labels == test.labels).mean()) for labels in (by_integers, by_floats))
    return Measured(right, right_before, float((by_integers == by_floats).mean()), len(test), calibrated)


def describe_quantised(path: Path, facts: dict[str, str], measured: Measured) -> None:
    """Write `facts` and the values `measured` to the metadata of the ONNX file `path`."""
    import onnx

    from pipeline.commands.serve.onnx_file import describe

    proto = onnx.load(path)
    describe(proto, {**facts, "quantised": json.dumps(measured._asdict())})
    path.write_bytes(proto.SerializeToString(deterministic=True))


def _batches(dataset: Dataset, rows: "np.ndarray[tuple[int], np.dtype[np.intp]]") -> Iterator[Pixels]:
    steps = [rows[start : start + STEP] for start in range(0, len(rows), STEP)]
    yield from dataset.images.batches(steps)
