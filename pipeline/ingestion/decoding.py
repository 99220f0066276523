"""Reading and decoding what is new, on all cores, in order, with a bounded number of images in flight."""

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


# Larger files are refused unread: no image is that large, and archives can claim any size.
MAX_FILE = 160 * 2**20
BATCH = 32
# Where time is limited, less is lost with the batch that comes too late.
SMALL_BATCH = 8
# How many times as long the first batch may take, for which a process has to start.
STARTING = 6
# A batch ends early when its results take more than this; the rest of it is a batch of its own then.
MAX_RESULTS = 8 * 2**20
# Held by the process of this user that decodes something large.
LOCK = Path(gettempdir()) / f"treering-decoding-{os.getuid()}.lock"


class Place(NamedTuple):
    """Where in data/raw an image lies."""

    path: str
    """The file, relative to data/raw."""
    member: str | None = None
    """The member's name if the file is an archive."""
    position: int = 0
    """The member's position in the archive."""


class Outcome(NamedTuple):
    """What became of the image at a place."""

    place: Place
    id: str | None
    """MD5 of its bytes, None where they could not be read."""
    result: Picture | Refusal | None
    """None where an image of this id was known before."""


class KnownIds:
    """A sorted set of ids at 16 bytes each, cheap to hand to another process."""

    def __init__(self, ids: Iterable[str]) -> None:
        self._packed = bytes.fromhex("".join(sorted(ids)))

    @classmethod
    def of(cls, packed: bytes) -> Self:
        """Those whose bytes are `packed` one after another, sorted."""
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


# Makes a picture of an image's bytes, as `make_uniform` does.
Make = Callable[..., Picture | Refusal]
# Makes something else of a picture's bytes.
Finish = Callable[[Picture], Picture]


class Job(NamedTuple):
    """What does not change from image to image."""

    known: KnownIds
    """The images that are read, but not decoded."""
    params: Ingest
    finish: Finish | None = None
    """Is done to every picture where it was decoded."""
    make: Make = make_uniform
    """Decodes."""
    elsewhere: Mapping[str, Path] = MappingProxyType({})
    """Where the bytes are of files that are not in data/raw."""
    remote: RemoteFiles | None = None
    distant: Mapping[str, str] = MappingProxyType({})
    """The MD5s, by path, of files that are read on `remote`."""


def decode(
    places: Iterable[Place], job: Job, workers: int, *, seconds: float = math.inf, pool: Executor | None = None
) -> Iterator[Outcome]:
    """What became of each of `places`, in their order; only of what is done `seconds` after the first few are.

    Everything is decoded in other processes, so that an image that kills its decoder is refused like any other; in
    those of `pool`, which outlives that, if it is given.
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
                    return  # Which of them it was takes long to find out.
                if own is not None:
                    own = _pool(workers, job)
                    window.move_to(own)
                yield from _decode_apart(batch, job)
                continue
            if rest := batch[len(done) :]:
                window.put_first(rest)
            # With large images all others would wait for the rest of each batch.
            sizes.size = len(done) if rest else min(2 * sizes.size, most)
            deadline = min(deadline, monotonic() + seconds)
            yield from done
    finally:
        if own is not None:
            own.shutdown(wait=False, kill_workers=True)


def _planned(batches: Iterator[list[Place]], workers: int) -> tuple[Iterator[list[Place]], int]:
    """`batches`, and how many processes are to decode them: for a few images, starting more takes longer."""
    first = list(islice(batches, 2))
    return chain(first, batches), (workers or os.cpu_count() or 1) if len(first) > 1 else 1


def _pool(workers: int, job: Job) -> "ProcessPoolExecutor":
    from loky import ProcessPoolExecutor

    return ProcessPoolExecutor(workers, initializer=_set_up, initargs=(job,))


def _decode_apart(places: list[Place], job: Job) -> Iterator[Outcome]:
    """Decode each of `places` in a process of its own, since one of them has just killed its process."""
    for place in places:
        with _pool(1, job) as pool:
            try:
                yield from pool.submit(_decode_batch, [place]).result()
            except BrokenExecutor:
                raw = read(place, job)
                image_id = None if isinstance(raw, Refusal) else md5_of_bytes(raw)
                yield Outcome(place, image_id, Refusal("broken", "decoding it kills the decoder"))


# In each process: what does not change from batch to batch.
_job: Job


def _set_up(job: Job) -> None:
    global _job  # noqa: PLW0603 (a process has one)
    _job = job


def _decode_batch(places: list[Place]) -> list[Outcome]:
    """What became of the first of `places`, as many as `MAX_RESULTS` allows."""
    return as_many(outcome(place, read(place, _job), _job) for place in places)


def as_many(outcomes: Iterable[Outcome]) -> list[Outcome]:
    """The first of `outcomes`, as many as `MAX_RESULTS` allows."""
    taken, size = [], 0
    for one in outcomes:
        taken.append(one)
        size += len(one.result.data) if isinstance(one.result, Picture) else 0
        if size > MAX_RESULTS:
            break
    return taken


def outcome(place: Place, raw: bytes | Refusal, job: Job) -> Outcome:
    """What becomes of the bytes `raw` at `place`."""
    if isinstance(raw, Refusal):
        return Outcome(place, None, raw)
    image_id = md5_of_bytes(raw)
    if image_id in job.known:
        return Outcome(place, image_id, None)
    result = job.make(raw, job.params, md5=image_id, one_at_a_time=locked(LOCK))
    return Outcome(place, image_id, job.finish(result) if job.finish and isinstance(result, Picture) else result)


def read(place: Place, job: Job) -> bytes | Refusal:
    """The bytes at `place`, or why there are none."""
    if job.remote is not None and place.path in job.distant:
        return checked_size(job.remote.read(job.distant[place.path], what=f"{paths.RAW}/{place.path}"))
    path = job.elsewhere.get(place.path) or paths.RAW / place.path
    return _read_loose(path) if place.member is None else _read_member(path, place.position)


def checked_size(raw: bytes) -> bytes | Refusal:
    """The bytes `raw` of a file, unless they are too many."""
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
