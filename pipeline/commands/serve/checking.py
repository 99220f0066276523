"""Check that an exported model gives the model's outputs: for images, and for files that preprocess.py reads."""

from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import numpy.typing as npt
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

# Maps images of shape (n, channels, size, size) to logits and probabilities, both of shape (n, classes).
Answers = Callable[[Pixels], Sequence[npt.NDArray[np.float32]]]
INPUT, OUTPUTS = "images", ("logits", "probabilities")
# Largest allowed differences between outputs: for the same pixels, and for the same file.
TOLERANCE, FILE_TOLERANCE = 1e-4, 1e-3


def onnx_answers(path: Path) -> Answers:
    """Return a function that runs the ONNX file `path` on the CPU."""
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return lambda images: session.run(OUTPUTS, {INPUT: images})


def network_answers(network: nn.Module) -> Answers:
    """Return a function that runs `network`."""

    def answers(images: Pixels) -> list[npt.NDArray[np.float32]]:
        with torch.inference_mode():
            return [output.numpy() for output in network(torch.from_numpy(images))]

    return answers


def check_images(found: Answers, target: Path, expected: Answers, images: Pixels) -> float:
    """Return the largest difference between the outputs of `found` and `expected` for `images`.

    The images are run in batches of two sizes.

    Raises:
        ExportError: the difference is too large; the message names `target`.
    """
    steps = [images[:1], images[1:]] if len(images) > 1 else [images]
    largest = max(_difference(found(step), expected(step)) for step in steps)
    if not largest <= TOLERANCE:  # Also true for NaN.
        what = f"not written, since it differs from the model by {largest:.0e}"
        raise ExportError(target, what, "try other versions of torch and onnxruntime")
    return largest


def check_files(found: Answers, script: Path, expected: Answers, ingest: Ingest, spec: Spec) -> None:
    """Check `script` on a file of each kind: `found` on its output must agree with `expected` on `predict`'s pixels.

    Raises:
        ExportError: the outputs differ for a file, or the script fails.
    """
    with TemporaryDirectory() as folder:
        files = save_examples(Path(folder))
        made = run_script(script, files, Path(folder, "images.npy"))
        spots = [spot for file in files for spot in find(file)]
        seen = list(views(spots, ingest, spec, workers=1))
    for file, given, (_, wanted, _) in zip(files, made, seen, strict=True):
        assert not isinstance(wanted, Refusal), wanted
        difference = _difference(found(given[None]), expected(np.stack([wanted])))
        if not difference <= FILE_TOLERANCE:
            what = (
                f"not written, since {file.name} gets other answers than by `pipeline predict`: {difference:.0e} apart"
            )
            raise ExportError(SCRIPT, what, "try other versions of pillow and numpy")


def _difference(found: Sequence[Any], expected: Sequence[Any]) -> float:
    """Return the largest difference of logits and of probabilities."""
    return max(how_far(one, other) for one, other in zip(found, expected, strict=True))


def how_far(given: Any, wanted: Any) -> float:
    """Return the largest difference: absolute, but relative where the wanted value's magnitude is above 1."""
    return float((np.abs(given - wanted) / np.maximum(1, np.abs(wanted))).max())
