"""Images of a single colour in data/shards, and the manifests that list them, without running earlier stages."""

import csv
import hashlib
from collections.abc import Iterable, Sequence
from io import BytesIO
from typing import NamedTuple

import pyarrow as pa
from PIL import Image

from pipeline import parquet, paths
from pipeline.files import md5_of_file
from pipeline.images import index
from pipeline.images.shard_files import ShardFile, metadata_of
from pipeline.images.shards import ShardWriter, shard_number
from pipeline.splits.review import REVIEW
from pipeline.splits.slices import SLICES

SPLITS = ("train", "val", "test")
# Maximum size of a shard in bytes.
SHARD = 2**20


class Plain(NamedTuple):
    """A square image of one shade of grey. Two images must not have the same shade and side."""

    label: str
    shade: int
    side: int = 8
    generation: int = 1
    """The generation in which the image came into the test split."""


def store_images(**splits: Sequence[Plain]) -> None:
    """Write data/images, data/shards and data/manifest; splits not given are empty. Training images are new."""
    paths.SHARDS.mkdir(parents=True, exist_ok=True)
    paths.MANIFEST.mkdir(parents=True, exist_ok=True)
    rows, reviewed = [], []
    with ShardWriter(paths.SHARDS, first=0, limit=SHARD) as writer:
        for split in SPLITS:
            listed, generations = [], []
            for image in splits.get(split, ()):
                out = BytesIO()
                Image.new("L", (image.side, image.side), image.shade).save(out, "PNG")
                md5 = hashlib.md5(out.getvalue()).hexdigest()
                shard, offset = writer.append(f"{md5}.png", out.getvalue())
                listed.append((md5, image.label, md5))
                generations.append((md5, str(image.generation)))
                where = {"shard": shard, "offset": offset, "length": len(out.getvalue())}
                size = {"width": image.side, "height": image.side}
                shows = {"key": md5[:16], "descriptor": bytes(64)}
                rows.append(
                    {"id": md5, "label": image.label, "source": f"{md5}.png", "attributes": "", "md5": md5}
                    | {**where, **size, **shows}
                )
            _write(f"{split}.csv", [("id", "label", "md5"), *sorted(listed)])
            reviewed += [(*line, split, f"{line[0]}.png", "", "", "") for line in listed if split != "val"]
    header = ("id", "label", "md5", "split", "source", "like_id", "like_label", "like_source")
    _write(REVIEW, [header, *sorted(reviewed)])
    _write(SLICES, [("id", "generation"), *sorted(generations)])
    assert len({row["id"] for row in rows}) == len(rows), "two images are the same"
    files = {shard_number(path): ShardFile(md5_of_file(path), path.stat().st_size) for path in paths.SHARDS.iterdir()}
    table = pa.Table.from_pylist(rows, index.SCHEMA)
    parquet.write_tables({index.INDEX: table.replace_schema_metadata({"shards": metadata_of(files)})})


def _write(name: str, rows: Iterable[tuple[str, ...]]) -> None:
    with (paths.MANIFEST / name).open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)
