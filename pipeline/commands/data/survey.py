"""What ingest would do with files, folders and archives that are not in data/raw yet; nothing is written."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, Self

from tqdm import tqdm

from pipeline import paths
from pipeline.commands.data.known_images import KnownImages
from pipeline.errors import ImagesError
from pipeline.ingestion.collection import DISPUTED
from pipeline.ingestion.decoding import Job, KnownIds, Place, decode
from pipeline.ingestion.labelling.class_names import class_name, label_of
from pipeline.ingestion.labelling.labels import LABELS, Labels, is_system_file, source_of
from pipeline.ingestion.labelling.mapping import ClassMapping
from pipeline.ingestion.notices import clash_notices, class_notices, name_notices, picture_notices
from pipeline.ingestion.places import of_dropped
from pipeline.ingestion.refusals import Refusal
from pipeline.ingestion.resolving import resolve
from pipeline.ingestion.scan import Spot, find
from pipeline.ingestion.standardising import Picture
from pipeline.ingestion.unpacking.archives import is_unsafe
from pipeline.ingestion.wrappers import Folders, Wrapped
from pipeline.params import Params

OUTSIDE = Refusal("no class folder", "put it into a folder named after its class, or give the class with --label")
UNSAFE = Refusal("unsafe name", "no name for a class: it could not be unpacked on every system")


class FoundImage(NamedTuple):
    """A place where an image is expected."""

    place: Place
    """Its path is absolute."""
    name: str
    """How it is named to people."""
    label: str
    """Its class, where there is no refusal."""
    refusal: Refusal | None
    attributes: str = ""
    """What a labels.csv next to it says further, see `labels.LabelLine`."""
    id: str | None = None
    """The image's id, once it was inspected."""
    remark: str = ""
    """What people should know of it then."""


@dataclass
class Survey:
    """What was found."""

    new: dict[tuple[str, str], FoundImage] = field(default_factory=dict)
    """The usable images that data/raw lacks, by label and id."""
    known: set[tuple[str, str]] = field(default_factory=set)
    """The images that are in data/raw already, by label and id."""
    copies: Counter[str] = field(default_factory=Counter)
    """How many more copies of these images were found, by label."""
    refused: list[tuple[str, Refusal]] = field(default_factory=list)
    """Where something cannot be used, and why not."""
    notices: list[str] = field(default_factory=list)
    """What people should hear besides."""


def survey(tops: Iterable[Path], label: str | None, params: Params, *, strip: int | None = None) -> Survey:
    """Look at every image in `tops`, as ingest would; `label`, where given, is the class of them all.

    `strip` says how many folders lie above those that name classes; without it, `ingest.strip` does.

    Raises:
        ImagesError: one of `tops` is not there, or `label` cannot be the name of a class.
    """
    if label is not None:
        label = _checked(label)
    stock = KnownImages()
    mapping, strips = ClassMapping.read(), params.ingest.strip if strip is None else {"*": strip}
    found, notices = _find(tops, label, strips, _Known.of(stock, mapping))
    looked_at = list(_look(found, stock, params))
    notices += picture_notices({one.name: one.remark for one in looked_at if one.remark})
    images, refused = resolve(looked_at)
    report = Survey(refused=[(line.source, Refusal(line.reason, line.detail)) for line in refused], notices=notices)
    places: dict[str, list[FoundImage]] = {}
    for one in looked_at:
        if one.refusal is None and one.id is not None:
            places.setdefault(one.id, []).append(one)
    sources = set(filter(None, (_source_in_raw(one.place) for one in looked_at)))
    for image in images.to_pylist():
        was, source = stock.find(image["id"]) or (None, "")
        known = was and mapping.label(was)
        # What lies where ingest found it has its class from there, and may have another one now.
        known = image["label"] if source in sources else known
        _sort_in(report, image["id"], image["label"], places[image["id"]], known)
    report.refused.sort()
    return report


def _look(found: list[FoundImage], stock: KnownImages, params: Params) -> Iterator[FoundImage]:
    """The same places, with ids, and what cannot be used refused."""
    todo = [one for one in found if one.refusal is None]
    yield from (one for one in found if one.refusal is not None)
    outcomes = decode((one.place for one in todo), Job(KnownIds(stock.ids), params.ingest), params.compute.workers)
    bar = tqdm(outcomes, "checking", len(todo), unit=" images", disable=None)
    for one, outcome in zip(todo, bar, strict=True):
        refusal = outcome.result if isinstance(outcome.result, Refusal) else None
        remark = outcome.result.remark if isinstance(outcome.result, Picture) else ""
        yield one._replace(id=outcome.id, refusal=refusal, remark=remark)


