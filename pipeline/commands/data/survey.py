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
from pipeline.ingestion.decoding import Job, KnownIds, Place, decode
from pipeline.ingestion.labelling.class_names import label_of
from pipeline.ingestion.labelling.labels import LABELS, Labels, is_system_file
from pipeline.ingestion.refusals import Refusal
from pipeline.ingestion.scan import find
from pipeline.ingestion.unpacking.archives import is_unsafe
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
    """What a labels.csv beside it says further, see `labels.Line`."""


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
    found = [one for top in tops for one in _find(top, label)]
    todo, stock = [one for one in found if one.refusal is None], KnownImages()
    outcomes = decode((one.place for one in todo), Job(KnownIds(stock.ids), params.ingest), params.compute.workers)
    bar = tqdm(outcomes, "checking", len(todo), unit=" images", disable=None)
    report = Survey(refused=[(one.name, one.refusal) for one in found if one.refusal is not None])
    usable: list[tuple[FoundImage, str]] = []
    labels: dict[str, set[str]] = {}
    for one, outcome in zip(todo, bar, strict=True):
        if isinstance(outcome.result, Refusal):
            report.refused.append((one.name, outcome.result))
        else:
            assert outcome.id is not None
            usable.append((one, outcome.id))
            labels.setdefault(outcome.id, set()).add(one.label)
    for one, image_id in usable:
        _sort_in(report, one, image_id, labels[image_id], stock)
    report.refused.sort()
    return report


def is_label(name: str) -> bool:
    """Whether a folder of this name, in an archive in data/raw, is a class of that name."""
    inside = f"{name}/x"
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    kept = label_of("x.zip", inside) == normalize("NFC", name)
    return bool(name) and kept and not is_unsafe(inside) and not is_system_file(inside)


def _sort_in(report: Survey, one: FoundImage, image_id: str, labels: set[str], stock: KnownImages) -> None:
    known = stock.label(image_id)
    if len(labels) > 1:
        report.refused.append((one.name, Refusal("two labels", f"the same image lies in {', '.join(sorted(labels))}")))
    elif (one.label, image_id) in report.new or (one.label, image_id) in report.known:
        report.copies[one.label] += 1
    elif known == one.label:
        report.known.add((one.label, image_id))
    elif known is not None:
        detail = f"in data/raw it is of class {known}; `pipeline remove {image_id}` takes it out"
        report.refused.append((one.name, Refusal("two labels", detail)))
    else:
        report.new[one.label, image_id] = one


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
