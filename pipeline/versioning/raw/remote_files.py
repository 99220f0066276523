"""Reads files on DVC's remote by their MD5, on machines that have neither the repository nor its cache."""

import time
from collections.abc import Iterable
from typing import Any, NamedTuple

from pipeline.errors import MissingDataError, one_line
from pipeline.files import md5_of_bytes
from pipeline.versioning import remote
from pipeline.versioning.fetching import PUSH_FIRST
from pipeline.versioning.repository import repository

# Seconds within which a lost connection must return, and seconds before the first retry, doubled for each further one.
PATIENCE = 60.0
WAIT = 0.25


class RemoteFiles(NamedTuple):
    """The default remote, in a form that another machine can open: with all of DVC's settings for it, even secrets."""

    name: str
    kind: type
    """DVC's class for this kind of file system."""
    config: dict[str, Any]
    root: str
    """The path of the objects on the remote."""

    @classmethod
    def default(cls) -> "RemoteFiles | None":
        """Return the working directory's default remote; None where there is none, or it does not respond."""
        repo = repository()
        name = remote.default_remote(repo)
        if name is None or remote.silence(repo, name):
            return None
        odb = repo.cloud.get_remote_odb(name)
        return cls(name, type(odb.fs), dict(odb.fs.config), odb.path)

    def held(self, md5s: Iterable[str]) -> set[str]:
        """Return the objects in `md5s` that the remote has."""
        return remote.held(repository(), md5s)[0]

    def read(self, md5: str, *, what: object) -> bytes:
        """Return the bytes of the object `md5`; `what` names it in errors.

        Raises:
            MissingDataError: the remote lacks the object, has a damaged copy, or cannot be read.
        """
        began, wait = time.monotonic(), WAIT
        while True:
            try:
                data: bytes = self._fs().cat_file(f"{self.root}/{md5[:2]}/{md5[2:]}")
            except FileNotFoundError:
                raise MissingDataError(what, f"{md5} is not on remote {self.name!r}", PUSH_FIRST) from None
            except Exception as error:  # noqa: BLE001 (every kind of remote has errors of its own)
                why = one_line(error)
            else:
                if md5_of_bytes(data) == md5:
                    return data
                why = "it arrives damaged"
            if time.monotonic() - began + wait > PATIENCE:
                said = f"{md5} cannot be read from remote {self.name!r}: {why}"
                raise MissingDataError(what, said, "run `dvc repro` again when it can be")
            time.sleep(wait)
            wait *= 2

    def _fs(self) -> Any:
        key = (self.name, self.root)
        if key not in _opened:
            _opened[key] = self.kind(**self.config).fs
        return _opened[key]


# The fsspec file systems that this process has opened.
_opened: dict[tuple[str, str], Any] = {}
