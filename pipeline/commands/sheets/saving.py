"""Files that people ask a command for, put in place whole."""

import argparse
from pathlib import Path

from pipeline.errors import ImagesError
from pipeline.files import put


def page(text: str) -> Path:
    """The path of a page, as the command line has it: nothing else is to be overwritten by mistake.

    Raises:
        argparse.ArgumentTypeError: it is not called like a page.
    """
    if not text.lower().endswith((".html", ".htm")):
        raise argparse.ArgumentTypeError(f"{text!r} does not end in .html")
    return Path(text)


def save(path: Path, text: str) -> None:
    """Write the UTF-8 file `path`, in one step.

    Raises:
        ImagesError: it cannot be written.
    """
    aside = path.with_name(f".{path.name}.part")
    try:
        # A name that is no Unicode is written as it is shown.
        aside.write_text(text, encoding="utf-8", errors="backslashreplace", newline="")
        put(aside, path)
    except OSError as error:
        aside.unlink(missing_ok=True)
        raise ImagesError(path, f"cannot be written: {error.strerror}", "choose another file") from None
