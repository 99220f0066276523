"""The types of params.yaml: one section for each stage. Code has no defaults, since DVC would not see them.

The sentence under each field documents the param; docs/params.md is generated from these sentences.
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

# The prefix of a regular expression.
EXPRESSION = "re:"


class Ingest(Section):
    """How images are stored."""

    mode: Literal["rgb", "grey"]
    """Colour mode of the stored images."""
    size: Annotated[int, Field(ge=8, le=4096)]
    """Maximum length of the shorter side of a stored image, in pixels; larger images are scaled down."""
    animations: Literal["first", "refuse"]
    """How to treat animations and other files with several pages: use the `first` page, or `refuse` the file."""
    range: Literal["dtype", "percentile"] | Bounds
    """Black and white of values over 8 bits: from the `dtype` or window, the image's `percentile`, or `[low, high]`."""
    strip: dict[str, Annotated[int, Field(ge=0, le=100)]]
    """Number of folders above the folders that name classes, by archive or glob: `{photos.zip: 1}`; default 0."""
    columns: dict[Literal["path", "label"], Annotated[str, Field(min_length=1)]]
    """Names of the columns `path` and `label` in labels.csv if they differ: `{path: image_id, label: breed}`."""
    encoding: Annotated[str, AfterValidator(as_encoding)]
    """Encoding of names in zips that do not declare it and are not UTF-8, for example `cp850` or `shift_jis`."""
    shard_size: Annotated[int, Field(ge=1, le=4096)]
    """Maximum size of a shard, in MiB."""
    max_removed: Annotated[float, Field(ge=0, le=1)]
    """Share of the images that may be removed at once; if more are gone, the stage stops and asks for confirmation."""
    max_refused: Annotated[float, Field(ge=0, le=1)]
    """Share of the files in data/raw that may be refused before the stage fails."""


class Split(Section):
    """The validation and test splits."""

    val: Share
    """Share of the images that are used for validation during training."""
    test: Share
    """Share of the images that only `evaluate` uses."""
    by: Literal["hash", "column", "folder", "time"]
    """How to split: by `hash`, a `column` of labels.csv, a `folder` named like a split, or `time` (newest are test)."""
    group: Annotated[str | None, Field(pattern=rf"^(folder|labels|patient|{EXPRESSION}.+)$")]
    """Images kept in one split: by `folder`, a value in `labels`, DICOM `patient`, or a match of `re:…`; null: none."""


class Manifest(Section):
    """Which image belongs to which split."""

    split: Split
    """The validation and test splits; all other images are training images."""
    on_removed: Literal["keep", "ancestor"]
    """After removals: `keep` base and shards, or train from an `ancestor` that never saw the images, and erase them."""
    cold_after: Annotated[str, Field(pattern=r"^([0-9a-f]{32}\.dir)?$")]
    """Hash of the model after which training starts from scratch, once; `pipeline fresh` writes it."""
    seed: Seed
    """Random seed of the splits."""


class Gate(Section):
    """How much a model may lose against its base and still be accepted."""

    drop: Tolerance
    """Maximum tolerated loss of accuracy on the test images; null: any loss is tolerated."""
    class_drop: Tolerance
    """Maximum tolerated loss of recall in a single class; null: any loss is tolerated."""
    flips: Tolerance
    """Maximum tolerated share of test images that the base has right and the model has wrong; null: any share."""
    confidence: Annotated[float, Field(ge=0.5, lt=1)]
    """Confidence level at which a loss must exceed its tolerance before a model is refused."""


class Evaluate(Section):
    """How a model is evaluated."""

    gate: Gate
    """Whether a model may become the next base."""


class Compute(Section):
    """Devices, processes and caches; a change here reruns no stage."""

    accelerator: Literal["auto", "cpu", "gpu", "mps"]
    """Device type for training and inference."""
    devices: Annotated[int, Field(ge=1)]
    """Number of devices on each node; they share the images of each step."""
    nodes: Annotated[int, Field(ge=1)]
    """Number of machines; each runs the same command: docs/scale.md."""
    launcher: Literal["none", "torchrun", "ray"]
    """What starts the processes: `torchrun` on this machine, `ray` on all; `none`: Lightning, SLURM or the like."""
    address: Annotated[str, Field(pattern=r"^(.+:[0-9]+)?$")]
    """HOST:PORT of the main machine of several; if empty, `MASTER_ADDR` and `MASTER_PORT` are used."""
    timeout: Annotated[float, Field(gt=0)]
    """Seconds within which all processes must have joined."""
    engine: Literal["local", "ray"]
    """Where many new images are decoded: by processes of this machine, or by a `ray` cluster: docs/scale.md."""
    ray: Annotated[str, Field(pattern=r"^([^/]+:[0-9]+)?$")]
    """HOST:PORT of the Ray cluster; if empty, `RAY_ADDRESS`; if that is empty, Ray is started on this machine."""
    strategy: Literal["auto", "ddp"]
    """Lightning's strategy for several devices; `auto` leaves the choice to Lightning."""
    workers: Annotated[int, Field(ge=0)]
    """Processes that decode images; 0: one for each core."""
    decoded: Annotated[int, Field(ge=0)]
    """Maximum disk space for decoded images, in MiB; further images are decoded whenever they are needed."""
    stored: Annotated[int, Field(ge=0)]
    """Maximum disk space for blocks of remote shards, in MiB; the least recently used ones are deleted."""
    fetch: Literal["auto", "all", "stream"]
    """How missing shards are read: fetch `all` of them, `stream` single images, or `auto`: whichever is cheaper."""
    features: Annotated[int, Field(ge=0)]
    """Maximum disk space for features of a frozen backbone, in MiB; further ones are computed when needed."""
    batch_size: Annotated[int, Field(ge=1)]
    """Batch size of inference."""
    progress: Annotated[str, Field(pattern=r"^(off|remote|.*/.+)$")]
    """Where unfinished work is also saved: `off`, the default `remote`, or a folder or URL that DVC can open."""

    @property
    def processes(self) -> int:
        """The number of decoding processes for each device: `workers` divided by the devices of a machine."""
        return max(1, (self.workers or os.cpu_count() or 1) // self.devices)


class Params(Section):
    """The content of params.yaml."""

    ingest: Ingest
    manifest: Manifest
    train: Train
    evaluate: Evaluate
    compute: Compute


def read_params(path: Path = paths.PARAMS) -> Params:
    """Read and validate params.yaml.

    Raises:
        ParamError: the file is missing or not YAML; or a key is unknown, missing, of a wrong type or out of range. The
            message names the first such key.
    """
    try:
        # YAML 1.2, as DVC reads it: `1e-3` is a number.
        content = YAML(typ="safe").load(path)
    except FileNotFoundError:
        go = "this is not a project: change to a project's folder, or create one with `pipeline init DIR`"
        hint = "run `git checkout params.yaml`" if paths.PIPELINE.exists() else go
        raise ParamError(path, "no such file", hint) from None
    except (YAMLError, ValueError, RecursionError) as error:  # ValueError: an impossible date or number.
        mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None)
        line = f"line {mark.line + 1}: {one_line(ValueError(problem))}" if mark and problem else one_line(error)
        hint = "correct that line, or the one above it; indent with spaces, as in the lines around it"
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
        what = f"manifest.split.group is {group!r}, which is not a regular expression: {one_line(error)}"
        raise ParamError(path, what, "correct it, for example re:^(patient[0-9]+)_") from None
