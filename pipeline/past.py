"""Every model that Git's history tells of, with what dvc.lock recorded beside it."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from pipeline import paths
from pipeline.errors import RecordError
from pipeline.git import contents
from pipeline.history import Training, generations
from pipeline.lineage import Recorded, read_recorded
from pipeline.record import parse_record

# What to do where data of the past is in neither cache nor remote.
MEND = "run `dvc push --all-commits` where it was trained, then `dvc fetch --all-commits` here"


@dataclass(frozen=True)
class Model:
    """A generation, and where it is told of."""

    recorded: Recorded
    training: Training | None = None
    """None where no commit has recorded it yet."""
    lock: bytes | None = None
    """dvc.lock of the same commit, or of the workspace; None where there is none."""

    @property
    def name(self) -> str:
        """How people are told of it."""
        return self.training.name if self.training else f"generation {self.recorded.generation} (not committed)"

    @cached_property
    def outputs(self) -> dict[str, str]:
        """The hash of each output of then, by path; none where dvc.lock of then cannot be read."""
        where = f"{self.training.commit[:7]}:{paths.LOCK}" if self.training else str(paths.LOCK)
        try:
            stages = parse_record(self.lock, where) if self.lock else {}
        except RecordError:
            return {}
        return {path: oid for stage in stages.values() for path, oid in stage.outs.items()}


def models() -> Iterator[Model]:
    """Every generation of any branch, oldest first, and the one that no commit has recorded yet.

    Raises:
        RecordError: there is no Git repository, or its records cannot be read.
    """
    told = generations(None)
    locks = contents((training.commit, paths.LOCK) for training in told)
    for training, lock in zip(told, locks, strict=True):
        yield Model(training.recorded, training, lock)
    newest = read_recorded()
    if newest and newest.model not in {training.recorded.model for training in told}:
        yield Model(newest, lock=paths.LOCK.read_bytes() if paths.LOCK.exists() else None)
