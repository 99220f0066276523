"""Write the files that users request from a command, atomically."""

import argparse
from pathlib import Path

from pipeline.errors import ImagesError
from pipeline.files import put


def page(text: str) -> Path:
    """Parse the path of an HTML page; other suffixes are refused, so that no other file is overwritten by mistake.

    Raises:
        argparse.ArgumentTypeError: `text` does not end in .html or .htm.
    """
    if not text.lower().endswith((".html", ".htm")):
        raise argparse.ArgumentTypeError(f"{text!r} does not end in .html")
    return Path(text)


def save(path: Path, text: str) -> None:
    """Write `text` to `path` in UTF-8, atomically.

    Raises:
        ImagesError: `path` cannot be written.
    """
    aside = path.with_name(f".{path.name}.part")
    try:
        # A file name that is not valid Unicode is written escaped, as it is printed.
        aside.write_text(text, encoding="utf-8", errors="backslashreplace", newline="")
        put(aside, path)
    except OSError as error:
        aside.unlink(missing_ok=True)
        raise ImagesError(path, f"cannot be written: {error.strerror}", "choose another file") from None
