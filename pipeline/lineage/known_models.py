"""Every model that a commit or the workspace records, by its hash."""

from contextlib import suppress

from pydantic import ValidationError

from pipeline.errors import RecordError
from pipeline.git import contents, git_text, merge_heads
from pipeline.lineage.lineage import RECORDED, Recorded, read_recorded


def recorded_models() -> dict[str, Recorded]:
    """Return the lineage of every model that any commit records, by its hash, including commits of abandoned branches.

    If several commits record the same model, the newest record counts.
    """
    where = ("log", "--all", "--reflog", "--ignore-missing", *merge_heads(), "--full-history", "--format=%H")
    commits = git_text(*where, "--", str(RECORDED)).split()
    models: dict[str, Recorded] = {}
    for content in contents((commit, RECORDED) for commit in commits):
        with suppress(ValidationError):
            recorded = Recorded.model_validate_json(content or b"")
            models.setdefault(recorded.model, recorded)
    return models


def known_models() -> dict[str, Recorded]:
    """Return `recorded_models` and the model recorded in the workspace; only the latter without a Git repository.

    Raises:
        RecordError: the record in the workspace cannot be read.
    """
    try:
        known = recorded_models()
    except RecordError:
        known = {}
    here = read_recorded()
    return known if here is None else {**known, here.model: here}
