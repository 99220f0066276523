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
    """Return the DVC repository of the working directory; it is opened once, since opening takes 0.2 seconds."""
    return _repository(Path.cwd())


@lru_cache(maxsize=1)
def _repository(root: Path) -> Repo:
    from dvc.repo import Repo  # A late import: it configures logging.

    if not logger.isEnabledFor(logging.DEBUG):
        logging.getLogger("dvc").setLevel(logging.ERROR)  # Our own messages report the same.
    repo = Repo(str(root))
    atexit.register(repo.close)  # Its Git objects cannot be closed once Python shuts down.
    return repo
