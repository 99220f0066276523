"""Which release of the code a project was made from, and where a newer one is had: treering.json."""

import json
from pathlib import Path
from typing import NamedTuple, Self

from pipeline.errors import RecordError
from pipeline.files import write_text
from pipeline.git import git, git_text

# The code that is running, and all else that a project is made of: in a wheel within it, else beside it.
CODE = Path(__file__).parents[2]
PACKED = CODE / "release"
ROOT = PACKED if PACKED.exists() else CODE.parent
RECORD = Path("treering.json")


class Release(NamedTuple):
    """A version of the code."""

    source: str
    """What Git fetches it from: a URL, or a folder."""
    commit: str

    @classmethod
    def running(cls) -> Self | None:
        """That of the code that is running; None where neither Git nor a record knows."""
        if (ROOT / RECORD).exists():
            return cls.read(ROOT)
        try:
            if git_text("-C", str(ROOT), "rev-parse", "--show-prefix"):
                return None  # Of a repository that is somebody else's.
            commit = git_text("-C", str(ROOT), "rev-parse", "--verify", "HEAD")
            names = git_text("-C", str(ROOT), "remote").split()
            return cls(
                git_text("-C", str(ROOT), "remote", "get-url", "origin") if "origin" in names else str(ROOT), commit
            )
        except RecordError:
            return None

    @classmethod
    def read(cls, folder: Path = Path()) -> Self:
        """That which the project in `folder` records.

        Raises:
            RecordError: it records none.
        """
        try:
            return cls(**json.loads((folder / RECORD).read_bytes()))
        except FileNotFoundError:
            hint = "merge the release by Git, see docs/upgrade.md"
            raise RecordError(RECORD, "no such file: `pipeline init` did not make this project", hint) from None
        except (ValueError, TypeError):
            raise RecordError(RECORD, "cannot be read", f"run `git checkout {RECORD}`") from None

    def write(self, folder: Path = Path()) -> None:
        """Let the project in `folder` record it."""
        write_text(folder / RECORD, json.dumps(self._asdict(), indent=2) + "\n")


# What a newer release brings: code, and what belongs to it; what is a project's own it leaves alone.
BROUGHT = (
    *("pipeline", ":(glob)docs/*.md", "dvc.yaml", "params.yaml", ".dvcignore", ".gitattributes"),
    *("setup.mk", "requirements.txt", "requirements-dev.txt", "requirements-timm.txt", "Dockerfile", ".dockerignore"),
)


def bring(release: Release, source: str | None) -> tuple[Release, list[str]]:
    """Change the code here as it has changed from `release` to the newest of `source`, or of where that came from.

    What was changed here as well is merged, line by line. Files that are not here stay so.

    Returns:
        the newest release, and the files in which both sides changed the same lines.

    Raises:
        RecordError: it cannot be had, or files that it changes have changes that are not committed.
    """
    newest = _newest(release, source or release.source)
    changed = git_text("diff", "--name-only", "--diff-filter=MDT", "-z", release.commit, newest.commit, "--", *BROUGHT)
    gone = [f":(exclude,literal){name}" for name in changed.split("\0") if name and not Path(name).exists()]
    if edited := git_text("status", "--porcelain", "--", *BROUGHT):
        what = f"has changes that are not committed: {edited.splitlines()[0][3:]}"
        raise RecordError("the project", what, "run `git commit` first")
    patch = git("diff", "--binary", "--full-index", release.commit, newest.commit, "--", *BROUGHT, *gone)
    conflicts: list[str] = []
    if patch:
        try:
            git("apply", "--3way", "--whitespace=nowarn", given=patch)
        except RecordError:
            conflicts = sorted(set(git_text("diff", "--name-only", "--diff-filter=U").splitlines()))
            if not conflicts:
                raise
    newest.write()
    return newest, conflicts


def _newest(release: Release, source: str) -> Release:
    """The newest release of `source`, which has `release` as well."""
    hint = "name where releases are to be had: `pipeline upgrade --fetch SOURCE`"
    try:
        git("fetch", "--quiet", "--no-tags", source, "HEAD")
    except RecordError as error:
        raise RecordError(source, error.args[1], hint) from None
    try:
        git("cat-file", "-e", f"{release.commit}^{{commit}}")
    except RecordError:
        what = f"lacks the release {release.commit[:7]}, which this project was made from"
        raise RecordError(source, what, hint) from None
    return Release(source, git_text("rev-parse", "FETCH_HEAD"))
