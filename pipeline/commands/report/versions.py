"""Find an evaluation by name: of the workspace, a commit or an experiment."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

from pipeline import paths
from pipeline.errors import RecordError
from pipeline.git import NO_COMMIT, contents, git_text
from pipeline.lineage.history import PUSH_ALL, RecordedModel, recorded_at, show_hint
from pipeline.lineage.lineage import read_recorded
from pipeline.lineage.recorded_metrics import Metrics, parse_metrics, read_metrics
from pipeline.versioning.fetching import fetch_file
from pipeline.versioning.repository import repository

WORKSPACE = "workspace"
# Length of an abbreviated commit hash, as in Git.
SHORT = 7


@dataclass(frozen=True, kw_only=True)
class Version:
    """An evaluation of a model, in the workspace or at a commit."""

    name: str
    """The name that the user gave."""
    commit: str | None
    """The commit's hash; None for the workspace."""
    model: RecordedModel
    metrics: Metrics

    @property
    def short(self) -> str:
        """Return the short name that is used in the names of files about this version."""
        return self.commit[:SHORT] if self.commit else WORKSPACE

    def find(self, output: Path) -> Path:
        """Return the path of a file with this version's content of `output`.

        Raises:
            MissingDataError: the content is in neither the cache nor the remote.
            RecordError: this version does not record the output.
        """
        if self.commit is None and output.exists():
            return output
        md5 = self.model.outputs.get(output.as_posix())
        if md5 is None:
            raise RecordError(f"{output} of {self.name}", "is not recorded", "run `dvc repro` there, and commit it")
        return fetch_file(md5, what=f"{output} of {self.name}", hint=PUSH_ALL)


def read_version(name: str) -> Version:
    """Return the evaluation at `name`: "workspace", a Git revision, or a DVC experiment.

    Raises:
        RecordError: `name` is none of them, or records no evaluation.
    """
    if name == WORKSPACE:
        return _workspace()
    commit = _commit(name)
    recorded = recorded_at(commit)
    lock, metrics, details = contents([(commit, path) for path in (paths.LOCK, paths.METRICS, paths.DETAILS)])
    if recorded is None or metrics is None:
        raise RecordError(name, "records no evaluation", "`pipeline log` lists the commits that do")
    figures = parse_metrics(metrics, details, partial(show_hint, commit))
    return Version(name=name, commit=commit, model=RecordedModel(recorded, lock=lock), metrics=figures)


def _workspace() -> Version:
    recorded, metrics = read_recorded(), read_metrics()
    if recorded is None or metrics is None:
        raise RecordError(paths.REPORT, "there is no evaluation yet", "run `dvc repro`")
    lock = paths.LOCK.read_bytes() if paths.LOCK.exists() else None
    return Version(name=WORKSPACE, commit=None, model=RecordedModel(recorded, lock=lock), metrics=metrics)


def _commit(name: str) -> str:
    for ref in (name, _experiment(name)):
        if ref is None:
            continue
        try:
            return git_text("rev-parse", "--verify", "--quiet", "--end-of-options", f"{ref}^{{commit}}")
        except (RecordError, ValueError):  # ValueError: a command's argument cannot contain a zero byte.
            continue
    hint = NO_COMMIT if name == "HEAD" else "see `git log`, or `dvc exp list`"
    raise RecordError(name, "no commit, branch, tag or experiment", hint)


def _experiment(name: str) -> str | None:
    """Return the Git ref of the experiment `name`; None if there is none, or more than one.

    Uses DVC's internal modules, since its API has no function for it.
    """
    from dvc.exceptions import DvcException
    from dvc.repo.experiments.utils import resolve_name
    from scmrepo.exceptions import SCMError

    try:
        found = resolve_name(repository().scm, name)[name]
    except (DvcException, SCMError, ValueError):
        return None
    return str(found) if found else None
