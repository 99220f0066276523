"""Types of params."""

import re
from difflib import get_close_matches
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

Share = Annotated[float, Field(ge=0, lt=1)]
Tolerance = Annotated[float | None, Field(ge=0, lt=1)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]
Fraction = Annotated[float, Field(ge=0, le=1)]
# As Lightning names them.
Format = Literal["32-true", "bf16-mixed", "16-mixed"]
Precision = Literal["auto", "32-true", "bf16-mixed", "16-mixed"]
# A function in the project: package.module:function.
OWN = r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*"


def is_own(value: object) -> bool:
    """Whether the param's `value` names a function in the project."""
    return isinstance(value, str) and re.fullmatch(OWN, value) is not None


# Paths in data/weights must not begin with these; one with `data` would be relative to the project's folder.
RESERVED = ("data", "true", "false")


def as_weights(value: object) -> object:
    """Validate `value` of `train.pretrained`: true, false, or a path of a file or folder in data/weights.

    Raises:
        ValueError: it is none of these. DVC would then depend on a different path.
    """
    names = value.split("/") if isinstance(value, str) else [""]
    if not isinstance(value, bool) and (names[0] in RESERVED or not {*names}.isdisjoint({"", ".", ".."})):
        raise ValueError(
            "It should be true, false, or a path in data/weights, from there, such as resnet18.safetensors"
        )
    return value


# The experiment trackers of docs/trackers.md.
TRACKERS = ("tensorboard", "csv", "mlflow", "wandb", "dvclive")


def as_loggers(value: object) -> object:
    """Validate `value` of `train.loggers`: a list of trackers' names, or names with a place: `{mlflow: ADDRESS}`.

    Raises:
        ValueError: it is not such a list, or names a tracker twice.
    """
    places = [pair for one in value for pair in _places(one)] if isinstance(value, list) else [(value, "")]
    names = [name for name, _ in places]
    unknown = [name for name in names if name not in TRACKERS]
    if unknown or not isinstance(value, list) or not all(isinstance(place, str) for _, place in places):
        nearest = (get_close_matches(name, TRACKERS, n=1, cutoff=0)[0] for name in unknown if isinstance(name, str))
        near = "".join(f"; the nearest is {name}" for name in [*nearest][:1])
        raise ValueError(f"It should be a list of {', '.join(TRACKERS)}, such as [tensorboard, mlflow: ADDRESS]{near}")
    if len({*names}) < len(names):
        raise ValueError("It should be a list that names each tracker once")
    return value


def _places(entry: object) -> list[tuple[object, object]]:
    return [*entry.items()] if isinstance(entry, dict) else [(entry, "")]


Loggers = Annotated[list[str | dict[str, str]], BeforeValidator(as_loggers)]


def as_encoding(name: str) -> str:
    """Validate that `name` is the name of an encoding.

    Raises:
        ValueError: it is not.
    """
    try:
        b"name".decode(name)
    except (LookupError, UnicodeDecodeError, ValueError):
        raise ValueError("It should be the name of an encoding, such as cp437, cp850 or shift_jis") from None
    return name


def _rising(pair: list[float]) -> list[float]:
    if pair[0] > pair[1]:
        raise ValueError("It should have the smaller number first")
    return pair


def _apart(pair: list[float]) -> list[float]:
    if pair[0] == pair[1]:
        raise ValueError("It should be two different numbers")
    return pair


_PAIR = (Field(min_length=2, max_length=2), AfterValidator(_rising))
Range = Annotated[list[Annotated[float, Field(gt=0)]], *_PAIR]
Fractions = Annotated[list[Annotated[float, Field(gt=0, le=1)]], *_PAIR]
# The values that become black and white.
Bounds = Annotated[list[float], *_PAIR, AfterValidator(_apart)]


class Section(BaseModel):
    """A frozen group of params. An unknown key, or a value of another type, is an error."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False, use_attribute_docstrings=True
    )
