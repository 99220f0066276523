"""Whether an exported model says what the model says: of images, and of files by way of preprocess.py."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from pipeline.commands.serve.examples import save_examples
from pipeline.commands.serve.preprocessing import views
from pipeline.commands.serve.standalone import SCRIPT, run_script
from pipeline.errors import ExportError
from pipeline.images.pixels import Pixels
from pipeline.ingestion.refusals import Refusal
from pipeline.ingestion.scan import find
from pipeline.models.network import Spec
from pipeline.params import Ingest

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

INPUT, OUTPUTS = "images", ("logits", "probabilities")
# How far answers may be apart: to the same pixels, and to the same file.
TOLERANCE, FILE_TOLERANCE = 1e-4, 1e-3


def open_session(path: Path) -> "InferenceSession":
    """The ONNX file `path`, ready to run on the CPU."""
    import onnxruntime

    return onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])


def check_images(session: "InferenceSession", target: Path, network: nn.Module, images: Pixels) -> float:
    """The largest difference between what `session` and `network` make of `images`, in steps of two sizes.

    Raises:
        ExportError: it is too large; the message names `target`.
    """
    steps = [images[:1], images[1:]] if len(images) > 1 else [images]
    largest = max(_difference(session, step, network, step) for step in steps)
    if not largest <= TOLERANCE:  # Nor NaN.
        what = f"not written, since it differs from the model by {largest:.0e}"
        raise ExportError(target, what, "try other versions of torch and onnxruntime")
    return largest


def check_files(session: "InferenceSession", script: Path, network: nn.Module, ingest: Ingest, spec: Spec) -> None:
    """See that a file of each kind gets, by way of `script`, what `pipeline predict` says of it.

    Raises:
        ExportError: one does not, or the script fails.
    """
    with TemporaryDirectory() as folder:
        files = save_examples(Path(folder))
        made = run_script(script, files, Path(folder, "images.npy"))
        spots = [spot for file in files for spot in find(file)]
        seen = list(views(spots, ingest, spec, workers=1))
    for file, given, (_, wanted, _) in zip(files, made, seen, strict=True):
        assert not isinstance(wanted, Refusal), wanted
        difference = _difference(session, given[None], network, np.stack([wanted]))
        if not difference <= FILE_TOLERANCE:
            what = (
                f"not written, since {file.name} gets other answers than by `pipeline predict`: {difference:.0e} apart"
            )
            raise ExportError(SCRIPT, what, "try other versions of pillow and numpy")


def _difference(session: "InferenceSession", given: Pixels, network: nn.Module, wanted: Pixels) -> float:
    """The largest between what `session` answers to `given`, and `network` to `wanted`."""
    with torch.inference_mode():
        expected = network(torch.from_numpy(wanted))
    found = session.run(OUTPUTS, {INPUT: given})
    return max(how_far(one, other.numpy()) for one, other in zip(found, expected, strict=True))


def how_far(given: Any, wanted: Any) -> float:
    """The largest difference; relative where what is wanted is beyond 1, which no probability is."""
    return float((np.abs(given - wanted) / np.maximum(1, np.abs(wanted))).max())
