"""The release 6b401a0, the oldest release whose projects a newer one supports.

`release-6b401a0.tar.xz` contains its files: `git archive 6b401a0 pipeline data/.gitignore dvc.yaml params.yaml .dvc
.dvcignore .gitattributes .gitignore pyproject.toml | xz -9e`. A checkout without history does not contain the commit.
"""

import hashlib
import tarfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

ARCHIVE = Path(__file__).parent / "release-6b401a0.tar.xz"


def unpack(root: Path) -> None:
    """Write the release's files into the folder `root`."""
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(root, filter="data")


def files() -> dict[str, bytes]:
    """Return the release's files by path."""
    with tarfile.open(ARCHIVE) as archive:
        members = {member.name: archive.extractfile(member) for member in archive if member.isfile()}
        return {name: file.read() for name, file in members.items() if file is not None}


def stages() -> dict[str, Any]:
    """Return the stages of the release's dvc.yaml."""
    return dict(YAML(typ="safe").load(files()["dvc.yaml"])["stages"])


def write_lock(root: Path) -> None:
    """Write a dvc.lock into the project `root` as the release does, with invented data."""
    known = files()
    _write_lock(root, stages(), known, YAML(typ="safe").load(known["params.yaml"]))


def write_lock_of_other_code(root: Path) -> None:
    """Write a dvc.lock into the project `root` as by a release that differs only in code and command of train."""
    definition = YAML(typ="safe").load(root / "dvc.yaml")["stages"]
    for stage in definition.values():
        stage["deps"] = [path.replace("${train.pretrained}", "false") for path in stage.get("deps", [])]
    deps = {path: root / path for stage in definition.values() for path in stage["deps"]}
    known = {path: file.read_bytes() for path, file in deps.items() if file.is_file()}
    known["pipeline/training/module.py"] += b"# As it was.\n"
    definition["train"]["cmd"] = "python -m pipeline.train"
    _write_lock(root, definition, known, YAML(typ="safe").load(root / "params.yaml"))


def forget_params(root: Path, names: Iterable[str]) -> None:
    """Remove the params `names` from the dvc.lock of the project `root`, as in a release without them."""
    yaml, path = YAML(), root / "dvc.lock"
    content = yaml.load(path)
    for stage in content["stages"].values():
        for name in names:
            stage.get("params", [])["params.yaml"].pop(name, None)
    yaml.dump(content, path)


def _write_lock(root: Path, definition: dict[str, Any], known: dict[str, bytes], values: Any) -> None:
    locked = {}
    for name, stage in definition.items():
        entries = [entry for kind in ("outs", "metrics", "plots") for entry in stage.get(kind, [])]
        outs = [path for entry in entries for path in ([entry] if isinstance(entry, str) else entry)]
        listed = [
            one
            for entry in stage.get("params", [])
            for one in ([entry] if isinstance(entry, str) else entry["params.yaml"])
        ]
        locked[name] = {
            "cmd": stage["cmd"],
            "deps": [_entry(path, known.get(path, path.encode())) for path in stage["deps"]],
            "params": {"params.yaml": {param: _value(values, param) for param in listed}},
            "outs": [_entry(path, path.encode()) for path in outs],
        }
    YAML().dump({"schema": "2.0", "stages": locked}, root / "dvc.lock")


def _entry(path: str, content: bytes) -> dict[str, Any]:
    return {"path": path, "hash": "md5", "md5": hashlib.md5(content).hexdigest(), "size": len(content)}


def _value(values: Any, name: str) -> Any:
    for part in name.split("."):
        values = values[part]
    return values
