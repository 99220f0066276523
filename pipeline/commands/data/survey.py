"""Predict what ingest would do with files, folders and archives that are not in data/raw yet; nothing is written."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple

from tqdm import tqdm

from pipeline import paths
from pipeline.commands.data.found_images import FoundImage, KnownClasses, find_images, is_label
from pipeline.commands.data.known_images import KnownImages
from pipeline.commands.data.measuring import measured
from pipeline.errors import ImagesError
from pipeline.ingestion.collection import DISPUTED
from pipeline.ingestion.decoding import Job, KnownIds, Place, decode
from pipeline.ingestion.labelling.class_names import class_name
from pipeline.ingestion.labelling.mapping import ClassMapping
from pipeline.ingestion.labelling.sources import source_of
from pipeline.ingestion.notices import class_notices, garbled_notices, picture_notices, table_notices
from pipeline.ingestion.refusals import Refusal
from pipeline.ingestion.resolving import resolve
from pipeline.ingestion.standardising import Picture
from pipeline.params import Params


class FoundPlace(NamedTuple):
    """A place with a usable image."""

    source: str
    status: Literal["new", "known", "copy"]
    label: str
    id: str
    place: Place
    size: tuple[int, int] | None
    """Width and height in pixels; None if the image was known already, and therefore not decoded."""


@dataclass
class Survey:
    """The result of `survey`."""

    new: dict[tuple[str, str], FoundImage] = field(default_factory=dict)
    """The usable images that data/raw lacks, by label and id."""
    known: set[tuple[str, str]] = field(default_factory=set)
    """The images that are in data/raw already, by label and id."""
    copies: Counter[str] = field(default_factory=Counter)
    """The number of additional copies of these images, by label."""
    places: list[FoundPlace] = field(default_factory=list)
    """All places with usable images, including copies."""
    refused: list[tuple[str, Refusal]] = field(default_factory=list)
    """The sources that cannot be used, each with the reason."""
    where: dict[str, Place] = field(default_factory=dict)
    """All places by source."""
    images: Counter[str] = field(default_factory=Counter)
    """The number of usable images of each class, in data/raw and new."""
    notices: list[str] = field(default_factory=list)
    """Further notices for the user."""


def survey(tops: Iterable[Path], label: str | None, params: Params, *, strip: int | None = None) -> Survey:
    """Inspect every image in `tops` as ingest would; `label`, if given, is the class of all of them.

    `strip` is the number of folder levels above the class folders; by default, `ingest.strip` determines it.

    Raises:
        ImagesError: one of `tops` does not exist, or `label` cannot be the name of a class.
    """
    if label is not None:
        label = _checked(label)
    stock, mapping = KnownImages(params.ingest.encoding), ClassMapping.read()
    read_as = params.ingest if strip is None else params.ingest.model_copy(update={"strip": {"*": strip}})
    classes = KnownClasses.of(stock, mapping)
    found, notices = find_images(tops, label, read_as, classes)
    looked_at = list(_look(found, stock, params))
    images, refused, _ = resolve(looked_at)
    report = Survey(
        refused=[(line.source, Refusal(line.reason, line.detail)) for line in refused],
        where={one.name: one.place for one in looked_at},
        notices=[*notices, *table_notices(line.source for line in refused)],
    )
    places: dict[str, list[FoundImage]] = {}
    for one in looked_at:
        if one.refusal is None and one.id is not None:
            places.setdefault(one.id, []).append(one)
    sources = set(filter(None, (_source_in_raw(one.place) for one in looked_at)))
    for image in images.to_pylist():
        was, source = stock.find(image["id"]) or (None, "")
        known = was and mapping.label(was)
        # A file of data/raw itself has its class from its place, and that class may have changed since ingest.
        known = image["label"] if source in sources else known
        first, *others = places[image["id"]]
        same = [first._replace(attributes=image["attributes"]), *others]
        _sort_in(report, image["id"], image["label"], same, known)
    report.refused.sort()
    report.images = classes.images + Counter(label for label, _ in report.new)
    if label is None:
        report.notices += [*class_notices(report.images), *garbled_notices(report.images)]
    report.notices += picture_notices({one.name: one.remark for one in looked_at if one.remark})
    return report


def _look(found: list[FoundImage], stock: KnownImages, params: Params) -> Iterator[FoundImage]:
    """Yield the places of `found` with their ids, and with a refusal if the image cannot be used."""
    todo = [one for one in found if one.refusal is None]
    yield from (one for one in found if one.refusal is not None)
    job = Job(KnownIds(stock.ids), params.ingest, make=measured)
    outcomes = decode((one.place for one in todo), job, params.compute.workers)
    bar = tqdm(outcomes, "checking", len(todo), unit=" images", disable=None)
    for one, outcome in zip(todo, bar, strict=True):
        refusal = outcome.result if isinstance(outcome.result, Refusal) else None
        made = outcome.result if isinstance(outcome.result, Picture) else None
        remark, size = (made.remark, (made.width, made.height)) if made else ("", None)
        yield one._replace(id=outcome.id, refusal=refusal, remark=remark, size=size)


def _source_in_raw(place: Place) -> str | None:
    """Return the source that ingest gives the place; None if it is not in data/raw."""
    path, raw = Path(place.path), paths.RAW.absolute()
    return source_of(path.relative_to(raw).as_posix(), place.member) if path.is_relative_to(raw) else None


def _sort_in(report: Survey, image_id: str, label: str, places: list[FoundImage], known: str | None) -> None:
    """Add an image to `report`: it was found at `places` with class `label`, and has class `known` in data/raw."""
    if known not in (None, label):
        detail = f"in data/raw it is of class {known}; `pipeline remove {image_id}` takes it out"
        report.refused.extend((one.name, Refusal(DISPUTED, detail)) for one in places)
        return
    if known is None:
        report.new[label, image_id] = places[0]
    else:
        report.known.add((label, image_id))
    report.copies[label] += len(places) - 1
    for number, one in enumerate(places):
        status: Literal["new", "known", "copy"] = "copy" if number else "new" if known is None else "known"
        report.places.append(FoundPlace(one.name, status, label, image_id, one.place, one.size))


def _checked(label: str) -> str:
    name = class_name(label)
    if name is None or not is_label(name):
        raise ImagesError("--label", f"{label!r} cannot be the name of a class", "give a plain name, without / in it")
    return name
