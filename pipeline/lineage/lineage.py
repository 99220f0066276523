"""data/model/lineage.json: where a model comes from.

It contains no time, path or host name, so that the same run writes the same bytes.
"""

from functools import partial
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from pipeline import paths
from pipeline.errors import CheckpointError, RecordError
from pipeline.versioning.lock import checkout_hint

LINEAGE = "lineage.json"
# The copy that Git tracks.
RECORDED = paths.REPORT / LINEAGE

# The end of the reason for a warm start whose base was trained with another version of the project's own code.
EDITED = "; the network's code was edited"


class _Facts(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class ImageCounts(_Facts):
    """Counts of the training images, compared with the images that the base was trained on."""

    total: int
    new: int
    removed: int
    relabelled: int

    @property
    def changed(self) -> int:
        """The number of images that are new, removed or relabelled."""
        return self.new + self.removed + self.relabelled


class Budget(_Facts):
    """A count for this run, and in total since the cold start at the beginning of the chain of bases."""

    run: int
    total: int


class Epochs(_Facts):
    """Drawn images in passes over all training images, for this run and since the cold start; rounded to 3 decimals."""

    run: Annotated[float, AfterValidator(partial(round, ndigits=3))]
    total: Annotated[float, AfterValidator(partial(round, ndigits=3))]


class Weights(_Facts):
    """The weights that a model's cold start began with."""

    source: str
    """Where the weights came from."""
    md5: str
    """MD5 of the weights file."""
    fit: str
    """Which weights fitted into the network, and which did not."""


class Lineage(_Facts):
    """Where a model comes from."""

    generation: int
    """The number of trainings in the chain up to this model; 1 after a cold start."""
    start: Literal["cold", "warm"]
    reason: str
    """Why the start was cold or warm."""
    base: str | None
    """The hash that dvc.lock records for the base, null after a cold start."""
    images: ImageCounts
    epochs: Epochs
    steps: Budget
    merged: tuple[str, ...] = ()
    """The models of branches that were merged before this training, except the one that it started from."""
    validation: float | None = None
    """Share of the validation images of that time that the model predicts correctly; null where there were none."""
    weights: Weights | None = Field(default=None, exclude_if=lambda weights: weights is None)
    """The weights at the cold start; omitted after a warm start, or if they were drawn from the seed."""


class Recorded(Lineage):
    """The lineage of a model and the model's hash; for Git, which does not track models."""

    model: str
    """The hash that dvc.lock records for the model."""
    others: tuple[str, ...] = ()
    """The models of branches merged since this training; the next training will list them as `merged`."""
    accepted: bool | None = None
    """Whether the gate accepted the model in place of its base; null if it was recorded before there was a gate."""
    verdict: str = ""
    """The gate's reason."""


def read_recorded(path: Path = RECORDED) -> Recorded | None:
    """Return the last model's lineage as Git tracks it; None where there is none.

    Raises:
        RecordError: it cannot be read, for example because it contains conflict markers.
    """
    try:
        return Recorded.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except ValidationError:
        raise RecordError(path, "no lineage of a model", checkout_hint(path)) from None


def read_lineage(model: Path) -> Lineage:
    """Return the lineage of the model in the folder `model`.

    Raises:
        CheckpointError: there is none, or it does not have this form.
    """
    path = model / LINEAGE
    try:
        return Lineage.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise CheckpointError(path, f"no lineage of a model: {type(error).__name__}", "run `dvc checkout`") from None


def write_lineage(lineage: Lineage, model: Path) -> None:
    """Write `lineage` into the folder `model`."""
    (model / LINEAGE).write_text(lineage.model_dump_json(indent=2) + "\n", encoding="utf-8")
