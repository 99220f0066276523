"""Params for trainings that take seconds, and projects that use them."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT, TINY
from ruamel.yaml import YAML
from support.stored import Plain, store_images

from pipeline import paths
from pipeline.lineage.base import FIRST, NONE
from pipeline.params import Params, read_params


def tiny_params(**sections: dict[str, Any]) -> Params:
    """Return the project's params, made tiny, with changes by section; write them to params.yaml as well."""
    yaml = YAML()
    content = yaml.load(ROOT / "params.yaml")
    for changes in (TINY, sections):
        for section, values in changes.items():
            content[section].update(values)
    yaml.dump(content, paths.PARAMS)
    return read_params()


def tiny_project(
    folder: Path, monkeypatch: pytest.MonkeyPatch, *, train: Sequence[Plain], val: Sequence[Plain]
) -> None:
    """Make a project with images and without a base in `folder`, and make it the working directory."""
    monkeypatch.chdir(folder)
    monkeypatch.delenv("PL_GLOBAL_SEED", raising=False)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    shutil.copy(ROOT / paths.PIPELINE, paths.PIPELINE)
    store_images(train=train, val=val)
    paths.BASE.mkdir()
    (paths.BASE / NONE).write_text(FIRST + "\n")
