"""The images that are most worth labelling, with the model's predictions: as rows, and as a page."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from pipeline.commands.next.batch import Proposal, name_in_batch
from pipeline.commands.next.observing import Unlabelled
from pipeline.commands.next.ranking import rank
from pipeline.commands.sheets.sheet import Group, Part, Sheet, Tile
from pipeline.commands.sheets.viewing import view
from pipeline.pages.wording import percent
from pipeline.params import Params
from pipeline.text import counted, csv_text

COLUMNS = ("rank", "file", "source", "id", "label", "probability", "other_label", "other_probability")


def propose(found: Unlabelled, classes: Sequence[str], count: int, seed: int) -> list[Proposal]:
    """Return the `count` images that are most worth labelling, in that order, or fewer if there are no more."""
    proposals = []
    for number, row in enumerate(rank(found.features, found.probabilities, count, seed), 1):
        shares = found.probabilities[row]
        best, *rest = (int(place) for place in np.argsort(-shares, kind="stable")[:2])
        other, share = (classes[rest[0]], float(shares[rest[0]])) if rest else ("", 0.0)
        spot = found.spots[row]
        name = name_in_batch(number, spot)
        proposals.append(Proposal(name, spot, found.ids[row], classes[best], float(shares[best]), other, share))
    return proposals


def as_csv(proposals: Sequence[Proposal]) -> str:
    """Return `proposals` as CSV, with a header and a line for each."""
    return csv_text([COLUMNS, *_rows(proposals)])


def as_json(proposals: Sequence[Proposal], found: Unlabelled, folder: Path | None) -> str:
    """Return `proposals` as JSON, with their folder and the counts of images that need no label."""
    counts = {"unlabelled": len(found.ids), "known": found.known, "copies": found.copies, "unusable": found.unusable}
    chosen = [dict(zip(COLUMNS, row, strict=True)) for row in _rows(proposals)]
    told = {"folder": folder and str(folder), "chosen": chosen, **counts}
    return json.dumps(told, indent=2, ensure_ascii=False)


def _rows(proposals: Sequence[Proposal]) -> Iterator[tuple[object, ...]]:
    for number, one in enumerate(proposals, 1):
        yield number, one.name, one.spot.name, one.id, one.label, one.probability, one.other, one.other_probability


def as_sheet(proposals: Sequence[Proposal], found: Unlabelled, folder: Path, params: Params) -> Sheet:
    """Return the page about `proposals`, which are in `folder`."""
    pictures = view([one.spot.place for one in proposals], params)
    tiles = [
        Tile(pictures[one.spot.place], f"{one.spot.name}, perhaps {one.label}", one.name, tuple(_guesses(one)))
        for one in proposals
        if one.spot.place in pictures
    ]
    missing = len(proposals) - len(tiles)
    left = f"{counted(missing, 'image')} more in the folder." if missing else ""
    part = Part(
        key="next",
        title="To label",
        note=f"By worth, with the likeliest classes. Where the first is wrong, correct {folder}/labels.csv.",
        groups=[Group(title="", note="", tiles=tiles, files=[], left_out=left)] if proposals else [],
        nothing="Every image is known.",
    )
    figures = [("to label", len(proposals)), ("unlabelled", len(found.ids)), ("known", found.known)]
    return Sheet(
        title=str(folder),
        about="The images whose labels would teach the model most: it is unsure of them, and they differ.",
        figures=[*figures, ("copies", found.copies), ("unusable", found.unusable)],
        warnings=[],
        parts=[part],
    )


def _guesses(one: Proposal) -> list[str]:
    guesses = [(one.label, one.probability), (one.other, one.other_probability)]
    return [f"{label} {percent(share)}" for label, share in guesses if label]
