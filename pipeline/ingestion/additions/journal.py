"""The journal of an unfinished ingest: shards being filled, and a line for each image that was written completely.

After a kill at any moment, images that the journal lists and the shards confirm need not be decoded again. The journal
is kept outside data/images, so that nothing unfinished can become an output.
"""

import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Self, TextIO

from pipeline import paths
from pipeline.files import md5_of_bytes
from pipeline.images import index
from pipeline.images.index_rows import IndexRows
from pipeline.images.shards import ShardReader, ShardWriter, last_shard, seal, shard_name, shard_number, shards_in
from pipeline.ingestion.refusals import Refusal
from pipeline.ingestion.standardising import Picture

FOLDER = paths.PROGRESS / "ingest"
# The content of one line: an image, or why it was refused.
Entry = dict[str, Any]


class Journal:
    """Appends decoded images to new shards below `FOLDER`, and recovers them after an interruption.

    Use it as a context manager; the shards are complete when it exits.
    """

    def __init__(self, recipe: str, *, after: int, limit: int) -> None:
        """Number new shards from `after` + 1 on; a shard takes at most `limit` bytes.

        `recipe` identifies how images are made; the journal of any other recipe is deleted.
        """
        self.recipe, self.folder = recipe, FOLDER / recipe
        self.on_kept: Callable[[Entry], object] | None = None
        """Called with each entry after its image is written to a shard."""
        if not self.folder.exists():
            shutil.rmtree(FOLDER, ignore_errors=True)
            self.folder.mkdir(parents=True)
        self._path = self.folder / "journal.jsonl"
        # The index row of each stored image, by id.
        self.facts = IndexRows()
        self.refused: dict[str, Refusal] = {}
        # In the journal, shards are numbered from 0: their final numbers may change until they are published.
        self._first = after + 1
        for entry in self._confirmed():
            if "reason" in entry:
                refusal = Refusal(entry["reason"], entry["detail"])
                if not refusal.is_outdated:
                    self.refused[entry["id"]] = refusal
            else:
                self.facts.add(self._fact(entry))
        self._seal()
        self._shards = ShardWriter(self.folder, first=last_shard(self.folder) + 1, limit=limit)
        self._file: TextIO = self._path.open("a", encoding="utf-8")
        self._file.write("\n")  # Ends a line that a kill may have cut off.

    def __len__(self) -> int:
        return len(self.facts) + len(self.refused)

    def __contains__(self, image_id: str) -> bool:
        return image_id in self.facts or image_id in self.refused

    def entries(self) -> Iterator[Entry]:
        """Return the valid entries in the order they were added, but none of earlier releases, which lack `file`."""
        return (entry for entry in self._lines() if entry["id"] in self and "file" in entry)

    def add(self, image_id: str, result: Picture | Refusal, file: str) -> None:
        """Store the `result` of decoding the image `image_id`; `file` is the MD5 of its file in data/raw."""
        if isinstance(result, Refusal):
            self.refused[image_id] = result
            self._write({"id": image_id, "file": file, **result._asdict()})
            return
        shard, offset = self._shards.append(f"{image_id}.{result.suffix}", result.data)
        entry = {
            "id": image_id,
            "file": file,
            "shard": shard,
            "offset": offset,
            "length": len(result.data),
            "suffix": result.suffix,
            "width": result.width,
            "height": result.height,
            "md5": result.md5,
            "key": result.shows.key,
            "descriptor": result.shows.descriptor.hex(),
            "reader": result.reader,
            "patient": result.patient,
        }
        self.facts.add(self._fact(entry))
        self._write(entry)

    def publish(self, folder: Path) -> None:
        """Put the shards into `folder` under their final numbers.

        The journal keeps them, too, so that nothing is lost by a kill before the index lists them.
        """
        for path in shards_in(self.folder):
            with path.open("rb") as file:
                os.fsync(file.fileno())
            target = folder / shard_name(self._first + shard_number(path))
            assert not target.exists(), f"{target} is there already"
            try:
                target.hardlink_to(path)
            except OSError:  # Not every file system supports hard links.
                shutil.copyfile(path, target)

    def discard(self) -> None:
        """Delete the journal; call this once the index lists what was published."""
        shutil.rmtree(FOLDER)

    def _fact(self, entry: Entry) -> dict[str, Any]:
        """Return the index row of the image of `entry`."""
        unknown = dict.fromkeys(index.FURTHER.names)  # Missing in journals of earlier releases.
        return {
            **unknown,
            **entry,
            "shard": self._first + entry["shard"],
            "descriptor": bytes.fromhex(entry["descriptor"]),
        }

    def _seal(self) -> None:
        """Truncate incomplete images in shards that a kill left open, and append the end of a tar file."""
        for path in shards_in(self.folder):
            shard = self._first + shard_number(path)
            ends = [fact["offset"] + fact["length"] for fact in self.facts.values() if fact["shard"] == shard]
            seal(path, max(ends, default=0))

    def _write(self, entry: Entry) -> None:
        self._shards.flush()
        self._file.write(json.dumps(entry) + "\n")
        self._file.flush()
        if self.on_kept is not None:
            self.on_kept(entry)

    def _confirmed(self) -> Iterator[Entry]:
        """Yield refusals, and the entries whose images are complete in their shards."""
        with ShardReader(self.folder) as reader:
            for entry in self._lines():
                if "reason" in entry or _is_whole(reader, entry):
                    yield entry

    def _lines(self) -> Iterator[Entry]:
        if not self._path.exists():
            return
        for line in self._path.read_text(encoding="utf-8", errors="replace").splitlines():
            with suppress(ValueError):  # A kill cut the line off.
                yield json.loads(line)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._shards.__exit__()
        self._file.close()


def _is_whole(reader: ShardReader, entry: Entry) -> bool:
    try:
        data = reader.read(entry["shard"], entry["offset"], entry["length"])
    except FileNotFoundError:
        return False
    return md5_of_bytes(data) == str(entry["md5"])
