"""The generations that Git's history tells of, without any of the data.

Each commit that recorded a training changed data/report/lineage.json, which evaluate writes beside the metrics.
"""

import json
import subprocess
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from pydantic import ValidationError

from pipeline import paths
from pipeline.errors import RecordError, one_line
from pipeline.lineage import LINEAGE, Recorded

RECORDED = paths.REPORT / LINEAGE
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
    return _git("rev-parse", "--is-shallow-repository").strip() == "true"


def trainings(revision: str = "HEAD") -> list[Training]:
    """The trainings that `revision` tells of, newest first.

    Raises:
        RecordError: there is no such revision, or no repository.
    """
    return [line.training for line in drawing(revision) if line.training is not None]


def drawing(revision: str = "HEAD") -> list[Line]:
    """The same, line by line, with branches and merges as `git log --graph` draws them."""
    out = _git(
        "log",
        "--graph",
        "--parents",
        *SELECTION,
        f"--format={FORMAT}",
        "--end-of-options",
        revision,
        "--",
        str(RECORDED),
    )
    rows = [line.split("\0") for line in out.split("\n") if line]
    commits = [row[1] for row in rows if len(row) > 1]
    read = dict(zip(commits, _read(commits), strict=True))
    return [Line(row[0].rstrip(), _training(row, read[row[1]]) if len(row) > 1 else None) for row in rows]


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


def _read(commits: Sequence[str]) -> Iterator[tuple[bytes | None, bytes | None]]:
    """Lineage and metrics of each commit, by one process."""
    names = [f"{commit}:{path.as_posix()}" for commit in commits for path in (RECORDED, paths.METRICS)]
    out, place = _run("cat-file", "--batch", given="\n".join([*names, ""]).encode()), 0
    contents: list[bytes | None] = []
    for _ in names:
        end = out.index(b"\n", place)
        header, place = out[place:end].split(b" "), end + 1
        if header[-1] == b"missing":
            contents.append(None)
            continue
        size = int(header[-1])
        contents.append(out[place : place + size])
        place += size + 1
    yield from zip(contents[::2], contents[1::2], strict=True)


def _git(*arguments: str) -> str:
    return _run(*arguments).decode(errors="replace")


def _run(*arguments: str, given: bytes | None = None) -> bytes:
    try:
        command = ["git", *arguments]
        return subprocess.run(command, input=given, check=True, capture_output=True).stdout  # noqa: S603 (no shell)
    except FileNotFoundError:
        raise RecordError("git", "is not installed", "install it") from None
    except subprocess.CalledProcessError as error:
        what = one_line(ValueError(error.stderr.decode(errors="replace").removeprefix("fatal: ")))
        raise RecordError("git", what, "run this in a clone of the project, with a commit") from None
