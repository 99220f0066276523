"""Archives whose folders may not be classes: one folder around all others, as `download as zip` makes it.

In `photos.zip!/My Dataset/cat/1.png` the class may be `My Dataset` or `cat`. Where nothing tells, nothing is guessed.
"""

from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, field

from pipeline import paths
from pipeline.ingestion.decoding import Place
from pipeline.ingestion.labelling.class_names import class_name, folder_of, parts_of
from pipeline.ingestion.labelling.labels import Labels
from pipeline.ingestion.refusals import Refusal

REASON = "ambiguous class"
# Folders of splits are no classes either, where they lie side by side.
SPLITS = {"train", "training", "val", "valid", "validation", "dev", "test", "testing"}
# What images are called: a README beside the folders says nothing of them.
SUFFIXES = (
    *(".avif", ".bmp", ".gif", ".j2k", ".jfif", ".jp2", ".jpe", ".jpeg", ".jpg", ".pbm", ".pgm", ".png", ".pnm"),
    *(".ppm", ".tif", ".tiff", ".webp"),
)
SHOWN = 3


@dataclass(slots=True)
class _Group:
    """The images of an archive, or the loose ones, that nothing but their folders gives a class."""

    below: dict[str, set[str]] = field(default_factory=dict)
    """The folders in each of the outermost folders."""
    is_clear: bool = False
    """Whether an image lies directly in an outermost folder, which is a class then."""

    def add(self, parts: tuple[str, ...]) -> None:
        """Note an image in the folder that is `parts` deep."""
        folders = self.below.setdefault(parts[0], set())
        folders.update(parts[1:2])
        self.is_clear |= len(parts) == 1

    @property
    def may_be_wrapped(self) -> bool:
        """Whether its outermost folders may lie around the classes."""
        is_split = len(self.below) > 1 and all(top.lower() in SPLITS for top in self.below)
        return not self.is_clear and (len(self.below) == 1 or is_split)


Wrapped = Mapping[str, Refusal]


def group_of(place: Place) -> str:
    """The archive that `place` lies in; empty for loose files."""
    return "" if place.member is None else place.path


def wrapped(places: Iterable[Place], labels: Labels) -> Wrapped:
    """Why the classes of an archive are not certain, by `group_of` its places, which may hold images."""
    if labels.classes is None:
        return {}
    groups: dict[str, _Group] = {}
    certain: set[str] = set()
    for place in places:
        if labels.is_certain(*place[:2]):
            certain.add(labels.of(*place[:2]) or "")
        elif (parts := parts_of(folder_of(*place[:2]))) and (place.member or place.path).lower().endswith(SUFFIXES):
            groups.setdefault(group_of(place), _Group()).add(parts)
    below: dict[str, set[str]] = {}
    for group in groups.values():
        if group.may_be_wrapped:
            for top, folders in group.below.items():
                below.setdefault(top, set()).update(folders)
        else:
            certain.update(class_name(top) or "" for top in group.below)
    return {
        name: _refusal(name, group.below)
        for name, group in groups.items()
        if group.may_be_wrapped
        and any(len(below[top]) > 1 for top in group.below)
        and not all(_is_class(top, certain, labels.classes) for top in group.below)
    }


def _is_class(folder: str, certain: Container[str], classes: Container[str]) -> bool:
    name = class_name(folder)
    return name is None or name in certain or name in classes


def _refusal(group: str, below: Mapping[str, Iterable[str]]) -> Refusal:
    tops = " and ".join(repr(top) for top in sorted(below))
    folders = sorted({folder for several in below.values() for folder in several})
    inner = ", ".join(folders[:SHOWN]) + (", …" if len(folders) > SHOWN else "")
    key = group or f"{min(below)}/*"
    what = f"all images of {group or paths.RAW} lie in the folder {tops}, which holds the folders {inner}"
    hint = f"ingest.strip: {{{key}: 1}} in {paths.PARAMS} makes classes of those, 0 of {tops}"
    return Refusal(REASON, f"{what}; {hint} (`pipeline add` has --strip)")
