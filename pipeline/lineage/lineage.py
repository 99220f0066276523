"""data/model/lineage.json: where a model comes from.

It holds no clock, path or host, so that the same run gives the same bytes.
"""

from functools import partial
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from pipeline import paths
from pipeline.errors import CheckpointError, RecordError
from pipeline.versioning.lock import checkout_hint

LINEAGE = "lineage.json"
# What Git holds of it.
RECORDED = paths.REPORT / LINEAGE

# Ends the reason of a warm start whose base was trained by other code of the project's own.
EDITED = "; the network's code was edited"


class _Facts(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class ImageCounts(_Facts):
    """The training images, against those of the base's own training."""

    total: int
    new: int
    removed: int
    relabelled: int

    @property
    def changed(self) -> int:
        """How many are not what they were."""
        return self.new + self.removed + self.relabelled


class Budget(_Facts):
    """A count for this run, and since the cold start that the chain of bases begins with."""

    run: int
    total: int


class Epochs(_Facts):
    """Images drawn, in passes over all that there are, for this run and since the cold start; to three digits."""

    run: Annotated[float, AfterValidator(partial(round, ndigits=3))]
    total: Annotated[float, AfterValidator(partial(round, ndigits=3))]


class Weights(_Facts):
    """The weights that a model's cold start began with."""

    source: str
    """Where they came from."""
    md5: str
    """Of their file."""
    fit: str
    """What of them fitted into the network, and what did not."""


class Lineage(_Facts):
    """Where a model comes from."""

    generation: int
    """How many trainings deep the model is; 1 after a cold start."""
    start: Literal["cold", "warm"]
    reason: str
    """Why it started so."""
    base: str | None
    """The hash that dvc.lock records for the base, null after a cold start."""
    images: ImageCounts
    epochs: Epochs
    steps: Budget
    merged: tuple[str, ...] = ()
    """The models of branches that were merged before this training, but for the one that it started from."""
    validation: float | None = None
    """Share of the validation images of then that the model is right on; null where there were none."""
    weights: Weights | None = Field(default=None, exclude_if=lambda weights: weights is None)
    """What it began with; not written where that was drawn by the seed, or is the base."""


class Recorded(Lineage):
    """The lineage of a model, and which one that is; for Git, which does not hold models."""

    model: str
    """The hash that dvc.lock records for it."""
    others: tuple[str, ...] = ()
    """The models of branches merged since then, which the next training will name."""
    accepted: bool | None = None
    """Whether the gate let it take its base's place; null where it was recorded before there was a gate."""
    verdict: str = ""
    """Why."""


def read_recorded(path: Path = RECORDED) -> Recorded | None:
    """What Git holds of the last model's lineage, None where there is none.

    Raises:
        RecordError: it cannot be read, because a merge left its marks in it, for example.
    """
    try:
        return Recorded.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except ValidationError:
        raise RecordError(path, "no lineage of a model", checkout_hint(path)) from None


def read_lineage(model: Path) -> Lineage:
    """The lineage of the model in the folder `model`.

    Raises:
        CheckpointError: there is none, or it is not of this form.
    """
    path = model / LINEAGE
    try:
        return Lineage.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise CheckpointError(path, f"no lineage of a model: {type(error).__name__}", "run `dvc checkout`") from None


def write_lineage(lineage: Lineage, model: Path) -> None:
    """Write `lineage` into the folder `model`."""
    (model / LINEAGE).write_text(lineage.model_dump_json(indent=2) + "\n", encoding="utf-8")
