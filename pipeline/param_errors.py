"""One-line error messages for params.yaml, each with the key and a hint."""

import re
from difflib import get_close_matches
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from pipeline.augment_params import BLOCK, PRESET
from pipeline.errors import ParamError

# Params with a union of types, for which pydantic appends the type to the key.
SEVERAL = ("ingest.range", "train.crop_pct", "train.freeze")
# Hints for params whose value has to match a pattern, or has a union of types.
PATTERNS = {
    "ingest.range": "it should be dtype, percentile, or what is black and what is white, such as [0, 4095]",
    "train.crop_pct": "it should be model, or a number from 0.25 to 1, such as 0.875",
    "train.freeze": "it should be none, backbone, or a number of groups of layers, such as 3",
    "train.model": "it should be small, timm/ and the name of a model of timm's (such as timm/resnet18), or your own: "
    "my_project.nets:build",
    "train.optimizer": "it should be schedule_free, adamw, or your own: my_project.optimizers:build",
    "compute.address": "it should be HOST:PORT, such as gpu-1:29400, or empty",
    "compute.ray": "it should be HOST:PORT, such as head:6379, or empty",
    "train.loss": "it should be cross_entropy, or your own: my_project.losses:focal",
    "train.augment": "it should be none, light, strong, {flip: true} and the like, or your own: my_project.turns:turn",
    "compute.progress": "it should be off, remote, or a folder or URL, such as /mnt/progress or s3://bucket/progress",
    "manifest.split.group": "it should be null, folder, labels, patient, or re: and an expression: re:^(p[0-9]+)_",
    "manifest.cold_after": "it should be empty, or the hash of a model; `pipeline fresh` writes it",
}
# A name of a timm model without `timm/`.
BARE_MODEL = r"train\.model \w+(\.\w*\d\w*)?"
BARE_HINT = "it should be small, timm/{} for that model of timm's, or your own: my_project.nets:build"
# Other common names of params, for example in Lightning.
ELSEWHERE = {
    **dict.fromkeys(("max_epochs", "num_epochs", "n_epochs"), "train.epochs"),
    **dict.fromkeys(("accumulate_grad_batches", "gradient_accumulation_steps"), "train.accumulate"),
    **dict.fromkeys(("img_size", "image_size", "resolution"), "train.size"),
    **dict.fromkeys(("arch", "architecture", "backbone", "network"), "train.model"),
    "gradient_clip_val": "train.clip_norm",
    "logger": "train.loggers",
    "weights": "train.pretrained",
    "num_nodes": "compute.nodes",
    "num_workers": "compute.workers",
}
# Types in pydantic's messages, and in ours.
TYPES = {
    r"integer.*": "a whole number",
    r"number.*": "a number",
    r"boolean.*": "true or false",
    r"string": "a text",
    r"dictionary.*": "a section, of a key and a value in each line",
}
# Hints for params of earlier releases.
SUCCESSORS = {
    **dict.fromkeys(("train.new_epochs", "train.new_share"), "remove it; train.passes is what follows new images"),
    **dict.fromkeys(("train.average", "train.keep"), "remove it; train.optimizer: schedule_free averages all weights"),
    "train.patience": "remove it; train.passes and train.epochs say how long a training is",
    **dict.fromkeys(
        ("train.start", "train.shrink", "train.perturb"),
        "remove it; a warm start takes all that the base has, and `pipeline fresh` asks for a cold one",
    ),
}


def as_param_error(path: Path, invalid: ValidationError, params: type[BaseModel]) -> ParamError:
    """Return an error about the first problem in the file `path`, which should match `params`, with a hint."""
    error = min(invalid.errors(), key=lambda one: one["type"] != "extra_forbidden")
    place = [str(part) for part in error["loc"] if part not in (PRESET, BLOCK)]
    key = ".".join(place) or "the file"
    if error["type"] == "extra_forbidden":
        hint = SUCCESSORS.get(key) or _meant(place, params)
        return ParamError(path, f"{key} is not a parameter", hint)
    if error["type"] == "missing":
        return ParamError(path, f"{key} is missing", "add it, or run `git diff params.yaml` to see what changed")
    described = next((name for name in SEVERAL if key.startswith(name)), key)
    if error["type"] == "string_pattern_mismatch" or described in SEVERAL:
        is_bare = re.fullmatch(BARE_MODEL, f"{key} {error['input']}")
        hint = BARE_HINT.format(error["input"]) if is_bare else PATTERNS[described]
        return ParamError(path, f"{described} is {error['input']!r}", hint)
    if key.endswith(".[key]"):
        allowed = error["msg"].partition(" should ")[2]
        return ParamError(path, f"{key.removesuffix('.[key]')} is not a parameter", f"it should {allowed}")
    # Pydantic's messages begin with "Input should …".
    allowed = error["msg"].partition(" should ")[2] or error["msg"]
    if key == "train.batch_size" and error["type"] == "greater_than_equal":
        allowed += ", so that every step has the two images that batch normalisation needs"
    if key == "train.augment" and error["type"] == "model_type":
        return ParamError(path, f"{key} is {error['input']!r}", PATTERNS[key])
    return ParamError(path, f"{key} is {error['input']!r}", f"it should {_in_words(allowed, error['input'])}")


def _in_words(allowed: str, given: object) -> str:
    """Return pydantic's requirement `allowed` in our words, with a hint about the value `given`."""
    words = next((ours for theirs, ours in TYPES.items() if re.fullmatch(f"be a valid {theirs}", allowed)), None)
    if words is None:
        return allowed
    if isinstance(given, str) and words.endswith("number"):
        if re.fullmatch(r"[0-9.]+", given):
            return f"be {words}, without quotes"
        if re.fullmatch(r"[0-9]+,[0-9]+", given):
            return f"be {words}, with a point: {given.replace(',', '.')}"
    return f"be {words}"


def _meant(place: list[str], params: type[BaseModel]) -> str:
    """Return a hint for an unknown param: the same name in another section, another name, or the most similar one."""
    name, sections = place[-1], params.model_fields
    elsewhere = [f"{one}.{name}" for one in sections if name in _section_at([one], params).model_fields]
    if len(place) > 1 and (found := ELSEWHERE.get(name) or next(iter(elsewhere), "")):
        return f"use {found} instead"
    return f"the nearest one is {_nearest(name, list(_section_at(place[:-1], params).model_fields))}"


def _nearest(name: str, valid: list[str]) -> str:
    """Return the most similar of the names `valid`: lr for learning_rate and weight_decay for wd, for example."""
    initials = {one: "".join(word[:1] for word in one.split("_")) for one in [*valid, name]}
    short = (one for one in valid if name == initials[one] or one == initials[name])
    return next(short, None) or get_close_matches(name, valid, n=1, cutoff=0)[0]


def _section_at(place: list[str], params: type[BaseModel]) -> type[BaseModel]:
    section = params
    for part in place:
        annotation: Any = section.model_fields[part].annotation
        # In a union of a preset's name and a section, take the section.
        kinds = [get_args(kind)[0] for kind in get_args(annotation)]
        section = next((kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)), annotation)
    return section
