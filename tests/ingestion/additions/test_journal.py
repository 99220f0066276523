"""The unfinished work of ingest survives a kill at any byte."""

import hashlib
import shutil
import tarfile
from pathlib import Path

import pytest
from support.damage import cuts

from pipeline import paths
from pipeline.images.shards import ShardReader, shard_name
from pipeline.ingestion.additions.journal import FOLDER, Journal
from pipeline.ingestion.perceptual_hash import PerceptualHash
from pipeline.ingestion.refusals import Refusal
from pipeline.ingestion.standardising import Picture

RECIPE = "recipe"
LIMIT = 2_000


def image_id(number: int) -> str:
    """Return an id."""
    return hashlib.md5(bytes([number])).hexdigest()


def picture(number: int, size: int = 300) -> Picture:
    """Return a stored image; its bytes need not be a valid one."""
    data, shows = bytes([number]) * size, PerceptualHash(f"{number:016x}", bytes([number]) * 64)
    return Picture(data, hashlib.md5(data).hexdigest(), "png", 3, 4, shows)


REFUSED = Refusal("broken", 'it said "no"')


@pytest.fixture(autouse=True)
def _project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make an empty project the working directory."""
    monkeypatch.chdir(tmp_path)


def journal(recipe: str = RECIPE, *, after: int = -1, limit: int = LIMIT) -> Journal:
    """Open the journal as a new process does."""
    return Journal(recipe, after=after, limit=limit)


def fill(count: int = 3) -> None:
    """Add `count` images and one refusal."""
    with journal() as opened:
        for number in range(count):
            opened.add(image_id(number), picture(number), image_id(number))
        opened.add(image_id(99), REFUSED, image_id(99))


def known() -> tuple[set[str], set[str]]:
    """Return the images and refusals that a new process finds, and check the bytes of each image."""
    with journal() as opened, ShardReader(opened.folder) as reader:
        for fact in opened.facts.values():
            data = reader.read(fact["shard"], fact["offset"], fact["length"])
            assert hashlib.md5(data).hexdigest() == fact["md5"]
        return set(opened.facts), set(opened.refused)


def check_shards() -> None:
    """Assert that every shard is a complete tar file."""
    for path in FOLDER.rglob("*.tar"):
        with tarfile.open(path, "r:") as archive:
            assert archive.getnames()
        assert path.read_bytes().endswith(bytes(1024))


def test_new_journal_knows_nothing() -> None:
    """A new journal is empty."""
    assert known() == (set(), set())


def test_what_was_added_is_known_to_the_next_process() -> None:
    """Facts, descriptors and refusals are read back unchanged."""
    with journal() as opened:
        opened.add(image_id(1), picture(1), image_id(1))
        opened.add(image_id(99), REFUSED, image_id(99))
        facts = opened.facts
    with journal() as opened:
        assert opened.facts == facts
        assert opened.refused == {image_id(99): REFUSED}
    fact = facts[image_id(1)]
    assert fact["md5"] == hashlib.md5(picture(1).data).hexdigest()
    assert (fact["length"], fact["width"], fact["height"]) == (300, 3, 4)
    assert (fact["key"], fact["descriptor"]) == (f"{1:016x}", bytes([1]) * 64)


def test_another_recipe_discards_everything() -> None:
    """Another recipe discards everything, including shards."""
    fill()
    with journal("other") as opened:
        assert (dict(opened.facts), opened.refused) == ({}, {})
    assert [path.name for path in FOLDER.iterdir()] == ["other"]
    assert known() == (set(), set())


def test_shards_are_numbered_after_what_is_published() -> None:
    """Numbers of new shards differ from those in data/shards and of an earlier attempt."""
    with journal(after=4) as opened:
        opened.add(image_id(1), picture(1), image_id(1))
        assert opened.facts[image_id(1)]["shard"] == 5
    with journal(after=4) as opened:
        opened.add(image_id(2), picture(2), image_id(2))
        assert [fact["shard"] for fact in opened.facts.values()] == [5, 6]


def test_kill_after_publishing_loses_nothing() -> None:
    """Until the index contains what was published, the journal has it all, and publishes it again."""
    fill()
    paths.SHARDS.mkdir(parents=True)
    with journal() as opened:
        pass
    opened.publish(paths.SHARDS)
    assert sorted(path.name for path in paths.SHARDS.iterdir()) == [shard_name(number) for number in range(2)]
    with journal(after=1) as opened:
        assert {fact["shard"] for fact in opened.facts.values()} == {2, 3}
        opened.add(image_id(3), picture(3), image_id(3))
        assert opened.facts[image_id(3)]["shard"] == 4
    opened.publish(paths.SHARDS)
    opened.discard()
    assert not FOLDER.exists()
    assert sorted(path.name for path in paths.SHARDS.iterdir()) == [shard_name(number) for number in range(5)]


def test_shards_of_others_are_never_replaced() -> None:
    """Shards that came into data/shards meanwhile, for example from a colleague, are not replaced."""
    fill()
    paths.SHARDS.mkdir(parents=True)
    (paths.SHARDS / shard_name(0)).write_bytes(b"a colleague's")
    with journal(after=0) as opened:
        pass
    opened.publish(paths.SHARDS)
    assert (paths.SHARDS / shard_name(0)).read_bytes() == b"a colleague's"
    with ShardReader(paths.SHARDS) as reader:
        for fact in opened.facts.values():
            data = reader.read(fact["shard"], fact["offset"], fact["length"])
            assert hashlib.md5(data).hexdigest() == fact["md5"]


def test_journal_cut_at_any_byte() -> None:
    """A journal truncated anywhere contains exactly its complete lines, and can be continued."""
    fill()
    path = FOLDER / RECIPE / "journal.jsonl"
    whole = path.read_bytes()
    shutil.copytree(FOLDER, "copy")
    ids = [image_id(number) for number in (0, 1, 2, 99)]
    lines = [next(line for line in whole.splitlines() if name.encode() in line) for name in ids]
    ends = [whole.index(line) + len(line) for line in lines]
    for cut in cuts(whole, ends):
        shutil.rmtree(FOLDER)
        shutil.copytree("copy", FOLDER)
        path.write_bytes(whole[:cut])
        expected = {name for name, end in zip(ids, ends, strict=True) if end <= cut}
        images, refused = known()
        assert images | refused == expected
        check_shards()


@pytest.mark.parametrize("cut", [1, 40, -1])
def test_work_after_a_cut_outlives_the_next_kill(cut: int) -> None:
    """What is added after a truncated line survives a second kill."""
    fill()
    path = FOLDER / RECIPE / "journal.jsonl"
    first, second, *_ = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(first + second[:cut])
    before, _ = known()
    with journal() as opened:
        opened.add(image_id(7), picture(7), image_id(7))
        opened.add(image_id(8), REFUSED, image_id(8))
    assert known() == ({*before, image_id(7)}, {image_id(8)})


def test_shard_cut_at_any_byte() -> None:
    """A shard truncated anywhere contains exactly its complete images; the rest is a complete tar file."""
    fill()
    path = FOLDER / RECIPE / shard_name(0)
    whole = path.read_bytes()
    with journal() as opened:
        ends = {name: fact["offset"] + fact["length"] for name, fact in opened.facts.items() if fact["shard"] == 0}
        others = set(opened.facts) - set(ends)
    assert len(ends) == 2
    shutil.copytree(FOLDER, "copy")
    for cut in cuts(whole, ends.values()):
        shutil.rmtree(FOLDER)
        shutil.copytree("copy", FOLDER)
        path.write_bytes(whole[:cut])
        images, refused = known()
        assert images == others | {name for name, end in ends.items() if end <= cut}
        assert refused == {image_id(99)}
        check_shards()


def test_damaged_images_are_forgotten() -> None:
    """An image whose bytes differ from the journal's record is decoded again; others are not."""
    fill()
    path = FOLDER / RECIPE / shard_name(0)
    path.write_bytes(path.read_bytes().replace(bytes([1]) * 300, bytes([1]) * 299 + b"!"))
    assert known()[0] == {image_id(0), image_id(2)}


def test_lost_shards_are_forgotten() -> None:
    """Without its shard an image is unknown; refusals stay known."""
    fill()
    for path in FOLDER.rglob("*.tar"):
        path.unlink()
    assert known() == (set(), {image_id(99)})


def test_forgotten_images_can_be_added_again() -> None:
    """A lost image can be added again, and is known then."""
    fill()
    (FOLDER / RECIPE / shard_name(0)).unlink()
    with journal() as opened:
        for number in range(3):
            if image_id(number) not in opened.facts:
                opened.add(image_id(number), picture(number), image_id(number))
    assert known()[0] == {image_id(number) for number in range(3)}
