"""Find everything that must be deleted so that images are forgotten; nothing is deleted yet."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import NamedTuple

from pipeline import paths
from pipeline.commands.forget.elsewhere import kept_elsewhere
from pipeline.commands.forget.remnants import COPY, Remnant, Remnants, Search
from pipeline.commands.forget.stores import CACHE, Objects, every_store
from pipeline.commands.forget.workspace import made_of, shards_with
from pipeline.commands.history.holders import every_record
from pipeline.commands.holdings import Holding, Holdings
from pipeline.handover.remote_folder import RemoteFolder
from pipeline.lineage.forgotten import IMAGE, MODEL
from pipeline.lineage.history import every_model
from pipeline.text import counted


class Plan(NamedTuple):
    """Everything that is to be deleted."""

    ids: frozenset[str]
    held: Holdings
    """All places in data/raw."""
    places: list[Holding]
    """The places that contain one of the images."""
    shards: list[Path]
    """The shards in data/shards that are to be rewritten."""
    files: list[Path]
    """Other files and folders of the project that are to be deleted."""
    elsewhere: list[RemoteFolder]
    """Folders on remotes with unfinished work."""
    remnants: Remnants
    objects: Objects

    @classmethod
    def of(cls, ids: Collection[str], folder: Path) -> Plan:
        """Search for the images everywhere; objects that only a remote has are copied into `folder` to be read.

        Raises:
            MissingDataError: a remote does not respond.
        """
        objects = Objects(every_store(), folder)
        held = Holdings.read() if paths.RAW.is_dir() else Holdings.none()
        remnants = Search(ids, objects).run(every_record())
        files = made_of(ids, remnants.stored)
        return cls(
            frozenset(ids), held, held.of_images(ids), shards_with(ids), files, kept_elsewhere(), remnants, objects
        )

    @property
    def is_done(self) -> bool:
        """Whether nothing is left to delete, as far as known."""
        return not (self.places or self.shards or self.remnants.found or self._kept_files)

    @property
    def rows(self) -> list[tuple[str, str]]:
        """The rows to add to data/forgotten.csv."""
        found = [
            (one.what, one.oid[:32])
            for one in self.remnants.found
            if one.oid not in self.ids and one.what != COPY  # A copy has no hash.
        ]
        return [*((IMAGE, one) for one in self.ids), *found, *((MODEL, one) for one in self.remnants.models)]

    def stores_with(self, *kinds: str) -> list[str]:
        """Return the names of the remotes that have an object of one of `kinds`."""
        wanted = {one.oid for one in self.remnants.found if one.what in kinds}
        return [one.name for one in self.objects.stores if one.name != CACHE and not one.oids.isdisjoint(wanted)]

    def lines(self) -> Iterator[str]:
        """Yield the plan as lines of text."""
        yield f"forget {counted(len(self.ids), 'image')}: {', '.join(sorted(self.ids))}"
        yield from (f"  delete   {paths.RAW}/{one.name}" for one in self.places)
        yield from (f"  rewrite  {path}, without {'it' if len(self.ids) == 1 else 'them'}" for path in self.shards)
        yield from (f"  delete   {path}" for path in self.files)
        yield from (f"  delete   unfinished work in {folder}" for folder in self.elsewhere)
        yield from (f"  delete   {self._said(one)}" for one in self.remnants.found)
        seen = "it" if len(self.ids) == 1 else "some of them"
        yield from (f"  unusable {name}, which has seen {seen}" for name in self._models())
        yield from (f"  unknown  {one}" for one in self.remnants.unknown)

    @property
    def _kept_files(self) -> list[Path]:
        """The `files` that are not in data/.progress, which any run may leave behind."""
        return [path for path in self.files if not path.is_relative_to(paths.PROGRESS)]

    def _said(self, one: Remnant) -> str:
        return f"{one.what} {one.oid[:8]} ({one.name}) in {', '.join(self.objects.where(one.oid))}"

    def _models(self) -> Iterator[str]:
        names = {model.recorded.model: model.name for model in every_model()}
        yield from (names.get(oid, f"the model {oid[:8]}, which no commit records") for oid in self.remnants.models)
