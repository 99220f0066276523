"""Pictures inside the report."""

from pathlib import Path

import pytest
from PIL import Image
from support.pictures import decoded
from support.stored import Plain, store_images

from pipeline import paths
from pipeline.errors import ImagesError
from pipeline.evaluation.report import thumbnails
from pipeline.images.dataset import locate, read_manifest
from pipeline.images.pixels import Slot, open_image
from pipeline.images.shards import ShardReader
from pipeline.pages import pictures


def test_stored_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The requested images are shown as they are stored."""
    monkeypatch.chdir(tmp_path)
    store_images(test=[Plain("cat", 0), Plain("dog", 200, 30), Plain("dog", 255)])
    test = read_manifest("test")
    made = thumbnails.thumbnails(locate(test).slots, [2, 0])
    assert list(made) == [2, 0]
    bright = [row for row in range(3) if test["label"][row] == "dog"]
    everything = thumbnails.thumbnails(locate(test).slots, [0, 1, 2])
    assert {decoded(everything[row].small).convert("L").getpixel((0, 0)) for row in bright} == {200, 255}
    assert everything[0] == made[0]


def test_images_are_read_as_they_are_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Images are read a few at a time, in bounded memory, and no longer once the page is full."""
    monkeypatch.chdir(tmp_path)
    store_images(test=[Plain("cat", shade, 50) for shade in range(9)])
    slots, read = locate(read_manifest("test")).slots, list[Slot]()

    def noted(reader: ShardReader, slot: Slot) -> Image.Image:
        read.append(slot)
        return open_image(reader, slot)

    monkeypatch.setattr(thumbnails, "open_image", noted)
    everything = thumbnails.thumbnails(slots, range(9))
    assert (list(everything), read) == (list(range(9)), list(slots))
    read.clear()
    monkeypatch.setattr(thumbnails, "AT_ONCE", 2)
    monkeypatch.setattr(pictures, "LIMIT", sum(len(everything[row].small) for row in range(3)))
    assert thumbnails.thumbnails(slots, range(9)) == {row: everything[row] for row in range(3)}
    assert read == list(slots[:4])


def test_damage_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bytes that differ from the manifest's hash are an error."""
    monkeypatch.chdir(tmp_path)
    store_images(test=[Plain("cat", 0)])
    (shard,) = paths.SHARDS.glob("*.tar")
    shard.write_bytes(shard.read_bytes().replace(b"IDAT", b"IDOT"))
    with pytest.raises(ImagesError, match="is damaged"):
        thumbnails.thumbnails(locate(read_manifest("test")).slots, [0])


def test_whole_pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Images larger than a thumbnail get a full-size picture on request, as long as there is room."""
    monkeypatch.chdir(tmp_path)
    store_images(test=[Plain("cat", 0, 300), Plain("cat", 1, 300), Plain("cat", 2, 90), Plain("cat", 3, 600)])
    test = read_manifest("test")
    slots = locate(test).slots
    made = thumbnails.thumbnails(slots, range(4), whole={0, 1, 2, 3})
    assert sorted(decoded(one.small).width for one in made.values()) == [90, 96, 96, 96]
    assert sorted(decoded(one.whole).width for one in made.values() if one.whole) == [300, 300, 512]
    assert all(one.whole is None for one in thumbnails.thumbnails(slots, range(4)).values() if one.whole != "")
    first = next(one.whole for one in made.values() if one.whole)
    monkeypatch.setattr(thumbnails, "WHOLE_LIMIT", len(first))
    kept = thumbnails.thumbnails(slots, range(4), whole={0, 1, 2, 3})
    assert [one.whole for one in kept.values() if one.whole] == [first]
    assert [one.small for one in kept.values()] == [one.small for one in made.values()]
