"""Find the models that have seen an image, by Git's history and each model's seen.npz, and the files that hold it."""

import csv
from collections.abc import Mapping
from io import StringIO
from pathlib import Path
from typing import Any, Literal, NamedTuple

from pipeline import paths
from pipeline.commands.data.removal import DIGITS
from pipeline.commands.history.holders import Holders, find_holders
from pipeline.commands.history.naming import beginning
from pipeline.commands.holdings import Holdings
from pipeline.errors import CheckpointError, ImagesError, MissingDataError
from pipeline.lineage.history import PUSH_ALL, RecordedModel, every_model
from pipeline.lineage.lineage import read_recorded
from pipeline.lineage.seen_images import SEEN, find_seen
from pipeline.versioning import fetching

How = Literal["trained on it", "through its base", "held out", "unseen", "unknown"]
SAW: tuple[How, How] = ("trained on it", "through its base")
HELD_OUT = ("val", "test", "leaks")


class Sighting(NamedTuple):
    """The relation between a model and an image."""

    model: RecordedModel
    how: How
    label: str | None = None
    """The image's class at that time, if the model was trained on it."""
    split: str | None = None
    """The split in which the image was held out at that time, as far as known."""
    trouble: str = ""
    """Why the relation is unknown, or why it is unknown whether the image was held out."""

    def as_row(self) -> list[str]:
        """Return generation, date, relation, label, split, model and commit as text."""
        training, recorded = self.model.training, self.model.recorded
        when, commit = (f"{training.date:%Y-%m-%d %H:%M}", training.commit[:7]) if training else ("", "")
        about = [self.how, self.label or "", self.split or "", recorded.model[:8], commit]
        return [f"generation {recorded.generation}", when, *about]

    def as_json(self) -> dict[str, Any]:
        """Return the relation for JSON."""
        training, recorded = self.model.training, self.model.recorded
        commit, date = (training.commit, training.date.isoformat()) if training else (None, None)
        told = {"generation": recorded.generation, "model": recorded.model, "base": recorded.base}
        return {**told, "commit": commit, "date": date, **self._asdict(), "model": recorded.model}


class Trace(NamedTuple):
    """Everything known about an image."""

    id: str
    places: list[str]
    """The image's present sources in data/raw."""
    split: str | None
    """The image's present split; None if it is in no split, or `manifest` has not run."""
    sightings: list[Sighting]
    """One for each model, oldest first."""
    current: str | None
    """The hash of the currently recorded model."""
    holders: Holders
    """The files that hold the image's bytes."""

    def __str__(self) -> str:
        """Summarise the trace in one line."""
        saw = sum(one.how in SAW for one in self.sightings)
        unknown = sum(one.how == "unknown" for one in self.sightings)
        place = f"in data/raw as {', '.join(self.places)}" if self.places else "not in data/raw"
        split = f", in {self.split} now" if self.split else ""
        told = f"; of {unknown:,} it is unknown" if unknown else ""
        return f"{self.id}: {place}{split}; {saw:,} of {len(self.sightings):,} generations have seen it{told}"

    def as_json(self) -> dict[str, Any]:
        """Return the whole trace for JSON."""
        sightings, holders = [one.as_json() for one in self.sightings], self.holders.as_json()
        told = {"sightings": sightings, "holders": holders, "advice": advice(self), "erasing": erasing(self)}
        return {**self._asdict(), **told}


def trace(image: str) -> Trace:
    """Return everything known about `image`: a file, an id or a prefix of one, or a source in the index.

    Raises:
        ImagesError: no image has this name, or the prefix fits the ids of several images.
    """
    told, held = list(every_model()), Holdings.read()
    start = beginning(image, held, told)
    seen = [_find(model, start) for model in told]
    ids = {one.id for one in held.at(held.beginning(start)) if one.id}
    ids |= {image_id for found in seen if isinstance(found, dict) for image_id in found}
    wanted = _only({start} if len(start) == DIGITS else ids, image)
    sightings = [_sighting(model, wanted, found) for model, found in zip(told, seen, strict=True)]
    here = {name: path for name in ("train", *HELD_OUT) if (path := paths.MANIFEST / f"{name}.csv").exists()}
    places, newest = [one.name for one in held.of_images([wanted])], read_recorded()
    current = newest.model if newest else None
    return Trace(wanted, places, _split(here, wanted), sightings, current, find_holders(wanted, held))


