"""dvc.lock: the hashes of what the last run of each stage read and wrote.

DVC rewrites the file only when a stage succeeds, so while a stage runs it still describes the run before.
"""

from copy import deepcopy
from dataclasses import dataclass, field
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from pipeline import paths
from pipeline.errors import RecordError, one_line


@dataclass(frozen=True, kw_only=True)
class StageRecord:
    """A stage's last successful run: hashes by path, with the suffix `.dir` for a directory, and parameters by name."""

    deps: dict[str, str]
    outs: dict[str, str]
    params: dict[str, Any] = field(default_factory=dict)
    """As dvc.yaml lists them: a whole section by its name, or a key of a section by its dotted name."""
    command: str = ""
    """The command that was run."""


def read_record(path: Path = paths.LOCK) -> dict[str, StageRecord]:
    """Return the recorded stages by name; none where nothing has run yet.

    Raises:
        RecordError: dvc.lock is incomplete, or cannot be read, for example because it contains conflict markers.
    """
    if not path.exists():
        return {}
    _check_complete(path)
    try:
        return _stages(read_yaml(path))
    except (KeyError, TypeError, ValueError, AttributeError):
        raise RecordError(path, "not a lock file of DVC's", checkout_hint(path)) from None


def read_raw_hash(version: Path | str = paths.RAW_DVC) -> str:
    """Return the hash of data/raw that `version`, the path or the content of data/raw.dvc, records.

    Raises:
        RecordError: there is no such file, or it cannot be read, for example because it contains conflict markers.
    """
    try:
        return str(read_yaml(version)["outs"][0]["md5"])
    except FileNotFoundError:
        hint = f"run `dvc add {paths.RAW}` once, then `dvc repro`"
        raise RecordError(paths.RAW, "not tracked by DVC yet", hint) from None
    except (LookupError, TypeError):
        raise RecordError(paths.RAW_DVC, "not a file of DVC's", checkout_hint(paths.RAW_DVC)) from None


def parse_record(content: bytes, where: str) -> dict[str, StageRecord]:
    """Parse the `content` of a dvc.lock that is not in the workspace; `git show` can print it from `where`.

    Raises:
        RecordError: it cannot be read.
    """
    try:
        return _stages(YAML(typ="safe").load(content))
    except (YAMLError, ValueError, RecursionError, KeyError, TypeError, AttributeError):
        raise RecordError(where, "not a lock file of DVC's", f"see `git show {where}`") from None


def read_yaml(version: Path | str) -> Any:
    """Parse the YAML in `version`, the path or the content of a file.

    Raises:
        RecordError: it is not valid YAML.
    """
    path = version if isinstance(version, Path) else paths.RAW_DVC
    try:
        return deepcopy(_parsed(version.read_bytes(), str(version)) if isinstance(version, Path) else _parsed(version))
    except (YAMLError, ValueError, RecursionError) as error:
        raise RecordError(path, f"not YAML: {one_line(error)}", checkout_hint(path)) from None


@lru_cache(maxsize=8)
def _parsed(content: bytes | str, name: str = "") -> Any:
    """Parse the YAML `content` of the file `name`; cached, since a stage reads the same content again and again."""
    if isinstance(content, str):
        return YAML(typ="safe").load(content)
    stream = BytesIO(content)
    stream.name = name  # Parse errors name it.
    return YAML(typ="safe").load(stream)


def checkout_hint(path: Path) -> str:
    """Return the hint for a file in Git that cannot be read."""
    return f"run `git checkout {path}`, or end the merge that it is in"


def _check_complete(path: Path) -> None:
    """Check that dvc.lock was written to its end.

    DVC empties the file and then writes it, so a kill can leave valid YAML that lacks the last training.
    """
    if not path.read_bytes().endswith(b"\n"):
        what = "incomplete, since DVC was stopped while it wrote this file"
        raise RecordError(path, what, f"run `git checkout {path}`, or delete it if Git does not have it")


def _stages(content: Any) -> dict[str, StageRecord]:
    return {
        name: StageRecord(
            deps=_hashes(stage.get("deps", [])),
            outs=_hashes(stage.get("outs", [])),
            params=dict(stage.get("params", {}).get(paths.PARAMS.as_posix(), {})),
            command=str(stage.get("cmd", "")),
        )
        for name, stage in content["stages"].items()
    }


def _hashes(entries: list[dict[str, Any]]) -> dict[str, str]:
    hashes = {entry["path"]: entry["md5"] for entry in entries if "md5" in entry}
    if not all(isinstance(md5, str) for md5 in hashes.values()):
        raise TypeError
    return hashes
