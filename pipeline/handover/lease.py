"""Who goes on with a training: each process that does says so, in a file that it writes again and again.

Two at once do no harm but that of the time: both come to the same bytes. So nothing depends on a clock being right, or
on a file being seen at once.
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
# Seconds after which a lease that nobody writes again is that of a machine which is gone.
FRESH = 180.0
# Seconds between two writings of it.
RENEWAL = 50.0
# Processes that began so many seconds apart are not the same; the system's own clock may be set in between.
DRIFT = 60.0


class Runner(BaseModel):
    """What a process says of itself."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    host: str = "unknown host"
    machine: str = ""
    """What has one list of processes."""
    process: int = 0
    started: float = 0.0
    """When the process began, by the clock of its machine."""
    since: float | None = None
    """Since when it has the lease, by the clock of the store; None of one that has just come."""
    written: float = 0.0
    """When it last said so, by the clock of its machine, for stores that have none."""

    @classmethod
    def here(cls, since: float | None = None) -> "Runner":
        """This process."""
        host, process = socket.gethostname(), os.getpid()
        started = psutil.Process().create_time()
        return cls(host=host, machine=_machine(), process=process, started=started, since=since, written=time.time())

    def __str__(self) -> str:
        return f"{self.host}, process {self.process}"

    @property
    def is_dead(self) -> bool:
        """Whether it is known that the process has ended: it was one of this machine."""
        if self.machine != _machine():
            return False
        try:
            process = psutil.Process(self.process)
            is_other = abs(process.create_time() - self.started) > DRIFT
            return bool(is_other or process.status() == psutil.STATUS_ZOMBIE)
        except psutil.NoSuchProcess:
            return True


class Lease:
    """That of this process on the training whose states are in a folder."""

    def __init__(self, folder: RemoteFolder) -> None:
        self._folder = folder
        self.name = f"{PREFIX}{secrets.token_hex(4)}"
        self._since: float | None = None
        self._ended = Event()
        self.is_lost = False
        """Whether another process goes on with the training."""

    def claim(self) -> tuple[Runner, str] | None:
        """Write it, again perhaps; returns who goes on with the training instead and the name of that lease, if any.

        Of several the one that has been there longest does. How old a lease is says the store's clock alone: that of
        another process is compared with ours, which is written just before.
        """
        if self._since is not None and self.name not in self._folder.times():
            self._since = None  # Taken for dead, while this machine slept, for example.
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
        """Write it again from time to time, in the background, until it is given up."""
        Thread(target=self._keep, daemon=True).start()

    def end(self) -> None:
        """Write it no more."""
        self._ended.set()

    def give_up(self) -> None:
        """Let whoever comes next go on at once."""
        self.end()
        self._folder.delete(self.name)

    def _keep(self) -> None:
        while not self._ended.wait(RENEWAL):
            try:
                self.is_lost = self.claim() is not None
            except Exception:
                logger.debug("the lease was not written", exc_info=True)
            if self._ended.is_set():
                with suppress(Exception):  # It was given up while it was written.
                    self._folder.delete(self.name)

    def _read(self, name: str) -> Runner:
        try:
            return Runner.model_validate_json(self._folder.read(name))
        except (ValidationError, FileNotFoundError):
            return Runner()


def _known(time_: float | None, otherwise: float) -> float:
    return otherwise if time_ is None else time_


def _machine() -> str:
    """This machine since it was started, or a container on it."""
    facts = [socket.gethostname()]
    with suppress(OSError):
        facts += [Path("/proc/sys/kernel/random/boot_id").read_text().strip(), os.readlink("/proc/self/ns/pid")]  # noqa: PTH115
    return " ".join(facts)
