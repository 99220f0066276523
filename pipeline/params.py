"""params.yaml, typed: one section a stage, no defaults in code, since DVC would not see them.

The sentence under each field is the parameter's documentation; the table of docs/params.md is made from it.
"""

import os
import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from pipeline import paths
from pipeline.errors import ParamError, one_line
from pipeline.param_errors import as_param_error
from pipeline.param_types import (
    Bounds,
    Section,
    Seed,
    Share,
    Tolerance,
    as_encoding,
)
from pipeline.train_params import Train

# What stands before a regular expression.
EXPRESSION = "re:"


class Ingest(Section):
    """How images are stored."""

    mode: Literal["rgb", "grey"]
    """Colour of the stored images."""
    size: Annotated[int, Field(ge=8, le=4096)]
    """Longest that the shorter side of a stored image may be, in pixels; larger ones are scaled down."""
    animations: Literal["first", "refuse"]
    """What becomes of animations and other files with several pages: their first one, or nothing."""
    range: Literal["dtype", "percentile"] | Bounds
    """Black and white of values over 8 bits: the type's or window's, the image's `percentile`, or `[low, high]`."""
    strip: dict[str, Annotated[int, Field(ge=0, le=100)]]
    """How many folders lie above those that name classes, by archive or glob: `{photos.zip: 1}`; else none."""
    columns: dict[Literal["path", "label"], Annotated[str, Field(min_length=1)]]
    """Columns of labels.csv that are called otherwise than `path` and `label`: `{path: image_id, label: breed}`."""
    encoding: Annotated[str, AfterValidator(as_encoding)]
    """Encoding of names in zips that do not say it and are not UTF-8: `cp850`, `shift_jis` or `cp1251`, for example."""
    shard_size: Annotated[int, Field(ge=1, le=4096)]
    """Size of a shard, in MiB, beyond which the next one begins."""
    max_removed: Annotated[float, Field(ge=0, le=1)]
    """Share of the images that may go at once before the stage stops and asks whether that was meant."""
    max_refused: Annotated[float, Field(ge=0, le=1)]
    """Share of the files in data/raw that may be refused before the stage fails."""


class Split(Section):
    """Which images are not trained on."""

    val: Share
    """Share of the images that measure progress during training."""
    test: Share
    """Share of the images that only `evaluate` sees."""
    by: Literal["hash", "column", "folder", "time"]
    """What says the split: a `hash`, a `column` of labels.csv, a `folder` named so, or `time`: the newest are test."""
    group: Annotated[str | None, Field(pattern=rf"^(folder|labels|patient|{EXPRESSION}.+)$")]
    """Images in one split: those of a `folder`, a value in `labels`, a DICOM `patient`, a match `re:…`; null: none."""


class Manifest(Section):
    """Which image belongs to which split."""

    split: Split
    """The validation and test splits; the rest is trained on."""
    on_removed: Literal["keep", "ancestor"]
    """What removed images leave: all (`keep`), or neither a base that saw them nor bytes in a shard (`ancestor`)."""
    cold_after: Annotated[str, Field(pattern=r"^([0-9a-f]{32}\.dir)?$")]
    """Hash of the model after which training starts from scratch, once; `pipeline fresh` writes it."""
    seed: Seed
    """Another seed draws other splits."""


class Gate(Section):
    """What a model may lose against its base and still be accepted."""

    drop: Tolerance
    """Largest tolerated loss of accuracy on the test images; null tolerates any."""
    class_drop: Tolerance
    """Largest tolerated loss of recall in any one class; null tolerates any."""
    flips: Tolerance
    """Largest tolerated share of test images that the base had right and the model has wrong; null tolerates any."""
    confidence: Annotated[float, Field(ge=0.5, lt=1)]
    """How sure it must be that more is lost than is tolerated before a model is refused."""


class Evaluate(Section):
    """How a model is judged."""

    gate: Gate
    """Whether a model may be the next base."""


