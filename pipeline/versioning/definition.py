"""dvc.yaml: the record that each stage would get if it ran now."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pipeline import paths
from pipeline.errors import RecordError
from pipeline.versioning import hashing
from pipeline.versioning.lock import StageRecord, checkout_hint, read_yaml

CODE = "pipeline/"


def read_definition() -> dict[str, StageRecord]:
    """Return the stages of dvc.yaml by name, with the present params and hashes of code, but no hashes of data.

    Raises:
        RecordError: dvc.yaml or params.yaml cannot be read, for example because it contains conflict markers.
    """
    try:
        values = read_yaml(paths.PARAMS)
        return {name: _stage(stage, values) for name, stage in read_yaml(paths.PIPELINE)["stages"].items()}
    except FileNotFoundError as error:
        raise RecordError(Path(str(error.filename)), "no such file", "run this in the project's folder") from None
    except (LookupError, TypeError, AttributeError):
        raise RecordError(paths.PIPELINE, "not a pipeline of DVC's", checkout_hint(paths.PIPELINE)) from None


def deps_of(stage: str) -> list[str]:
    """Return the dependencies of `stage` in dvc.yaml, with the values of the present params filled in."""
    values = read_yaml(paths.PARAMS)
    return [_filled(path, values) for path in _paths(read_yaml(paths.PIPELINE)["stages"][stage]["deps"])]


def code_among(deps: Mapping[str, str]) -> dict[str, str]:
    """Return the entries of `deps`, hashes by path, that are code."""
    return {path: oid for path, oid in deps.items() if path.startswith(CODE)}


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return the nested params `values` as one flat mapping by dotted name."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        found |= flat(value, f"{prefix}{name}.") if isinstance(value, Mapping) else {f"{prefix}{name}": value}
    return found


def _stage(stage: Mapping[str, Any], values: Any) -> StageRecord:
    outs = [path for kind in ("outs", "metrics", "plots") for path in _paths(stage.get(kind, []))]
    return StageRecord(
        deps={path: _code_hash(path) for path in (_filled(path, values) for path in _paths(stage.get("deps", [])))},
        outs=dict.fromkeys(outs, ""),
        params={name: _value(values, name) for name in _names(stage.get("params", []))},
        command=str(stage.get("cmd", "")),
    )


def _code_hash(path: str) -> str:
    """Return the hash of `path` if it is code; empty where it is missing or is data."""
    return (hashing.path_hash(Path(path)) or "") if path.startswith(CODE) else ""


def _paths(entries: list[Any]) -> Iterator[str]:
    for entry in entries:
        yield from entry if isinstance(entry, Mapping) else [entry]


def _filled(path: str, values: Any) -> str:
    """Replace each `${name}` in `path` by the param's value, written as DVC writes it."""

    def written(match: re.Match[str]) -> str:
        value = _value(values, match[1])
        return str(value).lower() if isinstance(value, bool) else str(value)

    return re.sub(r"\$\{([\w.]+)\}", written, path)


def _names(entries: list[Any]) -> Iterator[str]:
    for entry in entries:
        yield from entry[paths.PARAMS.as_posix()] if isinstance(entry, Mapping) else [entry]


def _value(values: Any, name: str) -> Any:
    """Return the value of the dotted `name`; None where there is none."""
    for part in name.split("."):
        values = values.get(part) if isinstance(values, Mapping) else None
    return values
