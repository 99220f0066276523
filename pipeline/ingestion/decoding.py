"""Reads and decodes new images on all cores, in order, with a bounded number of images in flight."""

import math
import os
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import BrokenExecutor, Executor
from functools import lru_cache
from itertools import chain, islice
from pathlib import Path
from tempfile import gettempdir
from time import monotonic
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple, Self

from pipeline import paths
from pipeline.errors import one_line
from pipeline.files import md5_of_bytes
from pipeline.images.ordered import Batches, Window
from pipeline.ingestion.refusals import Refusal
from pipeline.ingestion.standardising import Picture, make_uniform
from pipeline.ingestion.unpacking import archives
from pipeline.ingestion.unpacking.members import Archive
from pipeline.locking import locked
from pipeline.params import Ingest
from pipeline.versioning.raw.remote_files import RemoteFiles

if TYPE_CHECKING:
    from loky import ProcessPoolExecutor


# In bytes. Larger files are refused unread: no image is that large, and archives can declare any size.
MAX_FILE = 160 * 2**20
BATCH = 32
# The batch size if time is limited: less work is lost with the batch that misses the deadline.
SMALL_BATCH = 8
# The factor on the time limit of the first batch, which includes the start of a process.
STARTING = 6
# A batch ends early when its results take more bytes than this; the rest becomes a new batch.
MAX_RESULTS = 8 * 2**20
# Held by a process while it decodes a large image: only one of this user's processes does so at a time.
LOCK = Path(gettempdir()) / f"treering-decoding-{os.getuid()}.lock"


class Place(NamedTuple):
    """The location of an image in data/raw."""

    path: str
    """The file's path, relative to data/raw."""
    member: str | None = None
    """The member's name, if the file is an archive."""
    position: int = 0
    """The member's position in the archive."""


class Outcome(NamedTuple):
    """The result of reading and decoding the image at a place."""

    place: Place
    id: str | None
    """The MD5 of its bytes; None if they could not be read."""
    result: Picture | Refusal | None
    """None if an image of this id was known before."""


class KnownIds:
    """A sorted set of ids in 16 bytes each, cheap to send to another process."""

    def __init__(self, ids: Iterable[str]) -> None:
        self._packed = bytes.fromhex("".join(sorted(ids)))

    @classmethod
    def of(cls, packed: bytes) -> Self:
        """Create the set from the concatenated bytes of its sorted ids."""
        known = cls(())
        known._packed = packed
        return known

    def __len__(self) -> int:
        return len(self._packed) // 16

    def __getitem__(self, index: int) -> bytes:
        return self._packed[16 * index : 16 * index + 16]

    def __contains__(self, image_id: str) -> bool:
        key = bytes.fromhex(image_id)
        index = bisect_left(self, key)
        return index < len(self) and self[index] == key


# Decodes an image's bytes into a picture, as `make_uniform` does.
Make = Callable[..., Picture | Refusal]
# Post-processes a picture.
Finish = Callable[[Picture], Picture]


class Job(NamedTuple):
    """The settings that are the same for all images."""

    known: KnownIds
    """Ids of images that are read, but not decoded."""
    params: Ingest
    finish: Finish | None = None
    """Applied to every picture, in the process that decoded it."""
    make: Make = make_uniform
    """The function that decodes an image."""
    elsewhere: Mapping[str, Path] = MappingProxyType({})
    """The local paths of files that are not in data/raw, by path in data/raw."""
    remote: RemoteFiles | None = None
    distant: Mapping[str, str] = MappingProxyType({})
    """The MD5s, by path, of files that are read from `remote`."""


def decode(
    places: Iterable[Place], job: Job, workers: int, *, seconds: float = math.inf, pool: Executor | None = None
) -> Iterator[Outcome]:
    """Yield the outcome of each of `places`, in order; stop `seconds` after the first batch is done.

    Images are decoded in other processes, so that an image that crashes its decoder is refused like any other.
    If `pool` is given, its processes are used; it must survive such a crash.
    """
    most = BATCH if seconds == math.inf else SMALL_BATCH
    sizes = Batches(places, most)
    batches, workers = _planned(iter(sizes), workers)
    own = None
    if pool is None:
        pool = own = _pool(workers, job)
    window = Window(pool, _decode_batch, batches, size=2 * workers + 1)
    deadline = monotonic() + STARTING * seconds
    try:
        for batch, outcomes in window:
            try:
                done = outcomes.result(None if seconds == math.inf else max(0.0, deadline - monotonic()))
            except TimeoutError:
                return
            except BrokenExecutor:
                if seconds < math.inf:
                    return  # Finding the image that crashed takes too long.
                if own is not None:
                    own = _pool(workers, job)
                    window.move_to(own)
                yield from _decode_apart(batch, job)
                continue
            if rest := batch[len(done) :]:
                window.put_first(rest)
            # Smaller batches for large images: else the other processes would wait for the rest of each batch.
            sizes.size = len(done) if rest else min(2 * sizes.size, most)
            deadline = min(deadline, monotonic() + seconds)
            yield from done
    finally:
        if own is not None:
            own.shutdown(wait=False, kill_workers=True)


