"""Saved states of an unfinished training: after a kill, training resumes from the newest undamaged state.

They lie outside all outputs, in a folder named by the hash of all inputs of the training. So a state is never used
after an input has changed.
"""

import json
import logging
import os
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

from pipeline import paths
from pipeline.files import md5_of_bytes, md5_of_file
from pipeline.params import Params
from pipeline.train_params import FREE
from pipeline.versioning import hashing
from pipeline.versioning.definition import deps_of

logger = logging.getLogger(__name__)


FOLDER = paths.PROGRESS / "train"
SUFFIX = ".ckpt"
# Number of states kept: the newest, and the one before it in case the newest is damaged.
KEPT = 2


def inputs_hash(params: Params, deps: Iterable[str]) -> str:
    """Return the hash of all inputs of training: its params, and the bytes of the files and folders `deps`."""
    facts = {dep: hashing.path_hash(Path(dep)) for dep in deps}
    facts["params"] = params.train.model_dump_json(exclude=FREE) + params.ingest.mode
    return md5_of_bytes(json.dumps(facts, sort_keys=True).encode())


def deps_of_training() -> list[str]:
    """Return the dependencies of the stage `train` in dvc.yaml."""
    return deps_of("train")


def unfinished_step(inputs: str) -> int | None:
    """Return the newest saved step of the training whose inputs have the hash `inputs`; None if there is none.

    Nothing is written. The saved state is not verified; this is done before training resumes from it.
    """
    steps = [step_of(path.name) for path in (FOLDER / inputs).glob(f"*{SUFFIX}")]
    return max(steps, default=None)


def step_of(name: str) -> int:
    """Return the number of steps done in the saved state with this file name."""
    return int(name.partition("-")[0])


def is_whole(saved: Path, name: str | None = None) -> bool:
    """Whether the MD5 of the file `saved` is the one in `name`, by default its own name."""
    return (name or saved.name).removesuffix(SUFFIX).endswith(md5_of_file(saved))


class Progress:
    """The saved states of one training, each in a file named by its step and by the MD5 of its bytes."""

    def __init__(self, inputs: str) -> None:
        """Open or create the folder of the training whose inputs have the hash `inputs`; delete all other trainings."""
        self.inputs, self.folder = inputs, FOLDER / inputs
        self.on_saved: Callable[[Path], object] | None = None
        """Called with the file of each state after it was saved."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for other in FOLDER.iterdir():
            if other != self.folder:
                shutil.rmtree(other) if other.is_dir() else other.unlink()

    def save(self, step: int, write: Callable[[Path], None]) -> None:
        """Save the state that `write` writes to the given path; the file is complete and on disk when this returns."""
        part = self.folder / "part"
        write(part)
        with part.open("rb") as file:
            os.fsync(file.fileno())
        saved = part.replace(self.folder / f"{step:010d}-{md5_of_file(part)}{SUFFIX}")
        for old in self._newest_first()[KEPT:]:
            old.unlink()
        if self.on_saved is not None:
            self.on_saved(saved)

    def newest(self) -> Path | None:
        """Return the newest undamaged state, None if there is none; damaged ones are deleted."""
        for path in self._newest_first():
            if is_whole(path):
                return path
            logger.warning("%s is damaged, continuing from the one before it", path)
            path.unlink()
        return None

    def step_of(self, saved: Path) -> int:
        """Return the number of steps done in the state `saved`."""
        return step_of(saved.name)

    def _newest_first(self) -> list[Path]:
        return sorted(self.folder.glob(f"*{SUFFIX}"), reverse=True)
