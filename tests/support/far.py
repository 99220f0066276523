"""data/images and data/shards as another machine finds them: recorded by DVC, on a remote, and not present locally."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ruamel.yaml import YAML

from pipeline import paths
from pipeline.files import md5_of_bytes
from pipeline.versioning import remote, repository
from pipeline.versioning.hashing import hash_of_files

OBJECTS = Path(".dvc/cache/files/md5")
SERVER = Path(__file__).parent / "range_server.py"


def record_images() -> dict[str, str]:
    """Track data/images and data/shards with DVC, put them into its cache, and return the MD5 of each file by name."""
    known: dict[str, str] = {}
    oids = []
    for folder in (paths.IMAGES, paths.SHARDS):
        files = {path.name: path.read_bytes() for path in sorted(folder.iterdir())}
        md5s = {name: md5_of_bytes(content) for name, content in files.items()}
        oids.append(hash_of_files(files))
        listed = [{"md5": md5, "relpath": name} for name, md5 in md5s.items()]
        _store(oids[-1], json.dumps(listed, sort_keys=True).encode())
        for name, md5 in md5s.items():
            _store(md5, files[name])
        known |= md5s
    outs = [{"path": paths.IMAGES.as_posix(), "hash": "md5", "md5": oids[0]}]
    YAML().dump({"schema": "2.0", "stages": {"ingest": {"cmd": "ingest", "outs": outs}}}, paths.LOCK)
    YAML().dump({"outs": [{"md5": oids[1], "hash": "md5", "path": paths.SHARDS.name}]}, paths.SHARDS_DVC)
    return known


def _store(oid: str, content: bytes) -> None:
    """Put `content` into DVC's cache."""
    (OBJECTS / oid[:2]).mkdir(parents=True, exist_ok=True)
    (OBJECTS / oid[:2] / oid[2:]).write_bytes(content)


def init() -> None:
    """Make the working directory a DVC project, as `dvc init --no-scm` does."""
    Path(".dvc").mkdir()
    Path(".dvc/config").write_text("[core]\n    no_scm = True\n")


def set_remote(url: str) -> None:
    """Set `url` as the default remote."""
    Path(".dvc/config").write_text(
        f"[core]\n    no_scm = True\n    remote = far\n['remote \"far\"']\n    url = {url}\n"
    )
    reopen()


def reopen() -> None:
    """Make DVC read its configuration again."""
    repository._repository.cache_clear()
    remote.silence.cache_clear()


def listing(objects: Path) -> dict[str, str]:
    """Return the MD5 of each file of data/images and data/shards by name; they are in `objects`."""
    listed = (json.loads(path.read_bytes()) for path in objects.glob("*/*.dir"))
    return {one["relpath"]: one["md5"] for several in listed for one in several}


def move_to(folder: Path) -> None:
    """Move DVC's cache to `folder`, as the remote; the cache and the workspace are empty then."""
    shutil.copytree(OBJECTS, folder / "files/md5", dirs_exist_ok=True)
    shutil.rmtree(OBJECTS)
    shutil.rmtree(paths.IMAGES)
    shutil.rmtree(paths.SHARDS)


@contextmanager
def served(folder: Path, *options: str) -> Iterator[str]:
    """Serve the files of `folder` by a server with `options`, and yield its URL."""
    command = [sys.executable, str(SERVER), str(folder), *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{process.stdout.readline().strip()}"
        finally:
            process.kill()


@contextmanager
def later(seconds: float, folder: Path, *options: str) -> Iterator[None]:
    """Serve the files of `folder` from a server that starts after `seconds`."""
    command = [sys.executable, str(SERVER), str(folder), *options]
    script = f"import subprocess, sys, time; time.sleep({seconds}); subprocess.run(sys.argv[1:])"
    with subprocess.Popen([sys.executable, "-c", script, *command], start_new_session=True) as process:
        try:
            yield
        finally:
            os.killpg(process.pid, signal.SIGKILL)
