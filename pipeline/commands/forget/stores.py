"""Where DVC keeps objects, its cache and its remotes, all alike: what is there, read and deleted by hash."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.errors import MissingDataError, one_line
from pipeline.versioning import remote
from pipeline.versioning.repository import repository

if TYPE_CHECKING:
    from dvc_data.hashfile.db import HashFileDB

CACHE = "cache"
HINT = "nothing says that it holds none of it; run `pipeline forget` again once it can be reached"
# What DVC calls a file while it copies it; a kill leaves it, there or next to what it was to become.
UNFINISHED_COPY = re.compile(r"\.[\w-]{22}\.tmp")
GONE = "make it answer, or take it out of .dvc/config with `dvc remote remove`; nothing was changed"


class Store:
    """A place where objects lie."""

    def __init__(self, name: str, odb: HashFileDB) -> None:
        """`name` is what people are told: the cache, or a remote."""
        self.name, self._odb = name, odb

    @cached_property
    def oids(self) -> frozenset[str]:
        """The hash of every object in it.

        Raises:
            MissingDataError: it cannot be read.
        """
        with self._answering():
            if not self._odb.fs.exists(self._odb.path):
                return frozenset()
            return frozenset(self._odb.all())  # type: ignore[no-untyped-call]

    @property
    def folder(self) -> Path | None:
        """Where the objects are files of this machine; None for a server."""
        return Path(self._odb.path) if self._odb.fs.protocol == "local" else None

    def fetch(self, oid: str, target: Path) -> None:
        """Copy an object to the file `target`."""
        with self._answering():
            self._odb.fs.get_file(self._odb.oid_to_path(oid), str(target))

    def path(self, oid: str) -> Path:
        """Where an object lies, if it is a file of this machine."""
        return Path(self._odb.oid_to_path(oid))

    def delete(self, oid: str) -> None:
        """Delete an object; it may be gone already.

        Raises:
            MissingDataError: it cannot be deleted.
        """
        with self._answering():
            if self._odb.exists(oid):
                self._odb.delete(oid)

    def settle(self) -> None:
        """Let DVC ask again what it has here, as `dvc gc` does."""
        from dvc_data.hashfile.db import get_index

        get_index(self._odb).clear()

    @contextmanager
    def _answering(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            raise MissingDataError(self.name, one_line(error), HINT) from error


def every_store() -> list[Store]:
    """The cache, and every remote that is set up here.

    Raises:
        MissingDataError: a remote gives no answer.
    """
    repo = repository()
    stores = [Store(CACHE, repo.cache.local)]
    for name in sorted(repo.config["remote"]):
        where = f"remote {name!r}"
        if mute := remote.silence(repo, name):
            raise MissingDataError(where, mute, GONE)
        try:
            stores.append(Store(where, repo.cloud.get_remote_odb(name)))
        except Exception as error:
            raise MissingDataError(where, one_line(error), GONE) from error
    return stores


class Objects:
    """The objects of several stores, as files."""

    def __init__(self, stores: list[Store], folder: Path) -> None:
        """What is on a remote alone is copied into `folder` to be read."""
        self.stores, self._folder = stores, folder
        self._listings: dict[str, Mapping[str, str] | None] = {}

    @property
    def oids(self) -> frozenset[str]:
        """The hash of every object."""
        return frozenset[str]().union(*(store.oids for store in self.stores))

    def find(self, oid: str) -> Path | None:
        """A file with the bytes of an object, None where no store has it."""
        for store in self.stores:
            if oid not in store.oids:
                continue
            if store.folder is not None:
                return store.path(oid)
            copy = self._folder / oid
            if not copy.exists():
                store.fetch(oid, copy)
            return copy
        return None

    def listing(self, oid: str) -> Mapping[str, str] | None:
        """The MD5 of each file of a directory, by its path in it; None where it cannot be read."""
        if oid not in self._listings:
            self._listings[oid] = self._read_listing(oid)
        return self._listings[oid]

    def where(self, oid: str) -> list[str]:
        """The names of the stores that have an object."""
        return [store.name for store in self.stores if oid in store.oids]

    def _read_listing(self, oid: str) -> Mapping[str, str] | None:
        path = self.find(oid)
        try:
            return {entry["relpath"]: entry["md5"] for entry in json.loads(path.read_bytes())} if path else None
        except (OSError, ValueError, KeyError, TypeError):
            return None
