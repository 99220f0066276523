"""The Python API of a trained model. It gives the same predictions as `pipeline predict`.

>>> from pipeline import load_model
>>> model = load_model()
>>> for prediction in model.predict(["cat.jpg", "photos/"]):
...     print(prediction.file, prediction.label, prediction.probability)
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import chdir, contextmanager
from dataclasses import dataclass, field
from itertools import groupby, islice
from pathlib import Path
from threading import Lock
from typing import Any

import numpy.typing as npt
import torch
from PIL import Image

from pipeline import paths
from pipeline.commands.serve.in_memory import bytes_of
from pipeline.commands.serve.predicting import Answer, answered
from pipeline.commands.serve.preprocessing import recorded_ingest, view_of, views
from pipeline.errors import ImagesError, MissingDataError, RecordError
from pipeline.evaluation.inference import Trained, require
from pipeline.images.pixels import Pixels
from pipeline.ingestion.refusals import Refusal
from pipeline.ingestion.scan import find
from pipeline.lineage.lineage import Lineage, read_lineage
from pipeline.params import Compute, Ingest, read_params
from pipeline.versioning import hashing

# A file, folder or archive; the bytes of an image file; or an image in memory.
ImageLike = str | os.PathLike[str] | bytes | Image.Image | npt.NDArray[Any]
Named = tuple[str, Pixels | Refusal]


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """A model's prediction for an image."""

    file: str
    """The image's name as in `pipeline predict`; `[0]`, `[1]`, … by position for images that are not paths."""
    probabilities: Mapping[str, float]
    """The probability of each class, the highest first; they sum to 1. Empty if the image cannot be used."""
    refusal: str = ""
    """Why the image cannot be used; empty if it can."""

    @property
    def label(self) -> str:
        """The most likely class.

        Raises:
            ImagesError: the image cannot be used.
        """
        return self.top(1)[0][0]

    @property
    def probability(self) -> float:
        """The probability of the most likely class, between 0 and 1.

        Raises:
            ImagesError: the image cannot be used.
        """
        return self.top(1)[0][1]

    def top(self, count: int) -> list[tuple[str, float]]:
        """Return the `count` most likely classes and their probabilities, or all classes if there are fewer.

        Raises:
            ImagesError: the image cannot be used.
        """
        if self.refusal:
            raise ImagesError(self.file, self.refusal, "leave it out, or convert it to PNG or JPEG")
        return list(islice(self.probabilities.items(), count))


@dataclass(frozen=True, kw_only=True, repr=False)
class Model:
    """A trained model, as returned by `load_model`. Threads may share a model; it serves one thread at a time."""

    hash: str
    """The model's hash in dvc.lock."""
    lineage: Lineage
    """The model's origin: its generation, its base's hash, the images that it was trained on."""
    trained: Trained
    ingest: Ingest
    """How the images were stored that the model was trained on."""
    compute: Compute
    _lock: Lock = field(default_factory=Lock)

    def __repr__(self) -> str:
        return f"<Model {self.hash}, generation {self.lineage.generation}, {len(self.classes)} classes>"

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes, in the order of the network's outputs."""
        return self.trained.spec.classes

    def predict(self, images: ImageLike | Sequence[ImageLike], *, keep_refused: bool = False) -> list[Prediction]:
        """Classify `images`, and return their predictions in the same order.

        An image is the path of a file; the path of a folder or archive, which stands for all images in it; the bytes of
        an image file; a Pillow image; or an array of shape (height, width), uint8 or uint16, or of shape
        (height, width, 3 or 4), uint8, with red, green and blue first. An image in memory gets the same prediction as a
        PNG file of it.

        An image that cannot be used raises an error; with `keep_refused` its prediction states the reason instead.

        Raises:
            ImagesError: a path does not exist, or an image cannot be used.
            CheckpointError: the model's outputs are not valid probabilities.
        """
        told = self.answers(self._seen(_several(images)), top=len(self.classes))
        predictions = [_prediction(answer) for answer in told]
        if not keep_refused:
            for prediction in predictions:
                prediction.top(1)
        return predictions

    def answers(self, named: Iterator[Named], *, top: int) -> list[Answer]:
        """Return the `top` most likely classes of preprocessed images, each of shape (channels, size, size), uint8."""
        with self._lock, _deterministic():
            return list(answered(named, self.trained, step=self.compute.batch_size, top=top))

    def _seen(self, images: Sequence[ImageLike]) -> Iterator[Named]:
        """Yield the name and the preprocessed pixels of each image."""
        spec = self.trained.spec
        for is_path, group in groupby(enumerate(images), lambda one: isinstance(one[1], str | os.PathLike)):
            if is_path:
                spots = [spot for _, path in group for spot in find(Path(path))]  # type: ignore[arg-type]
                for view in views(spots, self.ingest, spec, workers=self.compute.workers):
                    yield view.spot.name, view.seen
                continue
            for place, image in group:
                raw = bytes_of(image, name := f"[{place}]")
                yield name, view_of(raw, self.ingest, size=spec.source, framing=spec.framing)


