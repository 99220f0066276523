"""treering.json: which release of the code a project was made from, and where newer releases are available."""

import json
from pathlib import Path
from typing import NamedTuple, Self

from pipeline.errors import RecordError
from pipeline.files import write_text
from pipeline.git import git, git_text

# The running code, and the folder with all else that a project needs: in a wheel inside the code, else its parent.
CODE = Path(__file__).parents[2]
PACKED = CODE / "release"
ROOT = PACKED if PACKED.exists() else CODE.parent
RECORD = Path("treering.json")


class Release(NamedTuple):
    """A version of the code."""

    source: str
    """Where Git fetches it from: a URL or a folder."""
    commit: str

    @classmethod
    def running(cls) -> Self | None:
        """Return the release of the running code; None where neither Git nor treering.json states it."""
        if (ROOT / RECORD).exists():
            return cls.read(ROOT)
        try:
            if git_text("-C", str(ROOT), "rev-parse", "--show-prefix"):
                return None  # The code lies inside another project's repository.
            commit = git_text("-C", str(ROOT), "rev-parse", "--verify", "HEAD")
            names = git_text("-C", str(ROOT), "remote").split()
            return cls(
                git_text("-C", str(ROOT), "remote", "get-url", "origin") if "origin" in names else str(ROOT), commit
            )
        except RecordError:
            return None

    @classmethod
    def read(cls, folder: Path = Path()) -> Self:
        """Read the release that the project in `folder` records.

        Raises:
            RecordError: it records none, or the record cannot be read.
        """
        try:
            return cls(**json.loads((folder / RECORD).read_bytes()))
        except FileNotFoundError:
            hint = "merge the release by Git, see docs/upgrade.md"
            raise RecordError(RECORD, "no such file: `pipeline init` did not make this project", hint) from None
        except (ValueError, TypeError):
            raise RecordError(RECORD, "cannot be read", f"run `git checkout {RECORD}`") from None

    def write(self, folder: Path = Path()) -> None:
        """Record this release in the project in `folder`."""
        write_text(folder / RECORD, json.dumps(self._asdict(), indent=2) + "\n")


# The paths that a newer release changes: the code and what belongs to it, but none of a project's own files.
BROUGHT = (
    *("pipeline", ":(glob)docs/*.md", "dvc.yaml", "params.yaml", ".dvcignore", ".gitattributes"),
    *("setup.mk", "requirements.txt", "requirements-dev.txt", "requirements-timm.txt", "Dockerfile", ".dockerignore"),
)


def bring(release: Release, source: str | None) -> tuple[Release, list[str]]:
    """Apply the changes from `release` to the newest release of `source`; the default is the source of `release`.

    Files that the project has changed, too, are merged line by line. Files that the project has deleted stay deleted.

    Returns:
        the newest release, and the files in which both sides changed the same lines.

    Raises:
        RecordError: the newest release is not available, or there are uncommitted changes in files that it may change.
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
    """Return the newest release of `source`, which must also have `release`."""
    hint = "name a source of releases: `pipeline upgrade --fetch SOURCE`"
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
