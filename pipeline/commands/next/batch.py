"""A folder of images to label: copies of their files, and a labels.csv with a proposed label for each, to be corrected.

It contains nothing else: any other file would count as an image in data/raw, and further columns of labels.csv would
become slices.
"""

import os
import re
import shlex
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from pipeline import paths
from pipeline.commands.data.reading import read_in_order
from pipeline.errors import ImagesError
from pipeline.files import md5_of_bytes
from pipeline.ingestion.labelling.label_files import LABELS
from pipeline.ingestion.scan import Spot
from pipeline.ingestion.wrappers import SUFFIXES
from pipeline.text import csv_text

# The prefix of a folder's name, unless the user chose the name.
BATCH = "next-"
# The maximum number of characters that are kept of a file's own name.
LONGEST = 60


class Proposal(NamedTuple):
    """An image, and the model's predictions for it."""

    name: str
    """The file name in the folder: the image's rank, and its former name."""
    spot: Spot
    id: str
    label: str
    probability: float
    other: str
    """The second most likely class; empty where there is no other."""
    other_probability: float


def folder_for(ids: Sequence[str]) -> Path:
    """Return the default folder for a batch of the images `ids`, different for each batch."""
    return paths.DATA / f"{BATCH}{md5_of_bytes(''.join(sorted(ids)).encode())[:12]}"


def check_free(folder: Path) -> None:
    """Check that nothing would be overwritten.

    Raises:
        ImagesError: `folder` exists.
    """
    if os.path.lexists(folder):
        hint = f"add it with `pipeline add {shlex.quote(str(folder))}`, or choose another folder with --into"
        raise ImagesError(folder, "exists already, and may hold corrected labels", hint)


def name_in_batch(rank: int, spot: Spot) -> str:
    """Return a file name that is valid on any system, and that a label file does not read as a pattern."""
    own = (spot.place.member or spot.inside).replace("\\", "/").rpartition("/")[2]
    suffix = next((suffix for suffix in SUFFIXES if own.lower().endswith(suffix)), "")
    stem = re.sub(r"[^\w.-]+", "_", own[: len(own) - len(suffix)]).strip("._")
    return f"{rank:04d}-{stem[:LONGEST]}".rstrip("-.") + suffix


def write_batch(proposals: Sequence[Proposal], folder: Path) -> None:
    """Copy the images of `proposals` into the new `folder`, with their labels.csv; atomically.

    Raises:
        ImagesError: `folder` exists, or cannot be written, or an image has changed since the model saw it.
    """
    check_free(folder)
    aside = folder.with_name(f"{folder.name}.part")  # Git ignores it and `pipeline forget` finds it, like `folder`.
    shutil.rmtree(aside, ignore_errors=True)
    try:
        aside.mkdir(parents=True)
        _copy(proposals, aside)
        text = csv_text([("path", "label"), *((one.name, one.label) for one in proposals)])
        # Without a byte order mark, spreadsheets read and save a file as Windows-1252.
        (aside / LABELS).write_text(text, encoding="utf-8" if text.isascii() else "utf-8-sig", newline="")
        aside.rename(folder)
    except OSError as error:
        raise ImagesError(folder, f"cannot be written: {error.strerror}", "choose another folder with --into") from None
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _copy(proposals: Sequence[Proposal], folder: Path) -> None:
    by_place = {one.spot.place: one for one in proposals}
    for place, raw in read_in_order(by_place):
        one = by_place[place]
        if md5_of_bytes(raw) != one.id:
            raise ImagesError(one.spot.name, "changed while it was read", "run the command again")
        (folder / one.name).write_bytes(raw)
