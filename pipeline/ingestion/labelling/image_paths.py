r"""Normalises the paths in label files: many programs write `.\cat\1.png` or `data/raw/cat/1.png` for `cat/1.png`."""

from unicodedata import normalize

from pipeline import paths
from pipeline.ingestion.labelling.class_names import INVISIBLE

RAW = tuple(paths.RAW.parts)
# Prefixes that need normalising. Few paths have one, so most are returned unchanged at once.
BEGINNINGS = ("/", "./", f"{'/'.join(RAW)}/")


def plain_path(text: str) -> str:
    """Return the image or glob `text` in canonical form: relative to data/raw, with slashes, composed (NFC).

    All spellings of the same path have the same canonical form.
    """
    if not may_be_odd(text):
        return text
    path = normalize("NFC", text).strip().strip(INVISIBLE).strip()
    parts = [part for part in path.replace("\\", "/").split("/") if part not in ("", ".")]
    if tuple(parts[: len(RAW)]) == RAW:
        parts = parts[len(RAW) :]
    return "/".join(parts)


def may_be_odd(text: str) -> bool:
    """Whether `plain_path` may change `text`."""
    if not text.isascii() or "\\" in text or "//" in text or "/./" in text or text.startswith(BEGINNINGS):
        return True
    return text[:1].isspace() or text[-1:].isspace()
