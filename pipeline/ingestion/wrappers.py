"""Detects archives with an ambiguous class folder: one folder around all others, as `download as zip` creates it.

In `photos.zip!/My Dataset/cat/1.png` the class may be `My Dataset` or `cat`. If nothing decides between them, the
images are refused; no class is guessed.
"""

from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, field

from pipeline import paths
from pipeline.ingestion.decoding import Place
from pipeline.ingestion.labelling.class_names import class_name, folder_of, parts_of
from pipeline.ingestion.labelling.labels import Labels
from pipeline.ingestion.labelling.split_names import SPLIT_NAMES
from pipeline.ingestion.refusals import Refusal

REASON = "ambiguous class"
# The suffixes of images; other files, such as a README next to the folders, are ignored.
SUFFIXES = (
    *(".avif", ".bmp", ".gif", ".j2k", ".jfif", ".jp2", ".jpe", ".jpeg", ".jpg", ".pbm", ".pgm", ".png", ".pnm"),
    *(".ppm", ".tif", ".tiff", ".webp", ".dcm", ".dds", ".heic", ".heif", ".hif", ".pcx", ".psd", ".sgi", ".tga"),
)
SHOWN = 3


Wrapped = Mapping[str, Refusal]


@dataclass(slots=True)
class _Group:
    """The images of an archive, or all loose images, whose class is given by their folders alone."""

    archive: str
    below: dict[str, set[str]] = field(default_factory=dict)
    """The second-level folders, by outermost folder."""
    is_clear: bool = False
    """Whether an image lies directly in an outermost folder: then these folders are the classes."""

    def add(self, parts: tuple[str, ...]) -> None:
        """Add an image in the folder with the path components `parts`."""
        folders = self.below.setdefault(parts[0], set())
        folders.update(parts[1:2])
        self.is_clear |= len(parts) == 1

    @property
    def may_be_wrapped(self) -> bool:
        """Whether the outermost folders may contain the class folders."""
        # Several folders that are all named after splits are not classes either.
        is_split = len(self.below) > 1 and all(top.lower() in SPLIT_NAMES for top in self.below)
        return not self.is_clear and (len(self.below) == 1 or is_split)


class Folders:
    """The folders of all images, by group, to tell class folders from folders that contain class folders."""

    def __init__(self) -> None:
        self._groups: dict[str, _Group] = {}
        self._certain: set[str | None] = set()

    def add(self, group: str, place: Place, labels: Labels) -> None:
        """Add a `place` that may be an image; the images of an archive form a `group`, and so do loose images."""
        path, member, _ = place
        if labels.is_certain(path, member):
            self._certain.add(labels.of(path, member))
        elif (parts := parts_of(folder_of(path, member))) and (member or path).lower().endswith(SUFFIXES):
            self._groups.setdefault(group, _Group("" if member is None else path)).add(parts)

    def refusals(self, classes: Container[str | None]) -> Wrapped:
        """Return the groups whose classes are ambiguous, and why; `classes` are those of earlier runs."""
        clear = {class_name(top) for one in self._groups.values() if not one.may_be_wrapped for top in one.below}
        doubtful = {name: one for name, one in self._groups.items() if one.may_be_wrapped}
        below: dict[str, set[str]] = {}
        for one in doubtful.values():
            for top, folders in one.below.items():
                below.setdefault(top, set()).update(folders)
        known = {top for top in below if (name := class_name(top)) in clear | self._certain or name in classes}
        return {
            name: _refusal(one)
            for name, one in doubtful.items()
            if len(set().union(*(below[top] for top in one.below))) > 1 and not known >= one.below.keys()
        }


def group_of(place: Place) -> str:
    """Return the archive of `place`; empty for loose files."""
    return "" if place.member is None else place.path


def wrapped(places: Iterable[Place], labels: Labels) -> Wrapped:
    """Return the groups of `places`, by `group_of`, whose classes are ambiguous, and why."""
    if labels.classes is None:
        return {}
    folders = Folders()
    for place in places:
        folders.add(group_of(place), place, labels)
    return folders.refusals(labels.classes)


def _refusal(group: _Group) -> Refusal:
    tops = " and ".join(repr(top) for top in sorted(group.below))
    folders = sorted(set().union(*group.below.values()))
    inner = ", ".join(folders[:SHOWN]) + (", …" if len(folders) > SHOWN else "")
    key = group.archive or f"{min(group.below)}/*"
    what = f"all images of {group.archive or paths.RAW} lie in {tops}, which holds the folders {inner}"
    hint = f"ingest.strip: {{{key}: 1}} in {paths.PARAMS} makes classes of those, 0 of {tops}"
    return Refusal(REASON, f"{what}; {hint} (`pipeline add` has --strip)")
