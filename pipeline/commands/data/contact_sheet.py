"""The page of `pipeline check --html`: pictures of usable images by class, and of refused ones by reason."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, zip_longest
from typing import TypeVar

from pipeline.commands.data.summary import FEW, classes_of, counts_of, few_of, in_pixels, sides_of
from pipeline.commands.data.survey import FoundPlace, Survey
from pipeline.commands.sheets.sheet import Group, Listed, Part, Sheet, Tile
from pipeline.commands.sheets.viewing import view
from pipeline.ingestion.decoding import Place
from pipeline.ingestion.refusals import Refusal
from pipeline.params import Params
from pipeline.text import counted

# Maximum number of classes on the page, of pictures for each class, and of files for each reason.
MOST_CLASSES, OF_CLASS, OF_REASON = 100, 12, 12
# Reasons for which a picture can be shown. Files refused for other reasons are no images, or unsafe to decode.
VISIBLE = {
    "absurd dimensions",
    "ambiguous class",
    "animation",
    "broken",
    "dropped class",
    "no class folder",
    "truncated",
    "two labels",
    "unsafe name",
    "unsupported pixels",
}
ALL_OF_IT = "pipeline check --csv FILE lists all"

Item = TypeVar("Item")
RefusedFiles = list[tuple[str, Refusal]]


def contact_sheet(found: Survey, tops: Sequence[object], params: Params) -> Sheet:
    """Return the page about the survey `found` of `tops`."""
    classes = {label: _spread(places, OF_CLASS) for label, places in _by_class(found).items()}
    reasons = _by_reason(found.refused)
    shown = {reason: _spread(files, OF_REASON) for reason, files in reasons.items()}
    used = _in_turn([one.place for one in some] for some in classes.values())
    unused = _in_turn(
        [found.where[name] for name, _ in some if name in found.where]
        for reason, some in shown.items()
        if reason in VISIBLE
    )
    # If not all pictures fit, used and refused images get half of the page each.
    pictures = view([*_in_turn([list(used), list(unused)])], params)
    return Sheet(
        title=", ".join(map(str, tops)),
        about=f"What ingest would do with it. A few images of each class and reason are shown; {ALL_OF_IT}.",
        figures=_figures(found),
        warnings=found.notices,
        parts=[_used(found, classes, pictures), _unused(found, reasons, shown, pictures)],
    )


def _figures(found: Survey) -> list[tuple[str, int]]:
    columns = counts_of(found)
    counts = {name: column.total() for name, column in columns.items()}
    return [("classes", len(classes_of(found))), *counts.items(), ("refused", len(found.refused))]


def _used(found: Survey, classes: dict[str, list[FoundPlace]], pictures: dict[Place, str]) -> Part:
    columns, sides, few = counts_of(found), sides_of(found), {label for _, label in few_of(found)}
    groups = []
    for label, places in classes.items():
        tiles = [
            Tile(pictures[one.place], f"{one.source}, of class {label}", one.source, (one.status,))
            for one in places
            if one.place in pictures
        ]
        new, known, copies = (column[label] for column in columns.values())
        told = [f"{count:,} {name}" for count, name in ((new, "new"), (known, "known")) if count]
        told += [counted(copies, "copy", "copies")] if copies else []
        told += [f"{len(tiles):,} shown"] if len(tiles) < new + known else []
        told += [f"shorter side {size}"] if (size := in_pixels(sides.get(label, []))) else []
        told += [f"fewer than {FEW} images"] if label in few else []
        groups.append(Group(title=label, note=" · ".join(told), tiles=tiles, files=[]))
    rest = len(classes_of(found)) - len(classes)
    more = f" {counted(rest, 'smaller class is', 'smaller classes are')} left out; {ALL_OF_IT}." if rest else ""
    note = f"By class, the largest first, as ingest would store them.{more}"
    return Part(key="used", title="Comes in", note=note, groups=groups, nothing="No image comes in.")


def _unused(
    found: Survey, reasons: dict[str, RefusedFiles], shown: dict[str, RefusedFiles], pictures: dict[Place, str]
) -> Part:
    groups = []
    for reason, files in shown.items():
        tiles, listed, details = [], [], {one.detail for _, one in reasons[reason]}
        for name, (_, detail) in files:
            said = detail if len(details) > 1 else ""
            picture = pictures.get(found.where[name]) if reason in VISIBLE and name in found.where else None
            if picture:
                tiles.append(Tile(picture, f"{name}, refused: {reason}", name, (said,) if said else ()))
            else:
                listed.append(Listed(name, said))
        told = [counted(len(reasons[reason]), "file"), *(details if len(details) == 1 else [])]
        left = len(reasons[reason]) - len(files)
        more = f"… and {left:,} more; {ALL_OF_IT}." if left else ""
        groups.append(Group(title=reason, note=" · ".join(told), tiles=tiles, files=listed, left_out=more))
    note = "By reason, the commonest first; docs/data.md explains them. Of damaged images what can be read is shown."
    return Part(key="refused", title="Refused", note=note, groups=groups, nothing="Nothing is refused.")


def _by_class(found: Survey) -> dict[str, list[FoundPlace]]:
    """Return the images of the largest classes, by class, without copies."""
    places: dict[str, list[FoundPlace]] = {label: [] for label in classes_of(found)[:MOST_CLASSES]}
    for one in sorted(found.places, key=lambda one: one.source):
        if one.status != "copy" and one.label in places:
            places[one.label].append(one)
    return places


def _by_reason(refused: RefusedFiles) -> dict[str, RefusedFiles]:
    """Return the refused files by reason, the most frequent reason first."""
    counts = Counter(one.reason for _, one in refused)
    return {reason: [file for file in refused if file[1].reason == reason] for reason, _ in counts.most_common()}


def _spread(items: Sequence[Item], most: int) -> list[Item]:
    """Return up to `most` of `items`, evenly spaced, since neighbours are often similar."""
    count = min(most, len(items))
    return [items[number * len(items) // count] for number in range(count)]


def _in_turn(some: Iterable[list[Item]]) -> Iterator[Item]:
    """Yield the first item of each list, then the second of each, and so on."""
    return (one for one in chain.from_iterable(zip_longest(*some)) if one is not None)
