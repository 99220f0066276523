"""A machine that can train: a folder with images in shards, ready for `pipeline run train`."""

import shutil
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT, Project
from support.stored import Plain, store_images
from support.tiny import tiny_params

from pipeline import paths
from pipeline.lineage.base import FIRST, NONE
from pipeline.training.progress import FOLDER

TRAIN = [Plain("cat", shade) for shade in range(20)] + [Plain("dog", 200 + shade) for shade in range(17)]
VAL = [Plain("cat", 20), Plain("dog", 220)]
Files = dict[str, bytes]


def make_machine(root: Path, *, devices: int = 1, **train: Any) -> Project:
    """Make a machine in `root`; all machines have the same images and params, and share nothing else."""
    project = Project(root)
    root.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        shutil.copy(ROOT / paths.PIPELINE, paths.PIPELINE)
        store_images(train=TRAIN, val=VAL)
        paths.BASE.mkdir()
        (paths.BASE / NONE).write_text(FIRST + "\n")
        tiny_params(
            train={"batch_size": 8, "epochs": 40, "save_every": 0.01, **train},
            compute={"devices": devices, "progress": "remote"},
        )
    project.git("init", "--quiet")
    project.dvc("init", "--quiet")
    return project


def saved(project: Project) -> list[Path]:
    """Return the saved training states of a machine."""
    return list((project.root / FOLDER).glob("*/*.ckpt"))


def model(project: Project) -> Files:
    """Return the files of the trained model."""
    folders = (project.root / paths.MODEL, project.root / paths.CURVES)
    return {str(path.relative_to(project.root)): path.read_bytes() for folder in folders for path in folder.iterdir()}
