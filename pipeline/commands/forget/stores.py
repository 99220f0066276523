"""A uniform interface to DVC's cache and remotes: list, read and delete objects by hash."""

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
HINT = "it may still hold a copy; run `pipeline forget` again once it can be reached"
# DVC's name for a file that it is copying. An interrupted copy leaves it in the store or next to the target.
UNFINISHED_COPY = re.compile(r"\.[\w-]{22}\.tmp")
GONE = "make it reachable, or remove it from .dvc/config with `dvc remote remove`; nothing was changed"


class Store:
    """A place where DVC stores objects."""

    def __init__(self, name: str, odb: HashFileDB) -> None:
        """`name` is shown to users: the cache, or a remote."""
        self.name, self._odb = name, odb

    @cached_property
    def oids(self) -> frozenset[str]:
        """The hash of every object in the store.

        Raises:
            MissingDataError: the store cannot be read.
        """
        with self._answering():
            if not self._odb.fs.exists(self._odb.path):
                return frozenset()
            return frozenset(self._odb.all())  # type: ignore[no-untyped-call]

    @property
    def folder(self) -> Path | None:
        """The folder with the objects if they are files of this machine; None for a server."""
        return Path(self._odb.path) if self._odb.fs.protocol == "local" else None

    def fetch(self, oid: str, target: Path) -> None:
        """Copy an object to the file `target`."""
        with self._answering():
            self._odb.fs.get_file(self._odb.oid_to_path(oid), str(target))

    def path(self, oid: str) -> Path:
        """Return the path of an object in a store on this machine."""
        return Path(self._odb.oid_to_path(oid))

    def delete(self, oid: str) -> None:
        """Delete an object, if it exists.

        Raises:
            MissingDataError: the object cannot be deleted.
        """
        with self._answering():
            if self._odb.exists(oid):
                self._odb.delete(oid)

    def settle(self) -> None:
        """Clear DVC's index of the store, as `dvc gc` does, so that DVC lists the store again."""
        from dvc_data.hashfile.db import get_index

        get_index(self._odb).clear()

    @contextmanager
    def _answering(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            raise MissingDataError(self.name, one_line(error), HINT) from error


def every_store() -> list[Store]:
    """Return the cache and every configured remote.

    Raises:
        MissingDataError: a remote does not respond.
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
    """The objects of several stores, accessible as files."""

    def __init__(self, stores: list[Store], folder: Path) -> None:
        """Objects that only a remote has are copied into `folder` to be read."""
        self.stores, self._folder = stores, folder
        self._listings: dict[str, Mapping[str, str] | None] = {}

    @property
    def oids(self) -> frozenset[str]:
        """The hash of every object in any of the stores."""
        return frozenset[str]().union(*(store.oids for store in self.stores))

    def find(self, oid: str) -> Path | None:
        """Return a file with the bytes of an object; None if no store has it."""
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
        """Return the MD5 of each file of a directory object, by relative path; None if the listing cannot be read."""
        if oid not in self._listings:
            self._listings[oid] = self._read_listing(oid)
        return self._listings[oid]

    def where(self, oid: str) -> list[str]:
        """Return the names of the stores that have an object."""
        return [store.name for store in self.stores if oid in store.oids]

    def _read_listing(self, oid: str) -> Mapping[str, str] | None:
        path = self.find(oid)
        try:
            return {entry["relpath"]: entry["md5"] for entry in json.loads(path.read_bytes())} if path else None
        except (OSError, ValueError, KeyError, TypeError):
            return None
