"""What has changed for a stage since dvc.lock recorded its last run: code, command, params."""

from collections.abc import Iterator
from typing import NamedTuple

from pipeline.commands.status.stages import changed_params
from pipeline.versioning.definition import code_among
from pipeline.versioning.lock import StageRecord


class StageChange(NamedTuple):
    """How a stage differs from its record, data apart."""

    new: list[str]
    """Files of code that are new to it."""
    changed: list[str]
    gone: list[str]
    """Files of code that it does not depend on any more."""
    command: bool
    """Whether it is run by another command."""
    params: list[str]
    """What is new, gone or another value, a sentence for each."""

    @classmethod
    def between(cls, recorded: StageRecord, now: StageRecord) -> "StageChange":
        """How `now` differs from what is `recorded`."""
        before, after = code_among(recorded.deps), code_among(now.deps)
        return cls(
            new=sorted(after.keys() - before.keys()),
            changed=sorted(path for path in before.keys() & after.keys() if before[path] != after[path]),
            gone=sorted(before.keys() - after.keys()),
            command=recorded.command != now.command,
            params=[reason.text for reason in changed_params(recorded.params, now.params)],
        )

    def __bool__(self) -> bool:
        """Whether DVC runs the stage for it; what a stage does not depend on any more is no reason."""
        return bool(self.new or self.changed or self.command or self.params)

    def __str__(self) -> str:
        """In half a line."""
        return ", ".join(self._parts()) or "nothing has changed"

    def _parts(self) -> Iterator[str]:
        counts = ((self.new, "new"), (self.changed, "changed"), (self.gone, "gone"))
        if told := ", ".join(f"{len(paths):,} {what}" for paths, what in counts if paths):
            yield f"code ({told})"
        if self.command:
            yield "command"
        yield from self.params
