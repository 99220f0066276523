"""What ingest would do with files, folders and archives that are not in data/raw yet; nothing is written."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple
from unicodedata import normalize

from tqdm import tqdm

from pipeline.commands.data.known_images import KnownImages
from pipeline.errors import ImagesError
from pipeline.ingestion.archives import is_unsafe
from pipeline.ingestion.collection import DISPUTED
from pipeline.ingestion.decoding import Job, KnownIds, Place, decode
from pipeline.ingestion.labels import LABELS, Labels, is_system_file, label_of
from pipeline.ingestion.refusals import Refusal
from pipeline.ingestion.resolving import resolve
from pipeline.ingestion.scan import find
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


def survey(tops: Iterable[Path], label: str | None, params: Params) -> Survey:
    """Look at every image in `tops`, as ingest would; `label`, where given, is the class of them all.

    Raises:
        ImagesError: one of `tops` is not there, or `label` cannot be the name of a class.
    """
    if label is not None:
        label = _checked(label)
    found, stock = [one for top in tops for one in _find(top, label)], KnownImages()
    looked_at = list(_look(found, stock, params))
    images, refused = resolve(looked_at)
    report = Survey(refused=[(line.source, Refusal(line.reason, line.detail)) for line in refused])
    places: dict[str, list[FoundImage]] = {}
    for one in looked_at:
        if one.refusal is None and one.id is not None:
            places.setdefault(one.id, []).append(one)
    for image in images.to_pylist():
        _sort_in(report, image["id"], image["label"], places[image["id"]], stock)
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
        yield one._replace(id=outcome.id, refusal=refusal)


def is_label(name: str) -> bool:
    """Whether a folder of this name, in an archive in data/raw, is a class of that name."""
    inside = f"{name}/x"
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    kept = label_of("x.zip", inside) == normalize("NFC", name)
    return bool(name) and kept and not is_unsafe(inside) and not is_system_file(inside)


def _sort_in(report: Survey, image_id: str, label: str, places: list[FoundImage], stock: KnownImages) -> None:
    """Say in `report` what comes of an image that is in all `places` under the same label."""
    known = stock.label(image_id)
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
    if not is_label(label) or "/" in label:
        raise ImagesError("--label", f"{label!r} cannot be the name of a class", "give a plain name, without / in it")
    return normalize("NFC", label)


def _find(top: Path, label: str | None) -> Iterator[FoundImage]:
    labels = Labels.read(top / LABELS) if top.is_dir() else Labels([])
    for spot in find(top):
        said = labels.find(spot.inside, spot.place.member)
        own = label if label is not None else said.label
        yield FoundImage(spot.place, spot.name, own or "", spot.refusal or _refusal(own), said.attributes)


def _refusal(label: str | None) -> Refusal | None:
    if label is None:
        return OUTSIDE
    return None if is_label(label) else UNSAFE
