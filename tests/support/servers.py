"""Real remotes for a team that a test starts, stops and damages: a shared folder, SSH, S3."""

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
    """A remote for the duration of a `with` block, not shared with other tests."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.key: dict[str, str] = {}
        """The credentials, as DVC options."""
        self.objects = folder / "remote/files/md5"
        """The folder of the objects, if they are files."""

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @abstractmethod
    def start(self) -> None:
        """Start the remote, for the first time or again, at the same address and with its content."""

    @abstractmethod
    def stop(self) -> None:
        """Stop the remote, so that it does not answer."""

    @abstractmethod
    def configure(self, project: Project) -> None:
        """Make it the project's remote, as README describes."""

    def give_key(self, project: Project) -> None:
        """Give a clone with this remote the settings that are not in Git."""
        for option, value in self.key.items():
            project.dvc("remote", "modify", "--local", "team", option, value)

    def take(self, oid: str) -> bytes:
        """Remove an object, and return its bytes."""
        path = self.objects / oid[:2] / oid[2:]
        content = path.read_bytes()
        path.unlink()
        return content

    def put(self, oid: str, content: bytes) -> None:
        """Restore an object."""
        (self.objects / oid[:2] / oid[2:]).write_bytes(content)


class SharedFolder(Server):
    """A folder that all users can write to; it is stopped by moving it away, like an unmounted disk."""

    def start(self) -> None:
        """Move the folder to its place."""
        aside = self.folder / "aside"
        if aside.exists():
            aside.rename(self.folder / "remote")

    def stop(self) -> None:
        """Move the folder away."""
        if (self.folder / "remote").exists():
            (self.folder / "remote").rename(self.folder / "aside")

    def configure(self, project: Project) -> None:
        """Add the remote."""
        project.dvc("remote", "add", "--default", "team", str(self.folder / "remote"))


class Ssh(Server):
    """An OpenSSH server on a local port with its own keys; it accepts the user who started it, root or not."""

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
            Path("/run/sshd").mkdir(exist_ok=True)  # Created by the system's service otherwise.

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
        """Add the remote for all, and the key of each clone."""
        project.dvc("remote", "add", "--default", "team", f"ssh://127.0.0.1:{self.port}{self.folder}/remote")
        self.give_key(project)


class S3(Server):
    """Moto's S3 server; its content outlives a stop."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.port = free_port()
        self.key = {"access_key_id": "any", "secret_access_key": "any"}
        self.bucket = f"treering-{self.port}"

    def start(self) -> None:
        """Start the server, and create the bucket if there is none."""
        from moto.server import ThreadedMotoServer

        self.server = ThreadedMotoServer(ip_address="127.0.0.1", port=self.port, verbose=False)
        self.server.start()
        requests.put(f"{self.url}/{self.bucket}", timeout=60)

    @property
    def url(self) -> str:
        """Return the server's URL."""
        return f"http://127.0.0.1:{self.port}"

    def stop(self) -> None:
        """Stop the server."""
        self.server.stop()

    def configure(self, project: Project) -> None:
        """Add the remote with its endpoint for all, and the key of each clone."""
        project.dvc("remote", "add", "--default", "team", f"s3://{self.bucket}/images")
        project.dvc("remote", "modify", "team", "endpointurl", self.url)
        self.give_key(project)

    def take(self, oid: str) -> bytes:
        """Remove an object, and return its bytes."""
        content = bytes(self._backend.get_object(self.bucket, self._name(oid)).value)
        self._backend.delete_object(self.bucket, self._name(oid))  # It closes the stream read above.
        return content

    def put(self, oid: str, content: bytes) -> None:
        """Restore an object."""
        self._backend.put_object(self.bucket, self._name(oid), content)

    @property
    def _backend(self) -> Any:
        from moto.s3.models import s3_backends

        return next(backends["aws"] for backends in s3_backends.values() if self.bucket in backends["aws"].buckets)

    def _name(self, oid: str) -> str:
        return f"images/files/md5/{oid[:2]}/{oid[2:]}"


# The tests with servers are slow, since DVC takes its time with them.
KINDS = [
    SharedFolder,
    pytest.param(Ssh, marks=pytest.mark.slow),
    pytest.param(S3, marks=pytest.mark.slow),
]


def free_port() -> int:
    """Return a free local port."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def _answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True