def is_label(name: str) -> bool:
    """Whether a folder of this name, in an archive in data/raw, is a class of that name."""
    inside = f"{name}/x"
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    kept = label_of("x.zip", inside) == class_name(name)
    return bool(name) and kept and not is_unsafe(inside) and not is_system_file(inside)


def _source_in_raw(place: Place) -> str | None:
    """How ingest calls a place, None if it is not in data/raw."""
    path, raw = Path(place.path), paths.RAW.absolute()
    return source_of(path.relative_to(raw).as_posix(), place.member) if path.is_relative_to(raw) else None


def _sort_in(report: Survey, image_id: str, label: str, places: list[FoundImage], known: str | None) -> None:
    """Say in `report` what comes of an image that is in all `places` as `label`, and in data/raw as `known`."""
    if known not in (None, label):
        detail = f"in data/raw it is of class {known}; `pipeline remove {image_id}` takes it out"
        report.refused.extend((one.name, Refusal(DISPUTED, detail)) for one in places)
        return
    if known is None:
        report.new[label, image_id] = places[0]
    else:
        report.known.add((label, image_id))
    report.copies[label] += len(places) - 1


def _checked(label: str) -> str:
    name = class_name(label)
    if name is None or not is_label(name):
        raise ImagesError("--label", f"{label!r} cannot be the name of a class", "give a plain name, without / in it")
    return name


class _Seen(NamedTuple):
    """A place, and what says its class."""

    spot: Spot
    labels: Labels
    group: str
    """The archive that it lies in, or the path that people named."""

    @property
    def where(self) -> tuple[str, str | None]:
        """As data/raw would have it."""
        return self.spot.inside, self.spot.place.member


class _Known(NamedTuple):
    """What is known of classes."""

    mapping: ClassMapping
    images: Counter[str]
    """Of data/raw, by class."""

    @classmethod
    def of(cls, stock: KnownImages, mapping: ClassMapping) -> Self:
        """By the images of data/raw."""
        images = Counter[str]()
        for name, count in stock.classes.items():
            images[mapping.label(name) or ""] += count
        del images[""]
        return cls(mapping, images)


def _find(
    tops: Iterable[Path], label: str | None, strip: Mapping[str, int], known: _Known
) -> tuple[list[FoundImage], list[str]]:
    """Every place in `tops`, and what people should hear of them."""
    folders, seen = Folders(), [one for top in tops for one in _look_into(top, strip)]
    for one in seen:
        if one.spot.refusal is None:
            folders.add(one.group, one.spot.place._replace(path=one.spot.inside), one.labels)
    unclear = folders.refusals({*known.images, *known.mapping.heirs})
    found = []
    for one in seen:
        said, spot = one.labels.find(*one.where), one.spot
        own = said.label if label is None else label
        refusal = spot.refusal or (_refusal(one, own, unclear) if label is None else None)
        now = known.mapping.label(own or "")
        if refusal is None and now is None:
            refusal = of_dropped(own)
        found.append(FoundImage(spot.place, spot.name, now or "", refusal, said.attributes))
    counts = Counter(one.label for one in found if one.refusal is None)
    return found, _notices(seen, counts + known.images) if label is None else []


def _look_into(top: Path, strip: Mapping[str, int]) -> list[_Seen]:
    labels, around = _labels_of(top, strip)
    seen = [
        _Seen(spot._replace(inside=around + spot.inside), labels, spot.place.path if spot.place.member else str(top))
        for spot in find(top)
    ]
    labels.settle(source_of(*one.where) for one in seen)
    return seen


def _notices(seen: list[_Seen], counts: Counter[str]) -> list[str]:
    doubtful = ((*one.where, one.spot.doubt, one.labels) for one in seen if one.spot.doubt)
    several = {id(one.labels): one.labels for one in seen}.values()
    clashes = [notice for labels in several for notice in clash_notices(labels)]
    return [*clashes, *class_notices(counts), *name_notices(doubtful)]


def _labels_of(top: Path, strip: Mapping[str, int]) -> tuple[Labels, str]:
    """What says the classes of the images in `top`, and the folder in data/raw that it is, with a slash, if it is."""
    raw, where = paths.RAW.resolve(), top.resolve()
    if where.is_relative_to(raw) and where != raw:
        folder = where if where.is_dir() else where.parent
        inside = folder.relative_to(raw).as_posix()
        return Labels.read(strip=strip), "" if inside == "." else f"{inside}/"
    return Labels.read(top / LABELS, strip=strip) if top.is_dir() else Labels([], strip=strip), ""


def _refusal(one: _Seen, label: str | None, unclear: Wrapped) -> Refusal | None:
    if label is None:
        return OUTSIDE
    if one.group in unclear and not one.labels.is_certain(*one.where):
        return unclear[one.group]
    return None if is_label(label) else UNSAFE
