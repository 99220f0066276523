"""Output for the person at the terminal: logging, errors in one line, tables and lists."""

import errno
import io
import logging
import os
import shutil
import sys
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import TextIO

from pipeline.errors import TreeringError, one_line
from pipeline.text import shown

logger = logging.getLogger(__name__)
# The number of the file that standard output is.
STDOUT = 1


def set_up_logging(name: str, *, verbose: bool) -> None:
    """Log warnings, or everything, in the name of `name`; what a terminal cannot show is escaped, and fails nothing."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # pytest's are not.
            stream.reconfigure(errors="backslashreplace")
    logging.basicConfig(format=f"{name}: %(message)s", level=logging.DEBUG if verbose else logging.WARNING)
    # At DEBUG these say more about themselves than about what is done here.
    for chatty in ("PIL", "matplotlib", "fsspec", "asyncio", "sqltrie", "git"):
        logging.getLogger(chatty).setLevel(logging.WARNING)


@contextmanager
def silenced() -> Iterator[None]:
    """Let this process, and those that it starts, print nothing but errors; no progress bar either."""
    os.environ["TQDM_DISABLE"] = "1"  # Read when tqdm is imported.
    sys.stdout.flush()
    kept = os.dup(STDOUT)
    with open(os.devnull, "w", encoding="utf-8") as nowhere, redirect_stdout(nowhere):  # noqa: PTH123 (no path)
        os.dup2(nowhere.fileno(), STDOUT)
        try:
            yield
        finally:
            os.dup2(kept, STDOUT)
            os.close(kept)


def complain(name: str, error: Exception, command: str) -> None:
    """Say `error` in one line; where it is a fault of ours, that `command` shows more of it."""
    logger.debug("failed", exc_info=error)
    if isinstance(error, ModuleNotFoundError):
        hint = "run `source .venv/bin/activate`, after `make setup` where there is no .venv"
        print(f"{name}: error: the package {error.name} is not installed for {sys.executable}; {hint}", file=sys.stderr)
        return
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        free = f"{shutil.disk_usage(Path.cwd()).free >> 20:,} MiB are free here"
        print(f"{name}: error: {shown(one_line(error))} ({free}); make room, then run it again", file=sys.stderr)
        return
    fault = "" if isinstance(error, TreeringError) else f"{type(error).__name__} (`{command}` shows where): "
    print(f"{name}: error: {fault}{shown(one_line(error))}", file=sys.stderr)


# Columns of a line that is easily read.
WIDEST = 120


class FittedLines(io.TextIOBase):
    """Writes lines to a terminal, each in several where it is wide, indented."""

    def __init__(self, terminal: TextIO) -> None:
        self._terminal = terminal

    def write(self, text: str) -> int:
        """Write `text`, of whole lines or a part of one."""
        width = min(WIDEST, shutil.get_terminal_size().columns)
        wrap = textwrap.TextWrapper(width, subsequent_indent=" " * 10, break_long_words=False, break_on_hyphens=False)
        lines = (wrap.fill(line) if len(line) > width else line for line in text.split("\n"))
        self._terminal.write("\n".join(lines))
        return len(text)

    def flush(self) -> None:
        """Let it be seen."""
        self._terminal.flush()

    def isatty(self) -> bool:
        """It is one."""
        return True

    def fileno(self) -> int:
        """That of the terminal."""
        return self._terminal.fileno()


# Longer lists are cut.
MOST = 20


def print_table(rows: Sequence[Sequence[object]]) -> None:
    """Print `rows`, a header first, in columns; the first is text, numbers stand to the right."""
    from tabulate import tabulate

    cells = [[f"{cell:,}" if isinstance(cell, int) else str(cell) for cell in row] for row in rows]
    align = ["left", *["right"] * (len(cells[0]) - 1)]
    # Nothing is taken for a number, or a class called 007 would be shown as 7.
    print(tabulate(cells, tablefmt="plain", colalign=align, disable_numparse=True, preserve_whitespace=True))


def print_lines(lines: Sequence[str]) -> None:
    """Print `lines`, the first of many, indented."""
    for line in lines[:MOST]:
        print(f"  {shown(line)}")
    if len(lines) > MOST:
        print(f"  … and {len(lines) - MOST:,} more")
