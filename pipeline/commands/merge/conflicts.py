"""Resolves conflicts in Git's index, after a merge without our driver or one in which the sides disagree."""

from contextlib import suppress
from pathlib import Path

from pipeline import paths
from pipeline.commands.merge.listings import Side
from pipeline.commands.merge.merging import MERGES, Versions, merge_file
from pipeline.errors import RecordError
from pipeline.files import write_text
from pipeline.git import git, git_text

OURS = {paths.RAW_DVC.as_posix(), paths.CLASSES.as_posix(), *MERGES}


def in_conflict() -> dict[str, dict[int, str]]:
    """Return Git's blob hashes of each file in conflict, by path and stage: 1 ancestor, 2 ours, 3 theirs."""
    found: dict[str, dict[int, str]] = {}
    for entry in filter(None, git_text("ls-files", "--unmerged", "-z").split("\0")):
        facts, _, path = entry.partition("\t")
        _, blob, stage = facts.split()
        found.setdefault(path, {})[int(stage)] = blob
    return found


def resolve(take: Side | None) -> tuple[list[str], list[str]]:
    """Merge the files in conflict that the pipeline can merge; `take` is the side that wins, see `merging.merge_file`.

    Returns:
        the files that were merged, and the files that are still in conflict.

    Raises:
        MergeError: see `merging.merge_file`; files that were merged before the error stay merged.
    """
    found = in_conflict()
    merged = [path for path in found if path in OURS and {2, 3} <= found[path].keys()]
    for path in merged:
        blobs = (found[path].get(stage) for stage in (1, 2, 3))
        versions = Versions(*(git("cat-file", "blob", blob) if blob else b"" for blob in blobs))
        write_text(Path(path), merge_file(path, versions, take).decode())
        git("add", "--", path)
    return merged, [path for path in found if path not in merged]


def mark_conflict(ancestor: Path, ours: Path, theirs: Path) -> None:
    """Write both sides with Git's conflict markers into the file `ours`, so that nobody takes one for the result."""
    with suppress(RecordError):  # Its exit status is the number of conflicts.
        git("merge-file", "--quiet", *(str(path) for path in (ours, ancestor, theirs)))
