"""The result of each stage's last run on this machine, in data/.progress/results, for commands that run `dvc repro`.

Read and write errors are ignored: no stage fails because of them.
"""

import logging
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from pipeline import paths
from pipeline.files import write_text
from pipeline.result import Result

logger = logging.getLogger(__name__)

FOLDER = paths.PROGRESS / "results"
RESULT = TypeAdapter(Result)


def note(stage: str, result: Result) -> None:
    """Write the `result` of `stage`; write errors are ignored."""
    try:
        FOLDER.mkdir(parents=True, exist_ok=True)
        write_text(_path(stage), RESULT.dump_json(result).decode())
    except OSError:
        logger.debug("result not written", exc_info=True)


def forget(stage: str) -> None:
    """Delete the result of `stage`, so that `newest` returns None until the stage has run again."""
    _path(stage).unlink(missing_ok=True)


def newest(stage: str) -> Result | None:
    """Return the result of the last run of `stage` on this machine; None if it is unknown."""
    try:
        return RESULT.validate_json(_path(stage).read_bytes())
    except (OSError, ValidationError):
        return None


def _path(stage: str) -> Path:
    return FOLDER / f"{stage}.json"
