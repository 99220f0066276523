"""Whether an exported model says what the model says: of images, and of files by way of preprocess.py."""

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

# Makes logits and probabilities of images of shape (n, channels, size, size), both of shape (n, classes).
Answers = Callable[[Pixels], Sequence[npt.NDArray[np.float32]]]
INPUT, OUTPUTS = "images", ("logits", "probabilities")
# How far answers may be apart: to the same pixels, and to the same file.
TOLERANCE, FILE_TOLERANCE = 1e-4, 1e-3


def onnx_answers(path: Path) -> Answers:
    """What the ONNX file `path` answers, on the CPU."""
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return lambda images: session.run(OUTPUTS, {INPUT: images})


def network_answers(network: nn.Module) -> Answers:
    """What `network` answers."""

    def answers(images: Pixels) -> list[npt.NDArray[np.float32]]:
        with torch.inference_mode():
            return [output.numpy() for output in network(torch.from_numpy(images))]

    return answers


def check_images(found: Answers, target: Path, expected: Answers, images: Pixels) -> float:
    """The largest difference between what is `found` and `expected` of `images`, in steps of two sizes.

    Raises:
        ExportError: it is too large; the message names `target`.
    """
    steps = [images[:1], images[1:]] if len(images) > 1 else [images]
    largest = max(_difference(found(step), expected(step)) for step in steps)
    if not largest <= TOLERANCE:  # Nor NaN.
        what = f"not written, since it differs from the model by {largest:.0e}"
        raise ExportError(target, what, "try other versions of torch and onnxruntime")
    return largest


def check_files(found: Answers, script: Path, expected: Answers, ingest: Ingest, spec: Spec) -> None:
    """See that a file of each kind gets, by way of `script`, what is `expected` of it as `pipeline predict` sees it.

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
        difference = _difference(found(given[None]), expected(np.stack([wanted])))
        if not difference <= FILE_TOLERANCE:
            what = (
                f"not written, since {file.name} gets other answers than by `pipeline predict`: {difference:.0e} apart"
            )
            raise ExportError(SCRIPT, what, "try other versions of pillow and numpy")


def _difference(found: Sequence[Any], expected: Sequence[Any]) -> float:
    """The largest between logits or probabilities."""
    return max(how_far(one, other) for one, other in zip(found, expected, strict=True))


def how_far(given: Any, wanted: Any) -> float:
    """The largest difference; relative where what is wanted is beyond 1, which no probability is."""
    return float((np.abs(given - wanted) / np.maximum(1, np.abs(wanted))).max())