def advice(found: Trace) -> str:
    """Return how to remove the image from the current model; an empty string if that model has not seen it."""
    by_hash = {one.model.recorded.model: one for one in found.sightings}
    one = by_hash.get(found.current or "")
    if one is None or one.how not in SAW:
        return ""
    start = "from the newest ancestor that has not seen it, which is unknown"
    while one is not None and one.how in SAW:
        base = one.model.recorded.base
        if base is None:
            start = "from scratch, since every ancestor has seen it"
            break
        one = by_hash.get(base)
    if one is not None and one.how in ("unseen", "held out"):
        start = f"from {one.model.name}, the newest ancestor that has not seen it"
    removal = f"`pipeline remove {found.id}`, " if found.places else ""
    return (
        f"The current model was trained on it. To remove it: {removal}manifest.on_removed: ancestor in "
        f"{paths.PARAMS}, `dvc repro`; that starts {start}"
    )


def erasing(found: Trace) -> str:
    """Return how to erase the bytes of an image removed from data/raw; an empty string if no file holds them."""
    if found.places or not found.holders.found:
        return ""
    here = any("workspace" in one.where for one in found.holders.found)
    first = f"`pipeline remove --erase {found.id}`, `dvc repro`, `git commit`, `dvc push`, then " if here else ""
    return (
        f"To erase its bytes: {first}`dvc gc -w -c`, after which earlier generations are not available, "
        "and what they have seen is unknown; see docs/team.md"
    )


def _find(model: RecordedModel, start: str) -> dict[str, str | None] | str:
    """Return the labels, by id, of the images the model has seen whose id begins with `start`; or why it is unknown."""
    try:
        return find_seen(
            fetching.fetch_member(model.recorded.model, SEEN, what=_what(model, SEEN), hint=PUSH_ALL), start
        )
    except (MissingDataError, CheckpointError) as error:
        return str(error)


def _sighting(model: RecordedModel, image_id: str, found: dict[str, str | None] | str) -> Sighting:
    if isinstance(found, str):
        return Sighting(model, "unknown", trouble=found)
    label = found.get(image_id)
    if label is not None:
        return Sighting(model, "trained on it", label)
    manifests, trouble = _held_out(model)
    split = _split(manifests, image_id)
    how: How = "through its base" if image_id in found else "held out" if split else "unseen"
    return Sighting(model, how, split=split, trouble="" if split else trouble)


def _held_out(model: RecordedModel) -> tuple[dict[str, Path], str]:
    """Return the manifests of the model's held-out images, by name; and why some of them are not available."""
    files, trouble = {}, ""
    for name in HELD_OUT:
        md5 = model.outputs.get((paths.MANIFEST / f"{name}.csv").as_posix())
        try:
            if md5 is not None:
                files[name] = fetching.fetch_file(md5, what=_what(model, name), hint=PUSH_ALL)
        except MissingDataError as error:
            trouble = f"not trained on, perhaps held out: {error}"
    return files, trouble


def _split(manifests: Mapping[str, Path], image_id: str) -> str | None:
    """Return the name of the one of `manifests` that lists the image; None if none does."""
    for name, path in manifests.items():
        content = path.read_bytes()
        if b"\n%b," % image_id.encode() in content:
            rows = csv.DictReader(StringIO(content.decode(), newline="")) if name == "leaks" else ()
            left_out = [row["split"] for row in rows if row["id"] == image_id]
            return f"{left_out[0]}, but left out" if left_out else name
    return None


def _only(ids: set[str], image: str) -> str:
    if len(ids) != 1:
        what = f"the ids of {len(ids) or 'no'} known images begin with it"
        raise ImagesError(image, what, "give more digits" if ids else "give a file, a source, or another id")
    return ids.copy().pop()


def _what(model: RecordedModel, name: str) -> str:
    return f"{name} of {model.name}"
