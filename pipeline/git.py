"""Git, through its own command."""

import os
import re
import subprocess
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

from pipeline.errors import RecordError, one_line

# What people may have set that would change what is read here.
PLAIN = ("-c", "color.ui=false", "-c", "log.showSignature=false", "-c", "log.follow=false")
PARTIAL = "this clone is partial: `git fetch --refetch --no-filter` brings the rest, once its remote can be reached"
NO_COMMIT = "nothing is committed yet: run `git add --all && git commit`"
# Commands that lock Git's index or configuration. One that is killed leaves its lock, and no Git can write any more.
LOCKING = frozenset({"add", "apply", "commit", "config", "init"})
LOCKED = re.compile(r"Unable to create '(.*\.lock)': File exists|could not lock config file (.*): File exists")
STALE = "wait until it ends; if none runs, one was killed: remove that file"
# How long such a lock of another process, of an editor for example, is waited for, in seconds.
PATIENCE = 10.0


def git(*arguments: str, given: bytes | None = None, env: Mapping[str, str] | None = None) -> bytes:
    """What `git ARGUMENTS` prints, given `given`.

    Raises:
        RecordError: it fails, or there is no Git.
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
    """Run it in a session of its own: neither what kills this process nor what is raised in it kills `command`."""
    stdin = None if given is None else subprocess.PIPE
    with subprocess.Popen(  # noqa: S603
        command, env=env, stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
    ) as process:
        out, errors = process.communicate(given)
    return subprocess.CompletedProcess(command, process.returncode, out, errors)


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
