"""DVC's remote: which objects it has, how to pull them, the bytes received, and whether it responds within a minute."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING

from pipeline.errors import one_line
from pipeline.versioning.objects import cached_path

if TYPE_CHECKING:
    from dvc.repo import Repo

logger = logging.getLogger(__name__)


# Seconds to wait for the first response, including the typing of a password. DVC may wait half an hour, e.g. with SSH.
PATIENCE = 60.0


@dataclass
class Received:
    """What this process itself has read from remotes; pulls by DVC's own commands are not counted."""

    size: int = 0
    """In bytes."""


received = Received()


def default_remote(repo: Repo) -> str | None:
    """Return the name of the default remote; None where there is none."""
    name = repo.config["core"].get("remote")
    return str(name) if name else None


def pull(repo: Repo, oids: Iterable[str]) -> str:
    """Pull the objects `oids` into DVC's cache, as far as the default remote has them.

    Returns:
        the error, other than that the remote lacks some of the objects; empty if there was none.
    """
    from dvc_data.hashfile.hash_info import HashInfo

    wanted, name = [HashInfo("md5", oid) for oid in oids], default_remote(repo)
    if not wanted or name is None:
        return ""
    if mute := silence(repo, name):
        return mute
    places = [cached_path(repo, str(one.value)) for one in wanted]
    coming = [path for path in places if not path.exists()]
    with _overheard() as errors:
        try:
            repo.cloud.pull(wanted)
        except Exception as error:  # noqa: BLE001 (every kind of remote has errors of its own)
            errors.append(error)
    received.size += sum(path.stat().st_size for path in coming if path.exists())
    return next((one_line(error) for error in errors if not isinstance(error, FileNotFoundError)), "")


def held(repo: Repo, oids: Iterable[str]) -> tuple[set[str], str]:
    """Return the objects among `oids` that the default remote has, and the error if that cannot be determined."""
    name = default_remote(repo)
    mute = silence(repo, name) if name else ""
    if name is None or mute:
        return set(), mute
    try:
        odb = repo.cloud.get_remote_odb(name)
        return set(odb.list_oids_exists(list(oids))), ""
    except Exception as error:  # noqa: BLE001 (every kind of remote has errors of its own)
        return set(), one_line(error)


@lru_cache(maxsize=1)
def silence(repo: Repo, name: str) -> str:
    """Return why the remote does not respond; empty if it does. The result is cached, since it may take long."""
    errors = []

    def ask() -> None:
        try:
            remote = repo.cloud.get_remote(name)
            remote.fs.exists(remote.odb.path)
            if remote.fs.protocol == "local" and not Path(remote.path).exists():
                errors.append(f"no such folder {remote.path}; is it mounted?")
        except Exception as error:
            logger.debug("no answer", exc_info=True)
            errors.append(one_line(error))

    # In a thread, since some kinds of remote have no timeout. The thread ends with the process.
    asking = Thread(target=ask, daemon=True)
    asking.start()
    asking.join(PATIENCE)
    return f"no answer in {PATIENCE:.0f} seconds" if asking.is_alive() else "".join(errors)


@contextmanager
def _overheard() -> Iterator[list[BaseException]]:
    """Collect the errors of a transfer: DVC only logs them, with tracebacks, which are hidden below log level DEBUG."""
    errors: list[BaseException] = []

    def hear(record: logging.LogRecord) -> bool:
        if record.exc_info and record.exc_info[1]:
            errors.append(record.exc_info[1])
        return logger.isEnabledFor(logging.DEBUG)

    log = logging.getLogger("dvc_data.hashfile.transfer")
    log.addFilter(hear)
    try:
        yield errors
    finally:
        log.removeFilter(hear)
