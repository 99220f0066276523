"""Find every place in files, folders and archives where an image is expected, and its class as ingest would set it."""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple, Self

from pipeline import paths
from pipeline.commands.data.known_images import KnownImages
from pipeline.ingestion.catalogue import UNUSABLE_LABELS, Listing
from pipeline.ingestion.collection import DISPUTED, Refused
from pipeline.ingestion.decoding import Place
from pipeline.ingestion.labelling.class_names import class_name, label_of
from pipeline.ingestion.labelling.label_files import LABELS
from pipeline.ingestion.labelling.label_tables import Columns, LabelLine
from pipeline.ingestion.labelling.labels import Labels, is_system_file
from pipeline.ingestion.labelling.mapping import ClassMapping
from pipeline.ingestion.labelling.sources import source_of
from pipeline.ingestion.notices import clash_notices, name_notices, vain_notices
from pipeline.ingestion.places import of_dropped, other_archive_at
from pipeline.ingestion.refusals import Refusal
from pipeline.ingestion.scan import Spot, find, label_files
from pipeline.ingestion.unpacking.archives import is_unsafe
from pipeline.ingestion.wrappers import Folders, Wrapped
from pipeline.params import Ingest

OUTSIDE = Refusal("no class folder", "put it into a folder named after its class, or give the class with --label")
UNSAFE = Refusal("unsafe name", "no name for a class: it could not be unpacked on every system")


class FoundImage(NamedTuple):
    """A place where an image is expected."""

    place: Place
    """The place, with an absolute path."""
    name: str
    """Its name, as shown to users."""
    label: str
    """The image's class; meaningful only without a refusal."""
    refusal: Refusal | None
    attributes: str = ""
    """The further columns of its line in labels.csv, see `label_tables.LabelLine`."""
    id: str | None = None
    """The image's id; None until it was inspected."""
    remark: str = ""
    """A remark about the image for users, once it was inspected."""
    size: tuple[int, int] | None = None
    """Width and height in pixels; None if the image was not decoded."""


class KnownClasses(NamedTuple):
    """The known classes."""

    mapping: ClassMapping
    images: Counter[str]
    """Number of images in data/raw, by class."""

    @classmethod
    def of(cls, stock: KnownImages, mapping: ClassMapping) -> Self:
        """Count the images of data/raw (`stock`) by their class under `mapping`."""
        images = Counter[str]()
        for name, count in stock.classes.items():
            images[mapping.label(name) or ""] += count
        del images[""]
        return cls(mapping, images)


def find_images(
    tops: Iterable[Path], label: str | None, params: Ingest, known: KnownClasses
) -> tuple[list[FoundImage], list[str]]:
    """Return every place in `tops`, and notices about names; `label`, if given, is the class of all images."""
    folders, seen = Folders(), [one for top in tops for one in _look_into(top, params)]
    for one in seen:
        if one.spot.refusal is None:
            folders.add(one.group, one.spot.place._replace(path=one.spot.inside), one.labels)
    unclear = folders.refusals({*known.images, *known.mapping.heirs})
    found = []
    for one in seen:
        said, spot = one.labels.find(*one.where), one.spot
        own = said.label if label is None else label
        refusal = spot.refusal or (_refusal(one, said, unclear) if label is None else None)
        now = known.mapping.label(own or "")
        if refusal is None and now is None:
            refusal = of_dropped(own)
        found.append(FoundImage(spot.place, spot.name, now or "", refusal, said.attributes))
    return found, _notices(seen, found) if label is None else []


def is_label(name: str) -> bool:
    """Whether a folder called `name` in an archive in data/raw gives its images the class `name`."""
    inside = f"{name}/x"
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    kept = label_of("x.zip", inside) == class_name(name)
    return bool(name) and kept and not is_unsafe(inside) and not is_system_file(inside)


class _Seen(NamedTuple):
    """A place, and the labels that determine its class."""

    spot: Spot
    labels: Labels
    group: str
    """The archive that contains the place, or the path that the user gave."""

    @property
    def where(self) -> tuple[str, str | None]:
        """The path and member that the place would have in data/raw."""
        return self.spot.inside, self.spot.place.member


def _look_into(top: Path, params: Ingest) -> list[_Seen]:
    labels, around = _labels_of(top, params)
    spots = [spot._replace(inside=around + spot.inside) for spot in find(top, Listing.of(params))]
    for spot in spots:
        if spot.line is not None:
            labels.carry(spot.inside, {spot.place.member: spot.line})
    for name, what in labels.unreadable.items():
        where = f"{paths.RAW if around else top}/{name}"
        spots.append(Spot(Place(where), where, name, Refusal(UNUSABLE_LABELS, what)))
    seen = [_Seen(spot, labels, spot.place.path if spot.place.member else str(top)) for spot in spots]
    labels.settle(source_of(*one.where) for one in seen)
    return seen


def _notices(seen: list[_Seen], found: list[FoundImage]) -> list[str]:
    refused = [Refused(one.name, one.id or "", *one.refusal) for one in found if one.refusal is not None]
    doubtful = ((*one.where, one.spot.doubt, one.labels) for one in seen if one.spot.doubt)
    several = {id(one.labels): one.labels for one in seen}.values()
    clashes = [notice for labels in several for notice in clash_notices(labels)]
    vain = [notice for labels in several for notice in vain_notices(labels, refused, [one.name for one in found])]
    return [*vain, *clashes, *name_notices(doubtful)]


def _labels_of(top: Path, params: Ingest) -> tuple[Labels, str]:
    """Return the labels of the images in `top`; and if `top` lies in data/raw, its folder there with a slash."""
    raw, where, columns = paths.RAW.resolve(), top.resolve(), Columns(**params.columns)
    if where.is_relative_to(raw) and where != raw:
        folder = where if where.is_dir() else where.parent
        inside = folder.relative_to(raw).as_posix()
        read = Labels.read(files=label_files(paths.RAW, columns), strip=params.strip, columns=columns)
        return read, "" if inside == "." else f"{inside}/"
    if not top.is_dir():
        return Labels(strip=params.strip, columns=columns), ""
    return Labels.read(top / LABELS, files=label_files(top, columns), strip=params.strip, columns=columns), ""


def _refusal(one: _Seen, line: LabelLine, unclear: Wrapped) -> Refusal | None:
    if line.conflict:
        return Refusal(DISPUTED, line.conflict)
    if line.label is None:
        place = one.spot.place
        return (other_archive_at(Path(place.path)) if place.member is None else None) or OUTSIDE
    if one.group in unclear and not one.labels.is_certain(*one.where):
        return unclear[one.group]
    return None if is_label(line.label) else UNSAFE
