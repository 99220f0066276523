r"""How files of labels name images: many programs write `.\cat\1.png` or `data/raw/cat/1.png` for `cat/1.png`."""

import re
from unicodedata import normalize

from pipeline import paths
from pipeline.ingestion.labelling.class_names import INVISIBLE

RAW = tuple(paths.RAW.parts)
# What most paths have nothing of, so that most are left alone at once.
ODD = re.compile(rf"\A[\s/]|\s\Z|\\|\A\./|/\./|//|\A{'/'.join(RAW)}/|[^\x00-\x7f]")


def plain_path(text: str) -> str:
    """The image or glob that `text` names, relative to data/raw, with slashes between folders, its letters composed.

    The same image has one such name, however a program spells it.
    """
    if ODD.search(text) is None:
        return text
    path = normalize("NFC", text).strip().strip(INVISIBLE).strip()
    parts = [part for part in path.replace("\\", "/").split("/") if part not in ("", ".")]
    if tuple(parts[: len(RAW)]) == RAW:
        parts = parts[len(RAW) :]
    return "/".join(parts)
