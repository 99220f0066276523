"""Restores outputs of a stage in the workspace, as dvc.lock records them."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.versioning.fetching import fetch
from pipeline.versioning.lock import read_record
from pipeline.versioning.objects import cached_files
from pipeline.versioning.repository import repository

if TYPE_CHECKING:
    from dvc.output import Output
    from dvc.repo import Repo

logger = logging.getLogger(__name__)


def checkout(stage: str, path: Path, *, hint: str) -> None:
    """Restore the directory `path` as dvc.lock records it among the outputs of `stage`.

    Raises:
        MissingDataError: neither cache nor remote has it.
    """
    oid = read_record()[stage].outs[path.as_posix()]
    fetch(oid, what=path.as_posix(), hint=hint)
    _output(repository(), stage, path).checkout(force=True)


def restore_outputs(stage: str) -> None:
    """Restore, as far as the cache has them, the recorded outputs that DVC removed before it ran `stage`."""
    try:
        outputs = read_record()[stage].outs
        missing = {Path(path): oid for path, oid in outputs.items() if not Path(path).exists()}
        if not missing:
            return
        for path, oid in missing.items():
            if oid.endswith(".dir") and cached_files(repository(), oid) is None:
                continue  # An incomplete directory would be worse than none.
            output = _output(repository(), stage, path)
            output.use_cache = True  # Git tracks metrics, but DVC's run cache has a copy.
            output.checkout(force=True, allow_missing=True)
    except Exception:
        logger.debug("outputs not put back", exc_info=True)


def _output(repo: Repo, stage: str, path: Path) -> Output:
    outputs = repo.stage.load_one(name=stage).outs
    return next(output for output in outputs if output.def_path == path.as_posix())
