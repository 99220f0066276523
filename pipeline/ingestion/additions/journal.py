"""The unfinished work of ingest: shards being filled, and a line for each image that is whole in them.

After a kill at any moment, what the journal says and the shards confirm need not be decoded again. It lies
outside data/images, so that nothing unfinished can become an output.
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
# What a line says of one image.
Entry = dict[str, Any]


class Journal:
    """Appends decoded images to new shards below `FOLDER`, and remembers them across interruptions.

    Use as a context manager; the shards are whole once it is left.
    """

    def __init__(self, recipe: str, *, after: int, limit: int) -> None:
        """Number new shards of at most `limit` bytes from `after` + 1 on.

        `recipe` names how images are made; what another one made is thrown away.
        """
        self.recipe, self.folder = recipe, FOLDER / recipe
        self.on_kept: Callable[[Entry], object] | None = None
        """What is called with each entry once its image is in a shard."""
        if not self.folder.exists():
            shutil.rmtree(FOLDER, ignore_errors=True)
            self.folder.mkdir(parents=True)
        self._path = self.folder / "journal.jsonl"
        # What the index says of each stored image, by id.
        self.facts = IndexRows()
        self.refused: dict[str, Refusal] = {}
        # Here shards are numbered from 0 on: what their numbers will be in data/images may change until they get there.
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
        self._file.write("\n")  # Lest the first new line continues one that a kill cut off.

    def __len__(self) -> int:
        return len(self.facts) + len(self.refused)

    def __contains__(self, image_id: str) -> bool:
        return image_id in self.facts or image_id in self.refused

    def entries(self) -> Iterator[Entry]:
        """Those of what is here, in the order in which it was added; those of releases that wrote less are left out."""
        return (entry for entry in self._lines() if entry["id"] in self and "file" in entry)

    def add(self, image_id: str, result: Picture | Refusal, file: str) -> None:
        """Keep what decoding the image `image_id` gave; `file` is the MD5 of the file in data/raw that it is in."""
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

        They stay here, too, so that a kill before the index names them costs nothing.
        """
        for path in shards_in(self.folder):
            with path.open("rb") as file:
                os.fsync(file.fileno())
            target = folder / shard_name(self._first + shard_number(path))
            assert not target.exists(), f"{target} is there already"
            try:
                target.hardlink_to(path)
            except OSError:  # Not every file system can.
                shutil.copyfile(path, target)

    def discard(self) -> None:
        """Forget it all, once the index names what was published."""
        shutil.rmtree(FOLDER)

    def _fact(self, entry: Entry) -> dict[str, Any]:
        """What the index will say of the image of a journal's `entry`."""
        unknown = dict.fromkeys(index.FURTHER.names)  # In a journal of an earlier release.
        return {
            **unknown,
            **entry,
            "shard": self._first + entry["shard"],
            "descriptor": bytes.fromhex(entry["descriptor"]),
        }

    def _seal(self) -> None:
        """Cut what was half written from the shards that a kill left open, and end them as tar files end."""
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
        """The entries whose images are whole where they say."""
        with ShardReader(self.folder) as reader:
            for entry in self._lines():
                if "reason" in entry or _is_whole(reader, entry):
                    yield entry

    def _lines(self) -> Iterator[Entry]:
        if not self._path.exists():
            return
        for line in self._path.read_text(encoding="utf-8", errors="replace").splitlines():
            with suppress(ValueError):  # A kill cut it off in the middle.
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
