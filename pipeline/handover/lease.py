"""Leases: a process that continues a training announces this in a file, which it renews regularly.

Two concurrent runs waste time but are otherwise harmless, since both produce the same bytes. So correctness does not
depend on accurate clocks, or on files being visible immediately.
"""

import logging
import os
import secrets
import socket
import time
from contextlib import suppress
from pathlib import Path
from threading import Event, Thread

import psutil
from pydantic import BaseModel, ConfigDict, ValidationError

from pipeline.handover.remote_folder import RemoteFolder

logger = logging.getLogger(__name__)

PREFIX = "lease-"
# Seconds after which a lease that is not renewed has expired.
FRESH = 180.0
# Seconds between two renewals.
RENEWAL = 50.0
# Two processes with one id are different if their start times differ by more seconds than this; the system clock may be
# adjusted in between.
DRIFT = 60.0


class Runner(BaseModel):
    """The process that holds a lease, as it describes itself."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    host: str = "unknown host"
    machine: str = ""
    """The machine, since its last boot, or the container: within it process ids are unique."""
    process: int = 0
    started: float = 0.0
    """The start time of the process, by the clock of its machine."""
    since: float | None = None
    """The time since which it has had the lease, by the store's clock; None if the lease is new."""
    written: float = 0.0
    """The time of the last renewal, by the clock of its machine, for stores without a clock."""

    @classmethod
    def here(cls, since: float | None = None) -> "Runner":
        """Describe this process."""
        host, process = socket.gethostname(), os.getpid()
        started = psutil.Process().create_time()
        return cls(host=host, machine=_machine(), process=process, started=started, since=since, written=time.time())

    def __str__(self) -> str:
        return f"{self.host}, process {self.process}"

    @property
    def is_dead(self) -> bool:
        """Whether the process is known to have ended; this is only known on its own machine."""
        if self.machine != _machine():
            return False
        try:
            process = psutil.Process(self.process)
            is_other = abs(process.create_time() - self.started) > DRIFT
            return bool(is_other or process.status() == psutil.STATUS_ZOMBIE)
        except psutil.NoSuchProcess:
            return True


class Lease:
    """This process's lease on the training whose states are in `folder`."""

    def __init__(self, folder: RemoteFolder) -> None:
        self._folder = folder
        self.name = f"{PREFIX}{secrets.token_hex(4)}"
        self._since: float | None = None
        self._ended = Event()
        self.is_lost = False
        """Whether another process has taken over the training."""

    def claim(self) -> tuple[Runner, str] | None:
        """Write or renew the lease; returns the process that has the training instead, and its lease's name, if any.

        The oldest lease wins. Ages are measured by the store's clock only: the time of another process's lease is
        compared with that of this one, which was written just before.
        """
        if self._since is not None and self.name not in self._folder.times():
            self._since = None  # Another process deleted it as expired, for example while this machine was suspended.
        self._folder.write(self.name, Runner.here(self._since).model_dump_json().encode())
        times = {name: when for name, when in self._folder.times().items() if name.startswith(PREFIX)}
        now = _known(times.pop(self.name, None), time.time())
        mine = (_known(self._since, now), self.name)
        for name, when in times.items():
            runner = self._read(name)
            written = _known(when, runner.written)
            if now - written > FRESH or runner.is_dead:
                self._folder.delete(name)
            elif (_known(runner.since, written), name) < mine:
                return runner, name
        self._since, _ = mine
        return None

    def keep(self) -> None:
        """Renew the lease in a background thread until `end` or `give_up` is called."""
        Thread(target=self._keep, daemon=True).start()

    def end(self) -> None:
        """Stop renewing the lease."""
        self._ended.set()

    def give_up(self) -> None:
        """Delete the lease, so that the next process can continue immediately."""
        self.end()
        self._folder.delete(self.name)

    def _keep(self) -> None:
        while not self._ended.wait(RENEWAL):
            try:
                self.is_lost = self.claim() is not None
            except Exception:
                logger.debug("the lease was not written", exc_info=True)
            if self._ended.is_set():
                with suppress(Exception):  # It may have been given up during the renewal.
                    self._folder.delete(self.name)

    def _read(self, name: str) -> Runner:
        try:
            return Runner.model_validate_json(self._folder.read(name))
        except (ValidationError, FileNotFoundError):
            return Runner()


def _known(time_: float | None, otherwise: float) -> float:
    return otherwise if time_ is None else time_


def _machine() -> str:
    """Return a name for this machine since its last boot, or for the container on it."""
    facts = [socket.gethostname()]
    with suppress(OSError):
        facts += [Path("/proc/sys/kernel/random/boot_id").read_text().strip(), os.readlink("/proc/self/ns/pid")]  # noqa: PTH115
    return " ".join(facts)
