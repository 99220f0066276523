"""Speaking to the person at the terminal: logging, and errors in one line."""

import logging
import sys

from pipeline.errors import TreeringError, one_line

logger = logging.getLogger(__name__)


def set_up_logging(name: str, *, verbose: bool) -> None:
    """Log warnings, or everything, in the name of `name`."""
    logging.basicConfig(format=f"{name}: %(message)s", level=logging.DEBUG if verbose else logging.WARNING)
    if not verbose:
        # What it warns of, our own message says. DVC sets the first level anew when it is imported, the second never.
        for theirs in ("dvc", "dvc.data_cloud"):
            logging.getLogger(theirs).setLevel(logging.ERROR)
    # At DEBUG these say more about themselves than about what is done here.
    for chatty in ("PIL", "matplotlib", "fsspec", "asyncio", "sqltrie", "git"):
        logging.getLogger(chatty).setLevel(logging.WARNING)


def complain(name: str, error: Exception, command: str) -> None:
    """Say `error` in one line; where it is a fault of ours, that `command` shows more of it."""
    logger.debug("failed", exc_info=error)
    fault = "" if isinstance(error, TreeringError) else f"{type(error).__name__} (`{command}` shows where): "
    print(f"{name}: error: {fault}{shown(one_line(error))}", file=sys.stderr)


def shown(text: str) -> str:
    """`text` fit for a terminal, whatever a file was called."""
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)
