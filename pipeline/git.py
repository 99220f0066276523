"""Calling the `git` command."""

import os
import re
import subprocess
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

from pipeline.errors import RecordError, one_line

# Overrides of user settings that would change Git's output.
PLAIN = ("-c", "color.ui=false", "-c", "log.showSignature=false", "-c", "log.follow=false")
PARTIAL = "this clone is partial: `git fetch --refetch --no-filter` brings the rest, once its remote can be reached"
NO_COMMIT = "nothing is committed yet: run `git add --all && git commit`"
# Commands that lock Git's index or configuration. If one is killed, its lock remains and blocks all later writes.
LOCKING = frozenset({"add", "apply", "commit", "config", "init"})
LOCKED = re.compile(r"Unable to create '(.*\.lock)': File exists|could not lock config file (.*): File exists")
STALE = "wait until it ends; if no Git process is running, one was killed: remove that file"
# Seconds to wait for such a lock of another process, for example an editor.
PATIENCE = 10.0


def git(*arguments: str, given: bytes | None = None, env: Mapping[str, str] | None = None) -> bytes:
    """Run `git ARGUMENTS` with `given` as its input, and return its output.

    Raises:
        RecordError: the command fails, or Git is not installed.
    """
    command, english = ["git", *PLAIN, *arguments], {**(os.environ if env is None else env), "LANGUAGE": "en"}
    until = time.monotonic() + PATIENCE
    while True:
        try:
            ended = (_run_to_its_end if arguments[0] in LOCKING else _run)(command, given, english)
        except FileNotFoundError:
            raise RecordError("git", "is not installed", "install it") from None
        if ended.returncode == 0:
            return ended.stdout
        said = ended.stderr.decode(errors="replace").removeprefix("fatal: ")
        locked = LOCKED.search(said)
        if locked is None:
            what = one_line(ValueError(said))
            raise RecordError("git", what, _hint(what))
        if time.monotonic() > until:
            lock = locked[1] or f"{locked[2]}.lock"
            raise RecordError("git", f"another process of Git holds {lock}", STALE)
        time.sleep(0.1)


def _run(command: list[str], given: bytes | None, env: Mapping[str, str]) -> "subprocess.CompletedProcess[bytes]":
    return subprocess.run(command, check=False, input=given, env=env, capture_output=True)  # noqa: S603


def _run_to_its_end(
    command: list[str], given: bytes | None, env: Mapping[str, str]
) -> "subprocess.CompletedProcess[bytes]":
    """Run `command` in its own session, so that neither signals to this process nor exceptions in it kill `command`."""
    stdin = None if given is None else subprocess.PIPE
    with subprocess.Popen(  # noqa: S603
        command, env=env, stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
    ) as process:
        out, errors = process.communicate(given)
    return subprocess.CompletedProcess(command, process.returncode, out, errors)


def _hint(what: str) -> str:
    """Return the hint for Git's error message `what`."""
    if "promisor remote" in what:
        return PARTIAL
    if "revision 'HEAD'" in what or "does not have any commits" in what:
        return NO_COMMIT
    if "bad revision" in what:
        return "`git log` lists the commits"
    return "run this in a clone of the project, with a commit"


def git_text(*arguments: str) -> str:
    """Run `git ARGUMENTS`, and return its output as text without the last line break.

    Raises:
        RecordError: the command fails, or Git is not installed.
    """
    return git(*arguments).decode(errors="replace").rstrip("\n")


# Files that Git keeps while an operation is unfinished, and the operation's name.
UNFINISHED = {
    "MERGE_HEAD": "merge",
    "CHERRY_PICK_HEAD": "cherry-pick",
    "REVERT_HEAD": "revert",
    "rebase-merge": "rebase",
    "rebase-apply": "rebase",
}


def unfinished() -> str | None:
    """Return the unfinished operation ("merge", for example), None if there is none, or if there is no repository."""
    asked = [part for name in UNFINISHED for part in ("--git-path", name)]
    try:
        places = git_text("rev-parse", *asked).split("\n")
    except RecordError:
        return None
    return next((what for place, what in zip(places, UNFINISHED.values(), strict=True) if Path(place).exists()), None)


def merge_heads() -> list[str]:
    """Return revisions that may be part of an unfinished merge; not all of them need exist.

    During a merge there may be no branch for them: neither `git pull URL` nor `git rebase` creates one.
    """
    named = [name.removeprefix("GITHEAD_") for name in os.environ if name.startswith("GITHEAD_")]  # In merge drivers.
    return [*named, "MERGE_HEAD", "CHERRY_PICK_HEAD", "REVERT_HEAD", "REBASE_HEAD"]


def contents(places: Iterable[tuple[str, Path]]) -> list[bytes | None]:
    """Return the content of each of `places`, a revision and a file in the project; None for a missing file.

    One Git process reads all of them.

    Raises:
        RecordError: Git fails, or is not installed.
    """
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