class Compute(Section):
    """Where and how fast things run; a change here reruns nothing."""

    accelerator: Literal["auto", "cpu", "gpu", "mps"]
    """What trains."""
    devices: Annotated[int, Field(ge=1)]
    """How many of them on each node; the images of a step are shared out among all."""
    nodes: Annotated[int, Field(ge=1)]
    """How many machines; each runs the same command: docs/scale.md."""
    launcher: Literal["none", "torchrun", "ray"]
    """What starts processes: `torchrun` here, `ray` on all machines; `none` where Lightning does, SLURM or the like."""
    address: Annotated[str, Field(pattern=r"^(.+:[0-9]+)?$")]
    """HOST:PORT of the machine where several meet; where it is empty, `MASTER_ADDR` and `MASTER_PORT` say it."""
    timeout: Annotated[float, Field(gt=0)]
    """Seconds within which all processes must have come."""
    engine: Literal["local", "ray"]
    """What decodes many new images: processes of this machine, or those of a cluster of `ray`: docs/scale.md."""
    ray: Annotated[str, Field(pattern=r"^([^/]+:[0-9]+)?$")]
    """HOST:PORT of Ray's cluster; where it is empty, `RAY_ADDRESS` says it, else Ray is started on this machine."""
    strategy: Literal["auto", "ddp"]
    """How several work together, as Lightning names it; `auto` leaves it to Lightning."""
    workers: Annotated[int, Field(ge=0)]
    """Processes that decode images; 0 stands for one a core."""
    decoded: Annotated[int, Field(ge=0)]
    """Most that decoded images may take on disk, in MiB; further ones are decoded whenever they are needed."""
    stored: Annotated[int, Field(ge=0)]
    """Most that pieces of shards from the remote may take on disk, in MiB; those not used for longest make room."""
    fetch: Literal["auto", "all", "stream"]
    """What becomes of missing shards: `all` are fetched, single images are read (`stream`), or the cheaper (`auto`)."""
    features: Annotated[int, Field(ge=0)]
    """Most that features of a frozen backbone may take on disk, in MiB; further ones are computed when needed."""
    batch_size: Annotated[int, Field(ge=1)]
    """Images in one step where nothing is learned."""
    progress: Annotated[str, Field(pattern=r"^(off|remote|.*/.+)$")]
    """Where unfinished work is kept besides: `off`, the default `remote`, or a folder or URL that DVC can open."""

    @property
    def processes(self) -> int:
        """How many decode for each device, with `workers` shared out among those of a machine."""
        return max(1, (self.workers or os.cpu_count() or 1) // self.devices)


class Params(Section):
    """All of params.yaml."""

    ingest: Ingest
    manifest: Manifest
    train: Train
    evaluate: Evaluate
    compute: Compute


def read_params(path: Path = paths.PARAMS) -> Params:
    """Read and check all of params.yaml.

    Raises:
        ParamError: naming the first key that is unknown, missing, of a wrong type or out of range.
    """
    try:
        # YAML 1.2, as DVC reads it: `1e-3` is a number.
        content = YAML(typ="safe").load(path)
    except FileNotFoundError:
        go = "this is no project: go to the folder of one, or make one by `pipeline init DIR`"
        hint = "run `git checkout params.yaml`" if paths.PIPELINE.exists() else go
        raise ParamError(path, "no such file", hint) from None
    except (YAMLError, ValueError, RecursionError) as error:  # ValueError: of a date or number that cannot be.
        mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None)
        line = f"line {mark.line + 1}: {one_line(ValueError(problem))}" if mark and problem else one_line(error)
        hint = "correct that line, or the one above it; blanks indent, as many as in the lines around"
        raise ParamError(path, f"not YAML: {line}", hint) from None
    try:
        params = Params.model_validate(content)
    except ValidationError as error:
        raise as_param_error(path, error, Params) from None
    split = params.manifest.split
    if split.val + split.test >= 1:
        what = f"manifest.split: val {split.val} + test {split.test} leave nothing to train on"
        raise ParamError(path, what, "their sum must be below 1")
    if params.train.head_epochs >= params.train.epochs:
        what = f"train.head_epochs {params.train.head_epochs:g} leave nothing of train.epochs {params.train.epochs}"
        raise ParamError(path, what, "make it less; `freeze: backbone` trains the head alone all the time")
    _check_expression(path, split.group or "")
    return params


def _check_expression(path: Path, group: str) -> None:
    try:
        re.compile(group.removeprefix(EXPRESSION))
    except (re.error, RecursionError, OverflowError) as error:
        what = f"manifest.split.group is {group!r}, which is no regular expression: {one_line(error)}"
        raise ParamError(path, what, "correct it, for example re:^(patient[0-9]+)_") from None
