"""Params for trainings of seconds, and projects for them."""

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
    """The project's params, tiny, with changes by section; also in params.yaml of the working directory."""
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
    """A project in `folder` with images, and without a base, as working directory."""
    monkeypatch.chdir(folder)
    monkeypatch.delenv("PL_GLOBAL_SEED", raising=False)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    shutil.copy(ROOT / paths.PIPELINE, paths.PIPELINE)
    store_images(train=train, val=val)
    paths.BASE.mkdir()
    (paths.BASE / NONE).write_text(FIRST + "\n")
