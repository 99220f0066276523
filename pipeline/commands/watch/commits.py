"""Commit and push the files that the pipeline writes; other changes stay untouched, and nothing is force-pushed."""

import sys
from pathlib import Path

from pipeline import paths
from pipeline.commands.subprocesses import DVC, Subprocesses
from pipeline.errors import RecordError
from pipeline.git import git, git_text, unfinished
from pipeline.versioning.lock import read_yaml

# Files that a run depends on and does not write.
CONDITIONS = (paths.PARAMS, paths.PIPELINE, Path("pipeline"))
# Pushes the data of given commits; the command `dvc push` supports only the workspace, or all commits.
PUSH_COMMITS = "import sys; from dvc.repo import Repo; Repo().push(revs=sys.argv[1:])"


def own_files() -> list[str]:
    """Return the existing files in Git that DVC and the pipeline write."""
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
    """Check that a commit is possible now.

    Raises:
        RecordError: a merge or the like is unfinished, or HEAD is on no branch.
    """
    if what := unfinished():
        raise RecordError("git", f"a {what} is unfinished, so nothing is committed", "end it; the next run commits")
    if git_text("rev-parse", "--abbrev-ref", "HEAD") == "HEAD":
        raise RecordError("git", "HEAD is on no branch, so nothing is committed", "`git switch` to one")


def commit(message: str) -> str | None:
    """Commit the pipeline's own files, and return the abbreviated hash; None if none has changed.

    Other staged or changed files stay as they are.

    Raises:
        RecordError: Git cannot commit now.
    """
    files = own_files()
    if not git("status", "--porcelain", "--untracked-files=all", "--", *files):
        return None
    check_can_commit()
    try:
        git("add", "--", *files)  # `git commit --only` does not add new files.
        git("commit", "--quiet", "--only", "--message", message, "--", *files)
    except RecordError as error:
        raise RecordError("git commit", error.args[1], "see `git status`; the next run commits") from None
    return git_text("rev-parse", "--short", "HEAD")


def uncommitted_conditions() -> list[str]:
    """Return the files that a run depends on and that have uncommitted changes."""
    lines = git("status", "--porcelain", "-z", "--no-renames", "--", *map(str, CONDITIONS)).decode(errors="replace")
    return [line[3:] for line in lines.split("\0") if line]


def check_can_push() -> None:
    """Check that this repository is set up for pushing.

    Raises:
        RecordError: DVC has no default remote, or Git's branch has no upstream.
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
    """Push data, then commits, if there are unpushed commits; return whether there were.

    All data of the commits is pushed first, so that Git never refers to data that DVC's remote lacks.

    Raises:
        RecordError: a push failed, for example because somebody else has pushed before.
    """
    if not _unpushed():
        return False
    check_can_commit()
    # --full-history includes commits on sides of merges that were not kept: Git will refer to their data, too.
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
    """Return the commits that the branch's upstream lacks."""
    return git_text("rev-list", "@{upstream}..HEAD", *options).split()
