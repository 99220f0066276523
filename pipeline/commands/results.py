"""data/.progress/results: what each stage did when it last ran here, for whoever runs `dvc repro`.

What cannot be written is not written, and what cannot be read is taken for nothing: no stage fails for it.
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
    """Write what `stage` did, if that is possible."""
    try:
        FOLDER.mkdir(parents=True, exist_ok=True)
        write_text(_path(stage), RESULT.dump_json(result).decode())
    except OSError:
        logger.debug("result not written", exc_info=True)


def forget(stage: str) -> None:
    """Make `newest` say nothing until `stage` has run again."""
    _path(stage).unlink(missing_ok=True)


def newest(stage: str) -> Result | None:
    """What `stage` did when it last ran here; None where that is not known."""
    try:
        return RESULT.validate_json(_path(stage).read_bytes())
    except (OSError, ValidationError):
        return None


def _path(stage: str) -> Path:
    return FOLDER / f"{stage}.json"
