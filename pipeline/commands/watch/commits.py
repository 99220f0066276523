"""What the pipeline writes for Git: committed and pushed without touching anything else, never by force."""

import sys
from pathlib import Path

from pipeline import paths
from pipeline.commands.subprocesses import DVC, Subprocesses
from pipeline.errors import RecordError
from pipeline.git import git, git_text, unfinished
from pipeline.versioning.lock import read_yaml

# What a run depends on and no run writes.
CONDITIONS = (paths.PARAMS, paths.PIPELINE, Path("pipeline"))
# `dvc push` of what commits name; its command line knows the workspace, or everything.
PUSH_COMMITS = "import sys; from dvc.repo import Repo; Repo().push(revs=sys.argv[1:])"


def own_files() -> list[str]:
    """The files in Git that are DVC's and the pipeline's to write, as far as they are there."""
    stages = read_yaml(paths.PIPELINE)["stages"].values()
    entries = [entry for stage in stages for kind in ("outs", "metrics", "plots") for entry in stage.get(kind, [])]
    flags = {path: flag for entry in entries if isinstance(entry, dict) for path, flag in entry.items()}
    kept = [path for path, flag in flags.items() if flag and flag.get("cache") is False]
    files = [
        paths.RAW_DVC,
        paths.SHARDS_DVC,
        paths.LOCK,
        paths.ERASED,
        paths.CLASSES,
        paths.DATA / ".gitignore",
        *map(Path, kept),
    ]
    return [path.as_posix() for path in files if path.exists()]


def check_can_commit() -> None:
    """Raise what speaks against a commit now.

    Raises:
        RecordError: a merge or the like is unfinished, or HEAD is on no branch.
    """
    if what := unfinished():
        raise RecordError("git", f"a {what} is unfinished, so nothing is committed", "end it; the next run commits")
    if git_text("rev-parse", "--abbrev-ref", "HEAD") == "HEAD":
        raise RecordError("git", "HEAD is on no branch, so nothing is committed", "`git switch` to one")


def commit(message: str) -> str | None:
    """Commit our own files, if any has changed; returns the commit, in short.

    What else is staged or changed stays as it is.

    Raises:
        RecordError: Git cannot commit now.
    """
    files = own_files()
    if not git("status", "--porcelain", "--untracked-files=all", "--", *files):
        return None
    check_can_commit()
    try:
        git("add", "--", *files)  # Those that are new to Git.
        git("commit", "--quiet", "--only", "--message", message, "--", *files)
    except RecordError as error:
        raise RecordError("git commit", error.args[1], "see `git status`; the next run commits") from None
    return git_text("rev-parse", "--short", "HEAD")


def uncommitted_conditions() -> list[str]:
    """The files that a run depends on and that are not as they were committed."""
    lines = git("status", "--porcelain", "-z", "--no-renames", "--", *map(str, CONDITIONS)).decode(errors="replace")
    return [line[3:] for line in lines.split("\0") if line]


def check_can_push() -> None:
    """Raise what speaks against ever pushing from here.

    Raises:
        RecordError: DVC has no default remote, or Git's branch no upstream.
    """
    from pipeline.versioning import repository

    if not repository.repository().config["core"].get("remote"):
        raise RecordError("dvc", "there is no default remote to push to", "run `dvc remote add --default NAME URL`")
    try:
        _unpushed()
    except RecordError:
        branch = git_text("rev-parse", "--abbrev-ref", "HEAD")
        hint = f"run `git push --set-upstream origin {branch}` once"
        raise RecordError("git", f"the branch {branch} has no upstream to push to", hint) from None


def push(children: Subprocesses) -> bool:
    """Push data, then commits, if any are not pushed; returns whether there were.

    All data that the commits name goes first, so that Git never names what DVC's remote lacks.

    Raises:
        RecordError: it failed, because somebody else has pushed before, for example.
    """
    if not _unpushed():
        return False
    check_can_commit()
    # Those, too, whose side a merge did not keep: Git will name what they name.
    naming = _unpushed("--full-history", "--", *map(str, (paths.LOCK, paths.RAW_DVC, paths.SHARDS_DVC)))
    data = [*DVC, "push"] if len(naming) < 2 else [sys.executable, "-c", PUSH_COMMITS, *naming]
    ended = children.run(*data)
    if ended.code:
        raise RecordError("dvc push", f"failed, so Git is not pushed: {ended.error}", f"see {children.log}")
    ended = children.run("git", "push", "--porcelain")
    if "[rejected]" in ended.output:
        what = "refused, because somebody else has pushed before"
        raise RecordError("git push", what, "run `git pull`, then `dvc repro`; the next run pushes")
    if ended.code:
        raise RecordError("git push", f"failed: {ended.error}", f"see {children.log}; the next run tries again")
    return True


def _unpushed(*options: str) -> list[str]:
    """The commits that the branch's upstream lacks."""
    return git_text("rev-list", "@{upstream}..HEAD", *options).split()
