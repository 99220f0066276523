"""Files that belong to data/raw and were never here, read as objects of DVC's cache; each is fetched when asked for."""

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
    """Those among the files of data/raw; the paths of all are relative to that."""

    def __init__(self, md5s: Mapping[str, str]) -> None:
        """`md5s` are those of the absent files, by path."""
        self.md5s = md5s
        self._fetched: set[str] = set()

    @classmethod
    def of(cls, belonging: Belonging) -> "AbsentFiles":
        """Those that `belonging` says."""
        return cls({path: belonging.files[path] for path in belonging.absent})

    @classmethod
    def besides(cls, here: Mapping[str, str]) -> "AbsentFiles":
        """Those that belong to data/raw besides the files `here`, MD5s by path, as far as that is known."""
        if not paths.RAW_DVC.exists() or read_absent() == set():
            return NONE
        try:
            return cls.of(as_listed(listed_in(read_raw_hash()), dict(here)).belonging)
        except (MissingDataError, RecordError):
            return NONE

    @classmethod
    def among(cls, files: Iterable[RawFile]) -> "AbsentFiles":
        """Those of `files` that were noted, unless they have come since."""
        noted = read_absent() or set()
        gone = ((path, md5) for path, md5 in files if path in noted) if noted else ()
        # A `Path` for each takes longer than to look.
        return cls({path: md5 for path, md5 in gone if not os.path.exists(f"{paths.RAW}/{path}")})  # noqa: PTH110

    def __contains__(self, path: object) -> bool:
        return path in self.md5s

    def at(self, path: str) -> Path:
        """Where the bytes of the file `path` are, or will be once it is fetched."""
        if path not in self.md5s:
            return paths.RAW / path
        return objects.cached_path(repository.repository(), self.md5s[path])

    def cached(self, wanted: Iterable[str]) -> dict[str, Path]:
        """Where those of the files `wanted` are, by path, that are absent and have come into DVC's cache before."""
        found = ((path, self.at(path)) for path in {*wanted} & self.md5s.keys())
        return {path: where for path, where in found if where.exists()}

    def fetch(self, wanted: Iterable[str]) -> dict[str, Path]:
        """Bring those of the files `wanted` that are absent into DVC's cache; returns where each of them is.

        Raises:
            MissingDataError: one of them is neither there nor on the remote.
        """
        found = {path: self.at(path) for path in wanted if path in self.md5s}
        if not (new := sorted(found.keys() - self._fetched)):
            return found
        remote.pull(repository.repository(), [self.md5s[path] for path in new if not found[path].exists()])
        for path in new:  # Each is checked, and what could not be pulled is said.
            fetching.fetch_file(self.md5s[path], what=f"{paths.RAW}/{path}", hint=fetching.PUSH_FIRST)
        self._fetched.update(new)
        return found

    def bring(self, wanted: Iterable[str]) -> None:
        """Put those of the files `wanted` that are absent into data/raw.

        Raises:
            MissingDataError: see `fetch`.
        """
        if found := self.fetch(wanted):
            tracking.put_in_raw({path: self.md5s[path] for path in found})


NONE = AbsentFiles({})
