r"""How files of labels name images: many programs write `.\cat\1.png` or `data/raw/cat/1.png` for `cat/1.png`."""

from unicodedata import normalize

from pipeline import paths
from pipeline.ingestion.labelling.class_names import INVISIBLE

RAW = tuple(paths.RAW.parts)
# How few paths begin, so that most are left alone at once.
BEGINNINGS = ("/", "./", f"{'/'.join(RAW)}/")


def plain_path(text: str) -> str:
    """The image or glob that `text` names, relative to data/raw, with slashes between folders, its letters composed.

    The same image has one such name, however a program spells it.
    """
    if not may_be_odd(text):
        return text
    path = normalize("NFC", text).strip().strip(INVISIBLE).strip()
    parts = [part for part in path.replace("\\", "/").split("/") if part not in ("", ".")]
    if tuple(parts[: len(RAW)]) == RAW:
        parts = parts[len(RAW) :]
    return "/".join(parts)


def may_be_odd(text: str) -> bool:
    """Whether `plain_path` may say otherwise."""
    if not text.isascii() or "\\" in text or "//" in text or "/./" in text or text.startswith(BEGINNINGS):
        return True
    return text[:1].isspace() or text[-1:].isspace()
