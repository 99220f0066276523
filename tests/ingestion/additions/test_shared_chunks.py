"""Images decoded on one machine are handed over to another one as whole chunks, and lost chunks do no harm."""

import hashlib
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from dvc_objects.fs.local import localfs

from pipeline.handover import attempts
from pipeline.handover.remote_folder import RemoteFolder
from pipeline.images.shards import ShardReader
from pipeline.ingestion.additions.journal import Journal
from pipeline.ingestion.additions.shared_chunks import Needs, SharedChunks
from pipeline.ingestion.perceptual_hash import PerceptualHash
from pipeline.ingestion.refusals import Refusal
from pipeline.ingestion.standardising import Picture

RECIPE = "recipe"
REMOTE = Path("remote")
REFUSED = Refusal("broken", 'it said "no"')
# Number of the pictures below that fit in a shard.
ROOM = 4
LIMIT = ROOM * (512 + 1024)


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make an empty working directory with an empty remote, and shorten the waits."""
    monkeypatch.chdir(tmp_path)
    REMOTE.mkdir()
    monkeypatch.setattr(attempts, "PATIENCE", 2.0)


def image_id(number: int) -> str:
    """Return an id, which is also that of its file."""
    return hashlib.md5(bytes([number])).hexdigest()


def picture(number: int) -> Picture:
    """Return a stored image; its bytes need not be a valid one."""
    data, shows = bytes([number]) * 1024, PerceptualHash(f"{number:016x}", bytes([number]) * 64)
    return Picture(data, hashlib.md5(data).hexdigest(), "png", 3, 4, shows, patient="f00" if number % 2 else "")


def needs(*numbers: int, files: range = range(100), known: tuple[int, ...] = ()) -> Needs:
    """Return the work of an ingest that has to decode the images of `files`."""
    ids = [{image_id(number) for number in some} for some in (files, numbers, known)]
    return Needs(*ids)


@contextmanager
def ingesting(
    machine: str, wanted: Needs, folder: RemoteFolder | None = None
) -> Iterator[tuple[SharedChunks, Journal, list[str]]]:
    """Start the ingest of a machine, which is a separate folder; yield its journal and its messages."""
    said: list[str] = []
    here = Path.cwd()
    (here / machine).mkdir(exist_ok=True)
    os.chdir(here / machine)
    folder = folder or RemoteFolder(localfs, str(here / REMOTE), "progress", "ingest", RECIPE)
    try:
        with Journal(RECIPE, after=-1, limit=LIMIT) as journal:
            chunks = SharedChunks(folder, journal, said.append)
            chunks.begin(wanted)
            yield chunks, journal, said
    finally:
        os.chdir(here)


def decode(journal: Journal, numbers: range) -> None:
    """Add the results for the images `numbers`; the seventh is refused."""
    for number in numbers:
        if image_id(number) not in journal:
            journal.add(image_id(number), REFUSED if number == 7 else picture(number), image_id(number))


def has(journal: Journal) -> set[int]:
    """Return the images in the journal, and check the bytes of each."""
    with ShardReader(journal.folder) as reader:
        for number in range(100):
            if image_id(number) in journal.facts:
                fact, expected = journal.facts[image_id(number)], picture(number)
                assert reader.read(fact["shard"], fact["offset"], fact["length"]) == expected.data
                assert PerceptualHash(fact["key"], fact["descriptor"]) == expected.shows
                assert (fact["width"], fact["height"], fact["patient"]) == (3, 4, expected.patient)
    return {number for number in range(100) if image_id(number) in journal}


def there() -> list[Path]:
    """Return the files on the remote."""
    return sorted(path for path in REMOTE.rglob("*") if path.is_file())


def count() -> int:
    """Return the number of complete chunks."""
    return sum(path.suffix == ".jsonl" for path in there())


def test_another_machine_takes_what_was_decoded() -> None:
    """Another machine takes everything, including refusals; once that ingest has succeeded, the remote is empty."""
    with ingesting("one", needs(*range(10))) as (chunks, journal, _):
        decode(journal, range(10))
        assert chunks._uploads.rests_within(10)
        assert len(list((Path.cwd().parent / REMOTE).rglob("*.jsonl"))) == 2  # Not the third shard.
        chunks.leave()
    assert count() == 3
    with ingesting("two", needs(*range(12))) as (chunks, journal, said):
        assert has(journal) == set(range(10))
        assert journal.refused == {image_id(7): REFUSED}
        assert len(said) == 1
        assert said[0].startswith("took 10 images that another run had decoded, from ")
        decode(journal, range(12))
        assert has(journal) == set(range(12))
        chunks.clear()
    assert not there()
    assert not list(REMOTE.rglob("ingest/*"))


def test_what_a_kill_leaves_is_uploaded_once() -> None:
    """After a kill the next run on the same machine uploads exactly what is missing."""
    with ingesting("one", needs(*range(10))) as (chunks, journal, _):
        decode(journal, range(10))
        assert chunks._uploads.rests_within(10)
    assert count() == 2
    for _ in range(2):
        with ingesting("one", needs(10)) as (chunks, journal, _):
            assert has(journal) == set(range(10))
            chunks.leave()
        assert count() == 3
    with ingesting("two", needs(*range(10))) as (_, journal, _):
        assert has(journal) == set(range(10))


def test_what_was_taken_is_not_uploaded_again() -> None:
    """Images that were taken from the remote are not uploaded again; others in the same shard are."""
    with ingesting("one", needs(*range(6))) as (chunks, journal, _):
        decode(journal, range(6))
        chunks.leave()
    before = there()
    with ingesting("two", needs(*range(8))) as (chunks, journal, _):
        decode(journal, range(8))
        chunks.leave()
    assert set(before) < set(there())
    with ingesting("three", needs(*range(8))) as (_, journal, said):
        assert has(journal) == set(range(8))
        assert said[0].startswith("took 8 images ")


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (needs(2, 7), {2, 7}),
        (needs(*range(10), known=(0, 1, 7)), {2, 3, 4, 5, 6, 8, 9}),
        (needs(50), set()),
        (needs(), set()),
    ],
)
def test_only_what_is_needed_is_taken(wanted: Needs, expected: set[int]) -> None:
    """Only images of files to be read, and with unknown ids, are taken."""
    with ingesting("one", needs(*range(10))) as (chunks, journal, _):
        decode(journal, range(10))
        chunks.leave()
    with ingesting("two", wanted) as (_, journal, _):
        assert has(journal) == expected


def test_chunks_of_other_files_stay() -> None:
    """Chunks of other files are kept for whoever has those files: a branch with only some deletes no others."""
    with ingesting("one", needs(*range(8))) as (chunks, journal, _):
        decode(journal, range(8))
        chunks.leave()
    assert count() == 2
    with ingesting("branch", needs(*range(5), files=range(6))) as (chunks, journal, _):
        decode(journal, range(6))
        chunks.clear()
    assert count() == 1
    with ingesting("two", needs(*range(8))) as (_, journal, _):
        assert has(journal) >= {6, 7}


def test_images_read_by_another_version_are_not_taken() -> None:
    """Images decoded by another version are not taken, since the result may differ."""
    with ingesting("one", needs(*range(3))) as (chunks, journal, _):
        for number, reader in enumerate(("", "pydicom 0.0.1", "")):
            journal.add(image_id(number), picture(number)._replace(reader=reader), image_id(number))
        chunks.leave()
    with ingesting("two", needs(*range(3))) as (_, journal, _):
        assert has(journal) == {0, 2}


def damage(path: Path, how: str) -> None:
    """Truncate a file, change a byte in its middle, or delete it."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    if how == "lost":
        path.unlink()
    else:
        path.write_bytes(data if how == "changed" else data[: len(data) // 2])


@pytest.mark.parametrize("how", ["cut", "changed", "lost"])
@pytest.mark.parametrize("kind", [".tar", ".jsonl"])
def test_damaged_chunks(how: str, kind: str) -> None:
    """Damaged images are not taken; the others are, and ingest continues."""
    with ingesting("one", needs(*range(8))) as (chunks, journal, _):
        decode(journal, range(8))
        chunks.leave()
    damaged = next(path for path in there() if path.suffix == kind)
    damage(damaged, how)
    with ingesting("two", needs(*range(8))) as (chunks, journal, _):
        assert 4 <= len(has(journal)) < 8
        decode(journal, range(8))
        assert has(journal) == set(range(8))
        chunks.clear()
    assert not [path for path in there() if path.suffix == ".jsonl"]


class Down(RemoteFolder):
    """A remote that cannot be reached."""

    def times(self) -> dict[str, float | None]:
        """Fail as a connection does."""
        raise ConnectionError("nobody there")

    prepare = times  # type: ignore[assignment]


def test_remote_that_is_down(caplog: pytest.LogCaptureFixture) -> None:
    """A remote that is down causes one warning, and nothing else."""
    down = Down(localfs, str(REMOTE), "a")
    with ingesting("one", needs(*range(20)), down) as (chunks, journal, said):
        decode(journal, range(20))
        assert has(journal) == set(range(20))
        chunks.leave()
    with ingesting("one", needs(*range(20)), down) as (chunks, journal, _):
        assert has(journal) == set(range(20))
        chunks.clear()
    assert not said
    warnings = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert len(warnings) == 2  # One per run.
    assert "nobody there; this run continues without it" in warnings[0].getMessage()


def test_nothing_is_asked_where_nothing_is_new(caplog: pytest.LogCaptureFixture) -> None:
    """Without new images the remote is not asked, so one that is down causes no warning."""
    with ingesting("one", needs(), Down(localfs, str(REMOTE), "a")) as (chunks, _, said):
        chunks.clear()
    assert not said
    assert not caplog.records


def test_a_journal_of_an_earlier_release_is_gone_on_with(monkeypatch: pytest.MonkeyPatch) -> None:
    """A journal of an earlier release, which lacks the images' files, is continued; its images are not handed over."""
    write = Journal._write

    def as_before(journal: Journal, entry: dict[str, Any]) -> None:
        write(journal, {name: value for name, value in entry.items() if name not in ("file", "suffix")})

    with monkeypatch.context() as patch:
        patch.setattr(Journal, "_write", as_before)
        with Journal(RECIPE, after=-1, limit=LIMIT) as journal:
            decode(journal, range(3))
    os.renames("data", "one/data")
    with ingesting("one", needs(*range(4))) as (chunks, journal, _):
        assert has(journal) == {0, 1, 2}
        decode(journal, range(4))
        chunks.leave()
    with ingesting("two", needs(*range(4))) as (_, journal, _):
        assert has(journal) == {3}
