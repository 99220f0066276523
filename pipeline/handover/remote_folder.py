"""A folder that other machines can access, too: on a DVC remote, or at a URL that DVC can open."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from pipeline import paths
from pipeline.errors import ParamError, one_line
from pipeline.versioning.remote import default_remote
from pipeline.versioning.repository import repository

if TYPE_CHECKING:
    from dvc_objects.fs.base import FileSystem

# The value of `compute.progress` for no shared folder.
OFF = "off"
# The value of `compute.progress` for the default remote. The folder `PLACE` is next to `files`, where DVC's objects
# are, so `dvc gc --cloud` neither counts nor deletes its content.
REMOTE = "remote"
PLACE = "progress"
# The suffix of a file that is being uploaded.
PART = ".part"
# The names that different stores use for the time of a file's last change.
TIMES = ("mtime", "LastModified", "last_modified", "updated", "modified")


class RemoteFolder:
    """Files by name, each uploaded atomically. Every method may raise what the store's own library raises."""

    def __init__(self, fs: FileSystem, root: str, *parts: str) -> None:
        """The folder is at `parts` below `root`. On a local disk `root` itself is never created."""
        self._fs, self._root, self._path = fs, root, fs.join(root, *parts)

    def __str__(self) -> str:
        return self.url()

    def url(self, *names: str) -> str:
        """Return the URL (or local path) of the folder, or of a file in it, for messages."""
        path = self._fs.join(self._path, *names)
        return path if self._is_on_disk else self._fs.unstrip_protocol(path)

    def prepare(self) -> None:
        """Create the folder.

        Raises:
            FileNotFoundError: the root does not exist; a disk is not mounted, for example.
        """
        if self._is_on_disk and not Path(self._root).is_dir():
            raise FileNotFoundError(f"no such folder {self._root}; make it, or mount it")
        self._fs.makedirs(self._path, exist_ok=True)

    def times(self) -> dict[str, float | None]:
        """Return the time of each file's last change by name, in seconds, by the store's clock; None if it has none."""
        self._fs.fs.invalidate_cache()
        try:
            entries = self._fs.ls(self._path, detail=True)
        except FileNotFoundError:
            return {}
        return {self._fs.name(one["name"]): _time_of(one) for one in entries if one.get("type") != "directory"}

    def exists(self) -> bool:
        """Whether the folder exists."""
        self._fs.fs.invalidate_cache()
        return bool(self._fs.exists(self._path))

    def put(self, file: Path, name: str) -> None:
        """Upload `file` as `name`; a kill never leaves an incomplete file under `name`."""
        from dvc_objects.fs.base import ObjectFileSystem

        if isinstance(self._fs, ObjectFileSystem):  # Object stores upload atomically.
            self._fs.put_file(str(file), self._at(name))
            return
        aside = self._at(name + PART)
        self._fs.put_file(str(file), aside)
        self._fs.mv(aside, self._at(name))

    def write(self, name: str, content: bytes) -> None:
        """Write a small file."""
        self._fs.pipe_file(self._at(name), content)

    def read(self, name: str) -> bytes:
        """Return the content of a small file."""
        return bytes(self._fs.cat_file(self._at(name)))

    def fetch(self, name: str, target: Path) -> None:
        """Download a file to `target`."""
        self._fs.get_file(self._at(name), str(target))

    def delete(self, name: str) -> None:
        """Delete a file if it exists."""
        with suppress(FileNotFoundError):
            self._fs.rm_file(self._at(name))

    def remove(self) -> None:
        """Delete the folder and its content if it exists."""
        if self.exists():
            self._fs.rm(self._path, recursive=True)

    def _at(self, name: str) -> str:
        return str(self._fs.join(self._path, name))

    @property
    def _is_on_disk(self) -> bool:
        return self._fs.protocol == "local"


def open_folder(where: str, *parts: str) -> RemoteFolder:
    """Return the folder at `parts` below `where`, the value of `compute.progress`, without accessing it yet.

    Raises:
        ParamError: DVC cannot open that place on this machine.
    """
    from dvc.fs import get_cloud_fs

    config, name = repository().config, default_remote(repository())
    if where == REMOTE and name is None:
        what, hint = "but there is no default remote", "run `dvc remote add -d NAME URL`, or set it to off"
        raise ParamError(paths.PARAMS, f"compute.progress is {REMOTE}, {what}", hint)
    try:
        kind, settings, root = get_cloud_fs(config, **({"name": name} if where == REMOTE else _options(config, where)))
        return RemoteFolder(kind(**settings), root, *([PLACE] if where == REMOTE else []), *parts)
    except Exception as error:  # Each kind of remote raises its own errors.
        what = f"compute.progress is {where}, which DVC cannot open: {one_line(error)}"
        raise ParamError(paths.PARAMS, what, "correct it, or set it to off") from error


def _options(config: Mapping[str, Any], url: str) -> dict[str, Any]:
    """Return DVC's options for `url`: those of a remote on the same host, or in the same bucket, if there is one."""
    from dvc.fs import get_fs_config

    url = url.removeprefix("file://")
    place = urlsplit(url)[:2]
    if place[0] in ("", "remote"):
        return {"url": url}
    default = config["core"].get("remote")
    for name in sorted(config["remote"], key=lambda name: (name != default, name)):
        options = dict(get_fs_config(config, name=name))
        if urlsplit(options["url"])[:2] == place:
            return {**options, "url": url}
    return {"url": url}


def _time_of(entry: Mapping[str, Any]) -> float | None:
    found = next((entry[key] for key in TIMES if isinstance(entry.get(key), datetime | float | int)), None)
    return found.timestamp() if isinstance(found, datetime) else found
