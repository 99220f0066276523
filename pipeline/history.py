"""The generations that Git's history tells of, without any of the data.

Each commit that recorded a training changed data/report/lineage.json, which evaluate writes beside the metrics.
"""

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from pydantic import ValidationError

from pipeline import paths
from pipeline.errors import RecordError
from pipeline.git import contents, git_text
from pipeline.lineage import RECORDED, Recorded

# Fields are separated by what none of them can hold.
FORMAT = "%x00%H%x00%P%x00%an%x00%aI%x00%s"
# All commits that changed it, also those of branches whose change a merge did not keep; joined where branches met.
SELECTION = ("--full-history", "--simplify-merges", "--topo-order")


class Training(NamedTuple):
    """A training as a commit recorded it."""

    commit: str
    parents: list[str]
    """Those among the commits that recorded one."""
    author: str
    date: datetime
    subject: str
    recorded: Recorded
    accuracy: float | None
    """On the test images of then, None where there were none."""

    @property
    def name(self) -> str:
        """How people are told of it."""
        return f"generation {self.recorded.generation} ({self.commit[:7]})"

    def as_row(self) -> list[str]:
        """When, who, start, images, new, removed, steps, accuracy, base, model and commit, for people."""
        recorded, images = self.recorded, self.recorded.images
        generation = f"{recorded.start}, generation {recorded.generation}"
        counts = [f"{count:,}" for count in (images.total, images.new, images.removed, recorded.steps.run)]
        accuracy = "" if self.accuracy is None else f"{self.accuracy:.1%}"
        when = self.date.strftime("%Y-%m-%d %H:%M")
        base = recorded.base[:8] if recorded.base else ""
        return [when, self.author, generation, *counts, accuracy, base, recorded.model[:8], self.commit[:7]]

    def as_json(self) -> dict[str, Any]:
        """All of it, for programs."""
        return {**self._asdict(), "date": self.date.isoformat(), "recorded": self.recorded.model_dump()}


class Line(NamedTuple):
    """Of a drawing of the history."""

    drawn: str
    """What Git draws before it."""
    training: Training | None


def is_shallow() -> bool:
    """Whether the clone lacks the beginning of its history."""
    return git_text("rev-parse", "--is-shallow-repository") == "true"


def generations(revision: str | None = "HEAD") -> list[Training]:
    """Each model that `revision` tells of, or any branch where that is None, oldest first.

    A model that a merge, a revert or a cherry-pick recorded again is told of once, by the commit that was first.
    """
    first: dict[str, Training] = {}
    for training in reversed(trainings(revision)):
        first.setdefault(training.recorded.model, training)
    return list(first.values())


def trainings(revision: str | None = "HEAD") -> list[Training]:
    """The trainings that `revision` tells of, or any branch where that is None, newest first.

    Raises:
        RecordError: there is no such revision, or no repository.
    """
    return [line.training for line in drawing(revision) if line.training is not None]


def drawing(revision: str | None = "HEAD") -> list[Line]:
    """The same, line by line, with branches and merges as `git log --graph` draws them."""
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
    read = contents([f"{commit}:{path.as_posix()}" for commit in commits for path in (RECORDED, paths.METRICS)])
    pairs = dict(zip(commits, zip(read[::2], read[1::2], strict=True), strict=True))
    return [Line(row[0].rstrip(), _training(row, pairs[row[1]]) if len(row) > 1 else None) for row in rows]


def _training(row: Sequence[str], read: tuple[bytes | None, bytes | None]) -> Training | None:
    _, commit, parents, author, date, subject = row
    lineage, metrics = read
    if lineage is None:
        return None  # A commit that removed it.
    try:
        recorded = Recorded.model_validate_json(lineage)
        accuracy = None if metrics is None else json.loads(metrics)["accuracy"]
    except (ValidationError, ValueError, KeyError, TypeError):
        mend = f"see `git show {commit[:7]}:{RECORDED}`"
        raise RecordError(f"{RECORDED} of {commit[:7]}", "cannot be read", mend) from None
    return Training(commit, parents.split(), author, datetime.fromisoformat(date), subject, recorded, accuracy)
