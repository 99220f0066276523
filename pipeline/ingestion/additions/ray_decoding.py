"""Decodes new images on a Ray cluster, by the same function as locally, to the same bytes.

Local files are read by this process and sent to the workers. Files that are on the DVC remote only are read from there
by the worker that decodes them, so that no shared disk is needed. Only this process writes. A batch whose worker dies
is retried on another worker; if each retry dies, the batch is decoded locally, image by image.
"""

import platform
import socket
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import BrokenExecutor, Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache, partial
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from PIL import features

from pipeline import paths
from pipeline.errors import ClusterError
from pipeline.files import md5_of_bytes
from pipeline.images.ordered import Window
from pipeline.ingestion.decoding import MAX_RESULTS, Job, KnownIds, Outcome, Place, as_many, checked_size, outcome, read
from pipeline.ingestion.pictures.formats import PACKAGES
from pipeline.ingestion.refusals import Refusal
from pipeline.ingestion.unpacking.archive_names import is_archive
from pipeline.params import Compute
from pipeline.ray_cluster import connected
from pipeline.text import counted
from pipeline.versioning.raw.absent_files import AbsentFiles
from pipeline.versioning.raw.remote_files import RemoteFiles

# Fewer images are decoded locally: one core decodes about this number in the seconds that Ray takes to start.
FEWEST = 2000
# How often a batch is retried after its process or machine has died.
RETRIES = 2
# The number of objects that one worker reads from the remote concurrently.
AT_ONCE = 8
Versions = dict[str, str | None]
# What this process knows of a place: its bytes, the MD5 of its object on the remote, or already its outcome.
Known = bytes | str | Outcome


class RayDecoders(Executor):
    """Decodes batches of places by `job` on `cores` cores of the cluster that the module `ray` is connected to."""

    def __init__(self, ray: Any, job: Job, cores: int) -> None:
        self._ray, self.job, self.cores = ray, job, cores
        bare = job._replace(known=KnownIds([]), elsewhere={}, remote=None, distant={})
        self._fixed = ray.put((bare, job.remote, versions()))
        self._decode = ray.remote(num_cpus=1, max_retries=RETRIES)(_decode_known)

    def submit(self, _fn: Callable[..., Any], /, *args: Any, **_: Any) -> "Future[Any]":
        """Have the places of a batch decoded; of large files only the first few, so that memory stays bounded."""
        (places,) = args
        known = list(self._known(places))
        if all(isinstance(one, Outcome) for _, one in known):
            done: Future[Any] = Future()
            done.set_result([one for _, one in known])
            return done
        return RayFuture(self._ray, self._decode.remote(self._fixed, known))

    def _known(self, places: list[Place]) -> Iterator[tuple[Place, Known]]:
        size = 0
        for place in places:
            if size > MAX_RESULTS:
                return
            if place.path in self.job.distant:
                yield place, self.job.distant[place.path]
                continue
            raw = read(place, self.job)
            if isinstance(raw, Refusal) or md5_of_bytes(raw) in self.job.known:
                yield place, outcome(place, raw, self.job)
            else:
                size += len(raw)
                yield place, raw


class RayFuture(Future[Any]):
    """The result of a Ray task, fetched only when it is requested, so that memory stays bounded."""

    def __init__(self, ray: Any, reference: Any) -> None:
        super().__init__()
        self._ray, self._reference = ray, reference

    def result(self, timeout: float | None = None) -> Any:
        """Return the task's result, as `Future.result` does.

        Raises:
            BrokenExecutor: the worker died at each retry.
        """
        try:
            return self._ray.get(self._reference, timeout=timeout)
        except self._ray.exceptions.RayTaskError as error:
            raise error.cause from None
        except TimeoutError:
            raise
        except self._ray.exceptions.RayError as error:
            raise BrokenExecutor(str(error)) from error


