"""Terminal output: logging, one-line errors, tables and lists."""

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
# The file descriptor of standard output.
STDOUT = 1


def set_up_logging(name: str, *, verbose: bool) -> None:
    """Log warnings (all messages if `verbose`) prefixed with `name`; escape characters that a terminal cannot show."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # pytest's streams are not.
            stream.reconfigure(errors="backslashreplace")
    logging.basicConfig(format=f"{name}: %(message)s", level=logging.DEBUG if verbose else logging.WARNING)
    # At DEBUG level, these libraries would log too many internal details.
    for chatty in ("PIL", "matplotlib", "fsspec", "asyncio", "sqltrie", "git"):
        logging.getLogger(chatty).setLevel(logging.WARNING)


@contextmanager
def silenced() -> Iterator[None]:
    """Suppress standard output and progress bars of this process and its children; errors are still printed."""
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
    """Print `error` in one line; if it is a bug, add that `command` shows the traceback."""
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


# Maximum width, in columns, of a line that is easy to read.
WIDEST = 120


class FittedLines(io.TextIOBase):
    """A text stream that wraps long lines to the terminal's width, with indented continuation lines."""

    def __init__(self, terminal: TextIO) -> None:
        self._terminal = terminal

    def write(self, text: str) -> int:
        """Write `text`, which may be whole lines or a part of one."""
        width = min(WIDEST, shutil.get_terminal_size().columns)
        wrap = textwrap.TextWrapper(width, subsequent_indent=" " * 10, break_long_words=False, break_on_hyphens=False)
        lines = (wrap.fill(line) if len(line) > width else line for line in text.split("\n"))
        self._terminal.write("\n".join(lines))
        return len(text)

    def flush(self) -> None:
        """Flush the terminal."""
        self._terminal.flush()

    def isatty(self) -> bool:
        """Return True: the stream is a terminal."""
        return True

    def fileno(self) -> int:
        """Return the file descriptor of the terminal."""
        return self._terminal.fileno()


# Maximum number of lines that `print_lines` prints.
MOST = 20


def print_table(rows: Sequence[Sequence[object]]) -> None:
    """Print `rows`, the header first, as a table; the first column is aligned left, all others right."""
    from tabulate import tabulate

    cells = [[f"{cell:,}" if isinstance(cell, int) else str(cell) for cell in row] for row in rows]
    align = ["left", *["right"] * (len(cells[0]) - 1)]
    # Number parsing is off, since a class called 007 would be shown as 7.
    print(tabulate(cells, tablefmt="plain", colalign=align, disable_numparse=True, preserve_whitespace=True))


def print_lines(lines: Sequence[str]) -> None:
    """Print `lines`, indented; only the first `MOST` of a long list."""
    for line in lines[:MOST]:
        print(f"  {shown(line)}")
    if len(lines) > MOST:
        print(f"  … and {len(lines) - MOST:,} more")
