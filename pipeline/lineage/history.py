"""The generations that Git's history records; no data is read.

Each commit that recorded a training changed data/report/lineage.json, which evaluate writes next to the metrics.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property, partial
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import ValidationError

from pipeline import paths
from pipeline.errors import RecordError
from pipeline.git import contents, git_text
from pipeline.lineage.lineage import RECORDED, Recorded, read_recorded
from pipeline.lineage.recorded_metrics import parse_metrics
from pipeline.versioning.lock import parse_record

logger = logging.getLogger(__name__)


# Fields are separated by zero bytes, which no field can contain.
FORMAT = "%x00%H%x00%P%x00%an%x00%aI%x00%s"
# Every commit that changed the file, even on branches whose change a merge dropped, and the merges that join them.
SELECTION = ("--full-history", "--simplify-merges", "--topo-order")


class Training(NamedTuple):
    """A training as recorded by a commit."""

    commit: str
    parents: list[str]
    """Its parents among the commits that recorded a training."""
    author: str
    date: datetime
    subject: str
    recorded: Recorded
    accuracy: float | None
    """Accuracy on the test images of that time; None where there were none."""

    @property
    def name(self) -> str:
        """Its name in messages."""
        return f"generation {self.recorded.generation} ({self.commit[:7]})"

    def as_json(self) -> dict[str, Any]:
        """Return all fields as JSON values."""
        return {**self._asdict(), "date": self.date.isoformat(), "recorded": self.recorded.model_dump()}


class GraphLine(NamedTuple):
    """A line of the drawn history."""

    drawn: str
    """The part of the graph that Git draws in front of the commit."""
    training: Training | None


def is_shallow() -> bool:
    """Whether the clone is shallow, so that the beginning of its history is missing."""
    return git_text("rev-parse", "--is-shallow-repository") == "true"


def generations(revision: str | None = "HEAD") -> list[Training]:
    """Return each model recorded in the history of `revision`, or of any branch if it is None, oldest first.

    A model that a merge, a revert or a cherry-pick recorded again is listed once, with the first commit.
    """
    first: dict[str, Training] = {}
    for training in reversed(trainings(revision)):
        first.setdefault(training.recorded.model, training)
    return list(first.values())


def trainings(revision: str | None = "HEAD") -> list[Training]:
    """Return the trainings recorded in the history of `revision`, or of any branch if it is None, newest first.

    Raises:
        RecordError: there is no such revision, or no repository.
    """
    return [line.training for line in drawing(revision) if line.training is not None]


def drawing(revision: str | None = "HEAD") -> list[GraphLine]:
    """Return the trainings line by line, with branches and merges drawn as by `git log --graph`."""
    out = git_text(
        "log",
        "--graph",
        "--parents",
        *SELECTION,
        f"--format={FORMAT}",
        *(["--all"] if revision is None else ["--end-of-options", revision]),
        "--",
        str(RECORDED),
    )
    rows = [line.split("\0") for line in out.split("\n") if line]
    commits = [row[1] for row in rows if len(row) > 1]
    read = contents((commit, path) for commit in commits for path in (RECORDED, paths.METRICS))
    pairs = zip(read[::2], read[1::2], strict=True)
    found = {row[1]: _training(row, pair) for row, pair in zip((row for row in rows if row[1:]), pairs, strict=True)}
    trained = _without_repetitions(found, {row[1]: row[2].split() for row in rows if row[1:]})
    return [GraphLine(row[0].rstrip(), trained.get(row[1]) if len(row) > 1 else None) for row in rows]


def _without_repetitions(found: Mapping[str, Training | None], parents: Mapping[str, list[str]]) -> dict[str, Training]:
    """Return the trainings by commit, without commits that record the same model as a parent, as merges do.

    The record of such a commit is newer, for example if the model was evaluated again with another gate, so the
    parent's training gets it. The commit's children become children of its `parents`. `found` lists every commit before
    its parents.
    """
    passed: dict[str, list[str]] = {}
    trained: dict[str, Training] = {}
    for commit, training in reversed([*found.items()]):
        before = [root for parent in parents[commit] for root in passed.get(parent, [parent])]
        if training is None:
            passed[commit] = before
            continue
        same = [one for one in before if one in trained and trained[one].recorded.model == training.recorded.model]
        for one in same:
            trained[one] = trained[one]._replace(recorded=training.recorded, accuracy=training.accuracy)
        if same:
            passed[commit] = before
        else:
            trained[commit] = training._replace(parents=before)
    return trained


def recorded_at(revision: str) -> Recorded | None:
    """Return the lineage that `revision` records; None if it records none, or does not exist.

    Raises:
        RecordError: the recorded lineage cannot be read.
    """
    try:
        commit = git_text("rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
    except (RecordError, ValueError):  # ValueError: an argument cannot contain a zero byte.
        return None
    (content,) = contents([(commit, RECORDED)])
    return None if content is None else _recorded(content, commit)


def _training(row: Sequence[str], read: tuple[bytes | None, bytes | None]) -> Training | None:
    """Return the training that a commit records; None if it removed the record, or the record cannot be read.

    An unreadable record causes only a warning, since a commit cannot be corrected.
    """
    _, commit, parents, author, date, subject = row
    lineage, metrics = read
    if lineage is None:
        return None
    try:
        recorded = _recorded(lineage, commit)
        accuracy = None if metrics is None else parse_metrics(metrics, None, partial(show_hint, commit))["accuracy"]
    except (RecordError, KeyError) as error:
        logger.warning("%s", error if isinstance(error, RecordError) else _damaged(commit))
        return None
    return Training(commit, parents.split(), author, datetime.fromisoformat(date), subject, recorded, accuracy)


def _recorded(content: bytes, commit: str) -> Recorded:
    try:
        return Recorded.model_validate_json(content)
    except ValidationError:
        raise _damaged(commit) from None


def _damaged(commit: str) -> RecordError:
    return RecordError(f"{RECORDED} of {commit[:7]}", "cannot be read", show_hint(commit, RECORDED))


def show_hint(commit: str, path: Path) -> str:
    """Return the hint for a file of a commit that cannot be read."""
    return f"see `git show {commit[:7]}:{path}`"


# The hint where data of earlier commits is in neither cache nor remote.
PUSH_ALL = "run `dvc push --all-commits` where it was trained, then `dvc fetch --all-commits` here"


@dataclass(frozen=True)
class RecordedModel:
    """A generation, and the commit that records it."""

    recorded: Recorded
    training: Training | None = None
    """None where no commit has recorded it yet."""
    lock: bytes | None = None
    """The content of dvc.lock in the same commit, or in the workspace; None where there is no such file."""

    @property
    def name(self) -> str:
        """Its name in messages."""
        return self.training.name if self.training else f"generation {self.recorded.generation} (not committed)"

    @cached_property
    def outputs(self) -> dict[str, str]:
        """The hash of each output in `lock`, by path; empty if `lock` cannot be read."""
        where = f"{self.training.commit[:7]}:{paths.LOCK}" if self.training else str(paths.LOCK)
        try:
            stages = parse_record(self.lock, where) if self.lock else {}
        except RecordError:
            return {}
        return {path: oid for stage in stages.values() for path, oid in stage.outs.items()}


def every_model() -> Iterator[RecordedModel]:
    """Yield every generation of any branch, oldest first, then the one that no commit has recorded yet, if any.

    Raises:
        RecordError: there is no Git repository, or its records cannot be read.
    """
    told = generations(None)
    locks = contents((training.commit, paths.LOCK) for training in told)
    for training, lock in zip(told, locks, strict=True):
        yield RecordedModel(training.recorded, training, lock)
    newest = read_recorded()
    if newest and newest.model not in {training.recorded.model for training in told}:
        yield RecordedModel(newest, lock=paths.LOCK.read_bytes() if paths.LOCK.exists() else None)
