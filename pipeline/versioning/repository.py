"""The DVC repository of the working directory."""

from __future__ import annotations

import atexit
import logging
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dvc.repo import Repo

logger = logging.getLogger(__name__)


def repository() -> Repo:
    """The DVC repository of the working directory; opened once, since that takes a fifth of a second."""
    return _repository(Path.cwd())


@lru_cache(maxsize=1)
def _repository(root: Path) -> Repo:
    from dvc.repo import Repo  # Sets up its own logging.

    if not logger.isEnabledFor(logging.DEBUG):
        logging.getLogger("dvc").setLevel(logging.ERROR)  # What it warns of, our own message says.
    repo = Repo(str(root))
    atexit.register(repo.close)  # What it opened of Git cannot be closed any more once Python ends.
    return repo
