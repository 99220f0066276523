"""DVC's remote: what it has, how that arrives, and how much it was; what goes wrong is reported in time."""

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


# Seconds for the first sign of life, a password typed included. DVC itself would wait for half an hour, as for SSH.
PATIENCE = 60.0


@dataclass
class Received:
    """What this process has read from remotes itself; what DVC's own commands pull is not in it."""

    size: int = 0
    """In bytes."""


received = Received()


def default_remote(repo: Repo) -> str | None:
    """The name of the remote that is pulled from, if there is one."""
    name = repo.config["core"].get("remote")
    return str(name) if name else None


def pull(repo: Repo, oids: Iterable[str]) -> str:
    """Bring the objects `oids` into DVC's cache, as far as the default remote has them.

    Returns:
        what went wrong, other than that the remote has not all of them; nothing if nothing did.
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
    """Those of the objects `oids` that the default remote has; and why that cannot be known, if it cannot."""
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
    """Why the remote gives no answer, if it gives none; asked once, since it may take long."""
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

    # A thread of its own, since not every kind of remote can be told to give up; it ends with the process.
    asking = Thread(target=ask, daemon=True)
    asking.start()
    asking.join(PATIENCE)
    return f"no answer in {PATIENCE:.0f} seconds" if asking.is_alive() else "".join(errors)


@contextmanager
def _overheard() -> Iterator[list[BaseException]]:
    """Why objects did not arrive: DVC says so in its log alone, with tracebacks that nobody else need see."""
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
