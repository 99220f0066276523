"""Git, through its own command."""

import os
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path

from pipeline.errors import RecordError, one_line

# What people may have set that would change what is read here.
PLAIN = ("-c", "color.ui=false", "-c", "log.showSignature=false", "-c", "log.follow=false")
PARTIAL = "this clone is partial: `git fetch --refetch --no-filter` brings the rest, once its remote can be reached"
NO_COMMIT = "nothing is committed yet: run `git add --all && git commit`"


def git(*arguments: str, given: bytes | None = None, env: Mapping[str, str] | None = None) -> bytes:
    """What `git ARGUMENTS` prints, given `given`.

    Raises:
        RecordError: it fails, or there is no Git.
    """
    try:
        command, english = ["git", *PLAIN, *arguments], {**(os.environ if env is None else env), "LANGUAGE": "en"}
        return subprocess.run(command, input=given, env=english, check=True, capture_output=True).stdout  # noqa: S603
    except FileNotFoundError:
        raise RecordError("git", "is not installed", "install it") from None
    except subprocess.CalledProcessError as error:
        what = one_line(ValueError(error.stderr.decode(errors="replace").removeprefix("fatal: ")))
        raise RecordError("git", what, _hint(what)) from None


def _hint(what: str) -> str:
    """What to do where Git complains of `what`."""
    if "promisor remote" in what:
        return PARTIAL
    if "revision 'HEAD'" in what or "does not have any commits" in what:
        return NO_COMMIT
    if "bad revision" in what:
        return "`git log` lists the commits"
    return "run this in a clone of the project, with a commit"


def git_text(*arguments: str) -> str:
    """The same as text, without the line break at its end."""
    return git(*arguments).decode(errors="replace").rstrip("\n")


# What Git keeps as long as something is not ended, and what that is.
UNFINISHED = {
    "MERGE_HEAD": "merge",
    "CHERRY_PICK_HEAD": "cherry-pick",
    "REVERT_HEAD": "revert",
    "rebase-merge": "rebase",
    "rebase-apply": "rebase",
}


def unfinished() -> str | None:
    """What is in progress here ("merge", for example), None where nothing is, or where there is no Git."""
    asked = [part for name in UNFINISHED for part in ("--git-path", name)]
    try:
        places = git_text("rev-parse", *asked).split("\n")
    except RecordError:
        return None
    return next((what for place, what in zip(places, UNFINISHED.values(), strict=True) if Path(place).exists()), None)


def merge_heads() -> list[str]:
    """Names of what may be being merged right now; not all of them need exist.

    While a merge is under way no branch need lead to it: who pulls from an address has none, nor has who rebases.
    """
    named = [name.removeprefix("GITHEAD_") for name in os.environ if name.startswith("GITHEAD_")]  # For merge drivers.
    return [*named, "MERGE_HEAD", "CHERRY_PICK_HEAD", "REVERT_HEAD", "REBASE_HEAD"]


def contents(places: Iterable[tuple[str, Path]]) -> list[bytes | None]:
    """What each of `places`, a revision and a file of the project, holds, None where there is none; by one process."""
    names = [f"{revision}:./{path.as_posix()}\n" for revision, path in places]
    out, place = git("cat-file", "--batch", given="".join(names).encode()), 0
    found: list[bytes | None] = []
    for _ in names:
        end = out.index(b"\n", place)
        header, place = out[place:end].split(b" "), end + 1
        if header[-1] == b"missing":
            found.append(None)
            continue
        size = int(header[-1])
        found.append(out[place : place + size])
        place += size + 1
    return found
