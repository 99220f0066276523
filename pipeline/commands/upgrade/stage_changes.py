"""What has changed for a stage since dvc.lock recorded its last run: code, command, params."""

from collections.abc import Iterator
from typing import NamedTuple

from pipeline.commands.status.stages import changed_params
from pipeline.versioning.definition import code_among
from pipeline.versioning.lock import StageRecord


class StageChange(NamedTuple):
    """How a stage differs from its record, apart from data."""

    new: list[str]
    """Code files that it did not depend on before."""
    changed: list[str]
    gone: list[str]
    """Code files that it no longer depends on."""
    command: bool
    """Whether its command has changed."""
    params: list[str]
    """A sentence for each param that is new, gone or changed."""

    @classmethod
    def between(cls, recorded: StageRecord, now: StageRecord) -> "StageChange":
        """Compare the stage as it is `now` with the `recorded` one."""
        before, after = code_among(recorded.deps), code_among(now.deps)
        return cls(
            new=sorted(after.keys() - before.keys()),
            changed=sorted(path for path in before.keys() & after.keys() if before[path] != after[path]),
            gone=sorted(before.keys() - after.keys()),
            command=recorded.command != now.command,
            params=[reason.text for reason in changed_params(recorded.params, now.params)],
        )

    def __bool__(self) -> bool:
        """Whether DVC reruns the stage because of it; files that it no longer depends on are no reason."""
        return bool(self.new or self.changed or self.command or self.params)

    def __str__(self) -> str:
        """Describe the changes in half a line."""
        return ", ".join(self._parts()) or "nothing has changed"

    def _parts(self) -> Iterator[str]:
        counts = ((self.new, "new"), (self.changed, "changed"), (self.gone, "gone"))
        if told := ", ".join(f"{len(paths):,} {what}" for paths, what in counts if paths):
            yield f"code ({told})"
        if self.command:
            yield "command"
        yield from self.params