def load_model(model: str | os.PathLike[str] = paths.MODEL, *, project: str | os.PathLike[str] = ".") -> Model:
    """Load the model in the folder `model` onto the device that params.yaml names.

    `model` is relative to the project. `project` is the project's folder, or a folder inside it.

    Raises:
        RecordError: there is no project, or dvc.lock is invalid.
        MissingDataError: there is no model.
        CheckpointError: the model is damaged.
        ParamError: params.yaml cannot be used.
    """
    with chdir(_root(Path(project))), _deterministic():
        folder, params = Path(model), read_params()
        if folder.is_file():
            raise MissingDataError(folder, "a file, and a model is a folder", f"pass {folder.parent.as_posix()!r}")
        require(folder)
        trained = Trained.read(folder, params.compute)
        return Model(
            hash=hashing.directory_hash(folder) or "",
            lineage=read_lineage(folder),
            trained=trained,
            ingest=recorded_ingest(params, mode=trained.spec.mode),
            compute=params.compute,
        )


def predict(
    images: ImageLike | Sequence[ImageLike],
    model: Model | str | os.PathLike[str] = paths.MODEL,
    *,
    keep_refused: bool = False,
) -> list[Prediction]:
    """Classify `images` with `model`, a loaded model or the folder of one; see `Model.predict` for the arguments.

    Raises:
        TreeringError: see `load_model` and `Model.predict`.
    """
    loaded = model if isinstance(model, Model) else load_model(model)
    return loaded.predict(images, keep_refused=keep_refused)


def _root(folder: Path) -> Path:
    for root in (folder.absolute(), *folder.absolute().parents):
        if (root / paths.PARAMS).exists() and (root / paths.PIPELINE).exists():
            return root
    what = f"no project: neither it nor a folder above it has {paths.PARAMS} and {paths.PIPELINE}"
    raise RecordError(folder, what, "pass the project's folder as `project`")


def _several(images: ImageLike | Sequence[ImageLike]) -> Sequence[ImageLike]:
    return images if isinstance(images, Sequence) and not isinstance(images, str | bytes) else [images]


def _prediction(answer: Answer) -> Prediction:
    if isinstance(answer.guesses, Refusal):
        reason, detail = answer.guesses
        return Prediction(file=answer.name, probabilities={}, refusal=f"{reason} ({detail})")
    return Prediction(file=answer.name, probabilities=dict(answer.guesses))


@contextmanager
def _deterministic() -> Iterator[None]:
    """Make PyTorch deterministic inside the block, as in `pipeline predict`, and restore its mode afterwards."""
    before = torch.get_deterministic_debug_mode()
    torch.set_deterministic_debug_mode("error")
    try:
        yield
    finally:
        torch.set_deterministic_debug_mode(before)
