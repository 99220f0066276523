"""Registers what Git calls: our merge driver, and hooks that bring data/raw in sync with data/raw.dvc.

The repository's .gitattributes lists the files that the driver merges. The driver itself is configured in each clone.
"""

import shlex
import sys
from pathlib import Path

from pipeline import paths
from pipeline.errors import RecordError
from pipeline.git import git, git_text
from pipeline.versioning import git_guard

DRIVER = "treering"
HOOKS = ("post-merge", "post-checkout", "post-rewrite", "post-commit")
MARK = "# Made by `pipeline setup`."
SCRIPT = f"""#!/bin/sh
{MARK} Brings data/raw in sync with {paths.RAW_DVC} after Git has changed that.
case $(basename "$0") in
post-checkout) [ "$3" = 1 ] || exit 0 ;;
post-rewrite) [ "$1" = rebase ] || exit 0 ;;
esac
if [ "$(basename "$0")" != post-rewrite ]; then  # In a rebase its end is soon enough.
    for folder in rebase-merge rebase-apply; do [ ! -d "$(git rev-parse --git-path "$folder")" ] || exit 0; done
fi
now=$(git rev-parse --quiet --verify ":{paths.RAW_DVC}") || exit 0
if [ -f {git_guard.NOTE} ]; then
    {{ read -r blob; read -r oid; }} < {git_guard.NOTE}
    [ "$now" != "$blob" ] || exit 0
    if [ -n "$oid" ] && git cat-file blob "$now" | grep -qF "$oid"; then  # Git has caught up with data/raw.
        printf '%s\\n' "$now" "$oid" > {git_guard.NOTE}
        exit 0
    fi
fi
[ ! -d {paths.RAW} ] || exec PYTHON -m pipeline sync --hook
"""


def set_up() -> list[str]:
    """Register the driver and the hooks with the clone in the working directory.

    Returns:
        the hooks that were left alone, since somebody else made them or `core.hooksPath` names another folder.

    Raises:
        RecordError: there is no Git repository, or the project is only a part of it.
    """
    if inside := git_text("rev-parse", "--show-prefix"):
        what = (
            f"the project is in the folder {inside} of its repository, where Git's merge drivers and hooks do not work"
        )
        raise RecordError("git", what, "give it a repository of its own to merge branches that train")
    python = shlex.quote(sys.executable)
    git("config", f"merge.{DRIVER}.name", "the better of two models, all images of both sides")
    driver = python.replace("%", "%%")  # Only the arguments after it are placeholders.
    git("config", f"merge.{DRIVER}.driver", f"{driver} -m pipeline merge-driver %O %A %B %P")
    # If two branches have several common ancestors, Git first merges these; one of them suffices.
    git("config", f"merge.{DRIVER}.recursive", "binary")
    if git_text("config", "--default", "", "--get", "core.hooksPath"):
        return list(HOOKS)  # Other projects may share that folder.
    folder = Path(git_text("rev-parse", "--git-path", "hooks"))
    folder.mkdir(parents=True, exist_ok=True)
    return [name for name in HOOKS if not _write(folder / name, SCRIPT.replace("PYTHON", python))]


def _write(hook: Path, script: str) -> bool:
    """Write `script` unless there is a hook of somebody else; return whether it was written."""
    if hook.exists() and MARK not in hook.read_text(encoding="utf-8", errors="replace"):
        return False
    hook.unlink(missing_ok=True)
    hook.write_text(script, encoding="utf-8")
    hook.chmod(0o755)
    return True