def _planned(batches: Iterator[list[Place]], workers: int) -> tuple[Iterator[list[Place]], int]:
    """Return `batches` and the number of processes; a single batch gets one, because starting more takes longer."""
    first = list(islice(batches, 2))
    return chain(first, batches), (workers or os.cpu_count() or 1) if len(first) > 1 else 1


def _pool(workers: int, job: Job) -> "ProcessPoolExecutor":
    from loky import ProcessPoolExecutor

    return ProcessPoolExecutor(workers, initializer=_set_up, initargs=(job,))


def _decode_apart(places: list[Place], job: Job) -> Iterator[Outcome]:
    """Decode each of `places` in its own process, because one of them has crashed the last one."""
    for place in places:
        with _pool(1, job) as pool:
            try:
                yield from pool.submit(_decode_batch, [place]).result()
            except BrokenExecutor:
                raw = read(place, job)
                image_id = None if isinstance(raw, Refusal) else md5_of_bytes(raw)
                yield Outcome(place, image_id, Refusal("broken", "decoding it kills the decoder"))


# In each worker process: the settings of all batches.
_job: Job


def _set_up(job: Job) -> None:
    global _job  # noqa: PLW0603 (a process has one)
    _job = job


def _decode_batch(places: list[Place]) -> list[Outcome]:
    """Return the outcomes of the first of `places`, as many as `MAX_RESULTS` allows."""
    return as_many(outcome(place, read(place, _job), _job) for place in places)


def as_many(outcomes: Iterable[Outcome]) -> list[Outcome]:
    """Return the first of `outcomes`, as many as `MAX_RESULTS` allows."""
    taken, size = [], 0
    for one in outcomes:
        taken.append(one)
        size += len(one.result.data) if isinstance(one.result, Picture) else 0
        if size > MAX_RESULTS:
            break
    return taken


def outcome(place: Place, raw: bytes | Refusal, job: Job) -> Outcome:
    """Decode the bytes `raw` of the image at `place`, unless its id is known."""
    if isinstance(raw, Refusal):
        return Outcome(place, None, raw)
    image_id = md5_of_bytes(raw)
    if image_id in job.known:
        return Outcome(place, image_id, None)
    result = job.make(raw, job.params, md5=image_id, one_at_a_time=locked(LOCK))
    return Outcome(place, image_id, job.finish(result) if job.finish and isinstance(result, Picture) else result)


def read(place: Place, job: Job) -> bytes | Refusal:
    """Return the bytes at `place`, or why they cannot be read."""
    if job.remote is not None and place.path in job.distant:
        return checked_size(job.remote.read(job.distant[place.path], what=f"{paths.RAW}/{place.path}"))
    path = job.elsewhere.get(place.path) or paths.RAW / place.path
    return _read_loose(path) if place.member is None else _read_member(path, place.position)


def checked_size(raw: bytes) -> bytes | Refusal:
    """Return `raw`, or a refusal if it is larger than `MAX_FILE`."""
    return raw if len(raw) <= MAX_FILE else Refusal("too large", f"{len(raw)} bytes")


def _read_loose(path: Path) -> bytes | Refusal:
    try:
        if path.stat().st_size > MAX_FILE:
            return Refusal("too large", f"{path.stat().st_size} bytes")
        return path.read_bytes()
    except OSError as error:
        return Refusal.of_place(error)


def _read_member(archive: Path, position: int) -> bytes | Refusal:
    try:
        raw = _archive(archive).read(position, MAX_FILE + 1)
    except archives.BROKEN as error:
        return Refusal.of_place(error) if Refusal.is_of_place(error) else Refusal("broken", one_line(error))
    if len(raw) > MAX_FILE:
        return Refusal("too large", f"more than {MAX_FILE} bytes")
    return raw


@lru_cache(maxsize=4)
def _archive(path: Path) -> Archive:
    return archives.open_archive(path)