def reading_elsewhere(job: Job, wanted: Collection[str], absent: AbsentFiles) -> Job:
    """Return `job` set up to read the `absent` files `wanted`: images from the remote, archives after a fetch.

    Raises:
        MissingDataError: a file is neither in the cache nor on the remote.
    """
    cached, remote = absent.cached(wanted), RemoteFiles.default() if wanted else None
    loose = {path: absent.md5s[path] for path in wanted if path not in cached and not is_archive(path)}
    held = remote.held(loose.values()) if remote and loose else set()
    distant = {path: md5 for path, md5 in loose.items() if md5 in held}
    elsewhere = absent.fetch([path for path in wanted if path not in distant])
    return job._replace(elsewhere=elsewhere, remote=remote, distant=distant)


@contextmanager
def decoders(job: Job, compute: Compute) -> Iterator[RayDecoders]:
    """Yield an executor that decodes by `job` on the cluster that `compute` names.

    Raises:
        ParamError: Ray is not installed.
        ClusterError: no cluster answers, no core is free, or a machine has other package versions.
    """
    with connected(compute, stage="ingest") as ray:
        _check_room(ray, compute)
        machines = [node["Resources"] for node in ray.nodes() if node["Alive"] and "CPU" in node["Resources"]]
        cores = int(sum(resources["CPU"] for resources in machines))
        where = f"{counted(cores, 'core')} of {counted(len(machines), 'machine')}"
        print(f"ingest: Ray decodes on {where}", flush=True)
        yield RayDecoders(ray, job, cores)


def _check_room(ray: Any, compute: Compute) -> None:
    """Check that the cluster has a free core; an autoscaling cluster may start a machine for it."""
    try:
        ray.get(ray.remote(num_cpus=1)(_check_versions).remote(versions()), timeout=compute.timeout)
    except TimeoutError:
        what = f"no core is free within {compute.timeout:g} s (compute.timeout)"
        address = ray.get_runtime_context().gcs_address
        raise ClusterError(f"Ray at {address}", what, "see `ray status`; add machines, or wait") from None


@cache
def versions() -> Versions:
    """Return the versions, in this process, of everything that affects the bytes of a stored image."""
    return {
        "Python": platform.python_version(),
        "Pillow": version("pillow"),
        **{f"Pillow's {name}": features.version(name) for name in features.get_supported()},
        **{package: _version(package) for package in ("numpy", *PACKAGES.values())},
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _decode_known(fixed: tuple[Job, RemoteFiles | None, Versions], known: list[tuple[Place, Known]]) -> list[Outcome]:
    """In a Ray worker: return the outcomes of the first of `known`, as many as `MAX_RESULTS` allows."""
    job, remote, expected = fixed
    _check_versions(expected)
    return as_many(one if isinstance(one, Outcome) else outcome(place, one, job) for place, one in _read(known, remote))


def _read(
    known: list[tuple[Place, Known]], remote: RemoteFiles | None
) -> Iterator[tuple[Place, bytes | Refusal | Outcome]]:
    """Yield `known` with MD5s replaced by the bytes of their objects on `remote`, which are read ahead."""
    distant = [(place.path, one) for place, one in known if isinstance(one, str)]
    if remote is None or not distant:
        yield from ((place, one) for place, one in known if not isinstance(one, str))
        return
    with ThreadPoolExecutor(AT_ONCE) as threads:
        arriving = iter(Window(threads, partial(_read_object, remote), distant, size=AT_ONCE))
        for place, one in known:
            yield place, next(arriving)[1].result() if isinstance(one, str) else one


def _read_object(remote: RemoteFiles, wanted: tuple[str, str]) -> bytes | Refusal:
    path, md5 = wanted
    return checked_size(remote.read(md5, what=f"{paths.RAW}/{path}"))


def _check_versions(expected: Versions) -> None:
    """Check that this process has the `expected` versions, so that it makes the same bytes as the ingest process.

    Raises:
        ClusterError: a version differs.
    """
    here = versions()
    for name in sorted(expected.keys() | here.keys()):
        if here.get(name) != expected.get(name):
            what = f"has {name} {here.get(name)}, and the machine that runs ingest has {expected.get(name)}"
            raise ClusterError(f"Ray's machine {socket.gethostname()}", what, "install the same requirements on both")
