"""Files that belong to data/raw but were never in this clone, read from DVC's cache; each is fetched on demand."""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from pipeline import paths
from pipeline.errors import MissingDataError, RecordError
from pipeline.versioning import fetching, objects, remote, repository, tracking
from pipeline.versioning.lock import read_raw_hash
from pipeline.versioning.raw.absence import read_absent
from pipeline.versioning.raw.content import as_listed, listed_in
from pipeline.versioning.raw.rule import Belonging
from pipeline.versioning.raw_files import RawFile


class AbsentFiles:
    """The absent files of data/raw; all paths are relative to data/raw."""

    def __init__(self, md5s: Mapping[str, str]) -> None:
        """`md5s` are the MD5s of the absent files, by path."""
        self.md5s = md5s
        self._fetched: set[str] = set()

    @classmethod
    def of(cls, belonging: Belonging) -> "AbsentFiles":
        """Build it from the absent files of `belonging`."""
        return cls({path: belonging.files[path] for path in belonging.absent})

    @classmethod
    def besides(cls, here: Mapping[str, str]) -> "AbsentFiles":
        """Build it from the files that belong to data/raw besides those `here`, MD5s by path, as far as is known."""
        if not paths.RAW_DVC.exists() or read_absent() == set():
            return NONE
        try:
            return cls.of(as_listed(listed_in(read_raw_hash()), dict(here)).belonging)
        except (MissingDataError, RecordError):
            return NONE

    @classmethod
    def among(cls, files: Iterable[RawFile]) -> "AbsentFiles":
        """Build it from the `files` that were noted as absent and have not arrived since."""
        noted = read_absent() or set()
        gone = ((path, md5) for path, md5 in files if path in noted) if noted else ()
        # Creating a `Path` for each file would take longer than the check itself.
        return cls({path: md5 for path, md5 in gone if not os.path.exists(f"{paths.RAW}/{path}")})  # noqa: PTH110

    def __contains__(self, path: object) -> bool:
        return path in self.md5s

    def at(self, path: str) -> Path:
        """Return where the content of the file `path` is, or will be once it is fetched."""
        if path not in self.md5s:
            return paths.RAW / path
        return objects.cached_path(repository.repository(), self.md5s[path])

    def cached(self, wanted: Iterable[str]) -> dict[str, Path]:
        """Return the path in DVC's cache, by path, of each absent file in `wanted` that the cache already has."""
        found = ((path, self.at(path)) for path in {*wanted} & self.md5s.keys())
        return {path: where for path, where in found if where.exists()}

    def fetch(self, wanted: Iterable[str]) -> dict[str, Path]:
        """Fetch the absent files in `wanted` into DVC's cache; return where each of them is.

        Raises:
            MissingDataError: one of them is neither in the cache nor on the remote.
        """
        found = {path: self.at(path) for path in wanted if path in self.md5s}
        if not (new := sorted(found.keys() - self._fetched)):
            return found
        remote.pull(repository.repository(), [self.md5s[path] for path in new if not found[path].exists()])
        for path in new:  # Checks each file, and raises if one could not be pulled.
            fetching.fetch_file(self.md5s[path], what=f"{paths.RAW}/{path}", hint=fetching.PUSH_FIRST)
        self._fetched.update(new)
        return found

    def bring(self, wanted: Iterable[str]) -> None:
        """Put the absent files in `wanted` into data/raw.

        Raises:
            MissingDataError: see `fetch`.
        """
        if found := self.fetch(wanted):
            tracking.put_in_raw({path: self.md5s[path] for path in found})


NONE = AbsentFiles({})
