"""Remotes for a team, each a real one that a test starts, stops and damages: a shared folder, SSH, S3."""

import os
import shutil
import socket
import subprocess
import time
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, Self

import pytest
import requests
from conftest import Project

SSHD = shutil.which("sshd", path=os.environ["PATH"] + ":/usr/sbin")
NO_SSHD = "there is no sshd here; install openssh-server"
SSHD_CONFIG = """\
ListenAddress 127.0.0.1:{port}
HostKey "{folder}/host"
AuthorizedKeysFile "{folder}/user.pub"
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
PermitRootLogin prohibit-password
Subsystem sftp internal-sftp
"""


class Server(ABC):
    """A remote that is there for the time of a `with`, and that nobody else has."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.key: dict[str, str] = {}
        """What lets people in, as DVC's options."""
        self.objects = folder / "remote/files/md5"
        """Where the objects lie, if they are files."""

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @abstractmethod
    def start(self) -> None:
        """Let it answer, for the first time or again, at the same address and with what it holds."""

    @abstractmethod
    def stop(self) -> None:
        """Let it answer nobody."""

    @abstractmethod
    def configure(self, project: Project) -> None:
        """Make it the project's remote, as README says."""

    def give_key(self, project: Project) -> None:
        """Give a clone, whose remote it is already, what is no business of Git's."""
        for option, value in self.key.items():
            project.dvc("remote", "modify", "--local", "team", option, value)

    def take(self, oid: str) -> bytes:
        """Lose an object; returns its bytes."""
        path = self.objects / oid[:2] / oid[2:]
        content = path.read_bytes()
        path.unlink()
        return content

    def put(self, oid: str, content: bytes) -> None:
        """Have an object again."""
        (self.objects / oid[:2] / oid[2:]).write_bytes(content)


class SharedFolder(Server):
    """A folder that all can write to; it is stopped by taking it away, as where a disk is not mounted."""

    def start(self) -> None:
        """Mount it."""
        aside = self.folder / "aside"
        if aside.exists():
            aside.rename(self.folder / "remote")

    def stop(self) -> None:
        """Unmount it."""
        if (self.folder / "remote").exists():
            (self.folder / "remote").rename(self.folder / "aside")

    def configure(self, project: Project) -> None:
        """One line."""
        project.dvc("remote", "add", "--default", "team", str(self.folder / "remote"))


class Ssh(Server):
    """OpenSSH's server on a port of this machine, with keys of its own; root or not, it lets in who started it."""

    def __init__(self, folder: Path) -> None:
        if SSHD is None:
            pytest.skip(NO_SSHD)
        super().__init__(folder)
        self.port = free_port()
        self.key = {"keyfile": str(folder / "user")}
        for name in ("host", "user"):
            command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)]
            subprocess.run(command, check=True)
        (folder / "sshd_config").write_text(SSHD_CONFIG.format(port=self.port, folder=str(folder).replace('"', r"\"")))
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(exist_ok=True)  # As its service does.

    def start(self) -> None:
        """Start the server, and wait until it answers."""
        assert SSHD is not None
        with (self.folder / "log").open("a") as log:
            command = [SSHD, "-D", "-e", "-f", str(self.folder / "sshd_config")]
            self.process = subprocess.Popen(command, stderr=log)
        while not _answers(self.port):
            assert self.process.poll() is None, (self.folder / "log").read_text()
            time.sleep(0.05)

    def stop(self) -> None:
        """Stop the server."""
        self.process.terminate()
        self.process.wait()

    def configure(self, project: Project) -> None:
        """A line for all, and a key for each."""
        project.dvc("remote", "add", "--default", "team", f"ssh://127.0.0.1:{self.port}{self.folder}/remote")
        self.give_key(project)


class S3(Server):
    """Moto's server, which speaks the S3 protocol; what it holds outlives a stop."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.port = free_port()
        self.key = {"access_key_id": "any", "secret_access_key": "any"}
        self.bucket = f"treering-{self.port}"

    def start(self) -> None:
        """Start the server, and make the bucket if there is none."""
        from moto.server import ThreadedMotoServer

        self.server = ThreadedMotoServer(ip_address="127.0.0.1", port=self.port, verbose=False)
        self.server.start()
        requests.put(f"{self.url}/{self.bucket}", timeout=60)

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self.port}"

    def stop(self) -> None:
        """Stop the server."""
        self.server.stop()

    def configure(self, project: Project) -> None:
        """A line for all, its address, and a key for each."""
        project.dvc("remote", "add", "--default", "team", f"s3://{self.bucket}/images")
        project.dvc("remote", "modify", "team", "endpointurl", self.url)
        self.give_key(project)

    def take(self, oid: str) -> bytes:
        """Lose an object; returns its bytes."""
        content = bytes(self._backend.get_object(self.bucket, self._name(oid)).value)
        self._backend.delete_object(self.bucket, self._name(oid))  # Closes what it is read from.
        return content

    def put(self, oid: str, content: bytes) -> None:
        """Have an object again."""
        self._backend.put_object(self.bucket, self._name(oid), content)

    @property
    def _backend(self) -> Any:
        from moto.s3.models import s3_backends

        return next(backends["aws"] for backends in s3_backends.values() if self.bucket in backends["aws"].buckets)

    def _name(self, oid: str) -> str:
        return f"images/files/md5/{oid[:2]}/{oid[2:]}"


# DVC takes its time with those that are servers.
KINDS = [
    SharedFolder,
    pytest.param(Ssh, marks=pytest.mark.slow),
    pytest.param(S3, marks=pytest.mark.slow),
]


def free_port() -> int:
    """A port of this machine that nobody listens at."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def _answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True
