"""Quality of the review of labels and of drift alarms, on Fashion-MNIST: `benchmarks/suspects.py [NAME…]`.

Names:
- labels: a project of 10,000 images, then 3,000 more, with wrong labels for 5 % of them. Precision is the share of
  wrong labels among those that the review contradicts; recall is the share of wrong labels that it finds;
- drift: 500 new images against 500 known ones, 20 random draws each, unchanged and changed.
"""

import csv
import io
import os
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import torch
from PIL import Image, ImageEnhance, ImageFilter, ImageOps
from reporting import Benchmark, Row, Rows, Scale, main
from ruamel.yaml import YAML
from scratch import ROOT, new_project, run
from study_data import Pixels, fashion

from pipeline import parquet
from pipeline.commands.status.likeness import StoredFigures, unlike
from pipeline.evaluation.inference import Looked
from pipeline.evaluation.review.reviewing import drift_of
from pipeline.images import index
from pipeline.images.pixel_source import PixelSource
from pipeline.ingestion.labelling.mapping import ClassMapping
from pipeline.ingestion.standardising import Picture, make_uniform
from pipeline.models.checkpoint import read_network
from pipeline.models.features import look
from pipeline.models.network import Network
from pipeline.params import Params, read_params

FLIPPED = 0.05
NEW = 500
Side = tuple[Pixels, npt.NDArray[np.uint8]]


def fashion_mnist() -> tuple[Pixels, npt.NDArray[np.uint8]]:
    """Return the training images, and the numbers of their classes."""
    train = fashion().train
    return train.images.pixels, np.array([int(label[-1]) for label in train.labels], np.uint8)


def _noisy(image: Image.Image, chance: np.random.Generator) -> Image.Image:
    levels = np.asarray(image) + chance.normal(0, 20, (image.height, image.width))
    return Image.fromarray(levels.clip(0, 255).astype(np.uint8))


Change = Callable[[Image.Image, np.random.Generator], Image.Image]
CHANGES: dict[str, Change] = {
    "as they are": lambda image, _: image,
    "darker (0.6)": lambda image, _: ImageEnhance.Brightness(image).enhance(0.6),
    "with noise (20)": _noisy,
    "upside down": lambda image, _: ImageOps.flip(image),
    "mirrored": lambda image, _: ImageOps.mirror(image),
    "blurred (1 pixel)": lambda image, _: image.filter(ImageFilter.GaussianBlur(1)),
}
ONE_CLASS = "of one class only"


def flipped(labels: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Return `labels` with a random share of them replaced by wrong labels."""
    chance = np.random.default_rng(0)
    wrong = chance.random(len(labels)) < FLIPPED
    return np.where(wrong, (labels + chance.integers(1, 10, len(labels))) % 10, labels).astype(np.uint8)


def add(project: Path, name: str, pixels: Pixels, labels: npt.NDArray[np.uint8], first: int) -> None:
    """Write images to an archive in data/raw, named by their numbers from `first` on."""
    with zipfile.ZipFile(project / "data/raw" / name, "w") as archive:
        for number, (image, label) in enumerate(zip(pixels, labels, strict=True), first):
            archive.writestr(f"class {label}/{number:05d}.png", _png(Image.fromarray(image[0])))


def _png(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def trained(folder: Path, pixels: Pixels, labels: npt.NDArray[np.uint8]) -> Path:
    """Create a project, and train it on these images."""
    project, yaml = new_project(folder / "project"), YAML()
    params = yaml.load(project / "params.yaml")
    params["ingest"]["mode"], params["compute"]["accelerator"] = "grey", "cpu"
    yaml.dump(params, project / "params.yaml")
    add(project, "first.zip", pixels, labels, 0)
    run(project, "dvc", "add", "--quiet", "data/raw")
    run(project, "dvc", "repro")
    return project


def labels(folder: Path, scale: Scale) -> Rows:
    """Measure precision and recall of the list of suspects."""
    pixels, right = fashion_mnist()
    first, more = scale.count(10_000), scale.count(3_000)
    said = flipped(right[: first + more])
    project = trained(folder, pixels[:first], said[:first])
    wrong = said != right[: first + more]
    yield from found(project, wrong, "train", f"the first generation, of {first:,} images: training images")
    yield from found(project, wrong, "test", "test images")
    add(project, "more.zip", pixels[first : first + more], said[first:], first)
    run(project, "dvc", "repro")
    yield from found(project, wrong, "train", f"a later generation, of {more:,} new images: training images")
    yield from found(project, wrong, "test", "test images, new and old")


def found(project: Path, wrong: npt.NDArray[np.bool_], split: str, what: str) -> Rows:
    """Yield precision and recall for the images of `split` in the last review."""
    reviewed = [row for row in rows(project / "data/manifest/review.csv") if row["split"] == split]
    listed = [row for row in rows(project / "data/report/suspects.csv") if row["split"] == split]
    numbers = [int(row["source"][-9:-4]) for row in listed if "contradicted" in row["reason"]]
    hits, bad = sum(wrong[numbers]), sum(wrong[int(row["source"][-9:-4])] for row in reviewed)
    top = numbers[:bad]
    shares = f"precision {hits / max(len(numbers), 1):.1%}, recall {hits / max(bad, 1):.1%}"
    best = f"of the first {len(top)} {sum(wrong[top]) / max(len(top), 1):.1%} are wrong"
    yield Row(what, f"{shares}: {len(numbers)} of {len(reviewed):,} listed, {bad} flipped; {best}")


def rows(path: Path) -> list[dict[str, str]]:
    """Return the rows of a CSV file."""
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def drift(folder: Path, scale: Scale) -> Rows:
    """Count the alarms of `status`, which uses no network, and of the report."""
    pixels, right = fashion_mnist()
    count = scale.count(5_000)
    project = trained(folder, pixels[:count], right[:count])
    network, _ = read_network(project / "data/model")
    os.chdir(folder)  # A folder without an index; `in_status` writes one.
    rest, rest_labels = pixels[20_000:], right[20_000:]
    rounds, params = scale.rounds(20), read_params(ROOT / "params.yaml")
    for name in (*CHANGES, ONE_CLASS):
        alarms = {"status": 0, "report": 0}
        for seed in range(rounds):
            chosen = np.random.default_rng(seed).permutation(len(rest))[: 6 * NEW]
            known, new = chosen[:NEW], chosen[NEW : 2 * NEW]
            if name == ONE_CLASS:
                new = chosen[NEW:][rest_labels[chosen[NEW:]] == seed % 10][:NEW]
            change, chance = CHANGES.get(name, CHANGES["as they are"]), np.random.default_rng(seed)
            images = [np.asarray(change(Image.fromarray(one[0]), chance)) for one in rest[new]]
            sides = [(rest[known], rest_labels[known]), (np.stack(images)[:, None], rest_labels[new])]
            alarms["status"] += bool(in_status(params, *sides))
            alarms["report"] += bool(in_report(network, *sides))
        told = ", ".join(f"{where} {share} of {rounds}" for where, share in alarms.items())
        yield Row(f"{NEW} new images {name}: alarms", told)


def in_report(network: Network, known: Side, new: Side) -> list[str]:
    """Return the drift sentences of the report."""
    seen = []
    for images, _ in (known, new):
        with torch.inference_mode():
            features = look(network, torch.from_numpy(images.copy())).features.numpy()
        seen.append(Looked(pd.DataFrame(), features, PixelSource.of(images)))
    parts = [pd.DataFrame({"label": [f"class {label}" for label in some]}) for _, some in (known, new)]
    return list(drift_of(parts, np.ones(len(known[0]), np.bool_), (seen[0], seen[1])))


def in_status(params: Params, known: Side, new: Side) -> list[str]:
    """Return the drift sentences of `pipeline status`, without its time limit."""
    figures: list[dict[str, tuple[str, StoredFigures]]] = [{}, {}]
    for side, (images, some) in zip(figures, (known, new), strict=True):
        for image, label in zip(images, some, strict=True):
            picture = make_uniform(_png(Image.fromarray(image[0])), params.ingest.model_copy(update={"mode": "grey"}))
            assert isinstance(picture, Picture)
            side[picture.md5] = f"class {label}", StoredFigures.of(picture)
    columns = [
        {"id": one, "label": label, "source": "", "attributes": "", "shard": 0, "offset": 0, "md5": one, "key": ""}
        | shows._asdict()
        for one, (label, shows) in figures[0].items()
    ]
    index.INDEX.parent.mkdir(parents=True, exist_ok=True)
    parquet.write_table(pa.Table.from_pylist(columns, index.SCHEMA), index.INDEX)
    return unlike([label for label, _ in figures[1].values()], figures[1], ClassMapping())


BENCHMARKS: dict[str, Benchmark] = {"labels": labels, "drift": drift}

if __name__ == "__main__":
    main(__doc__, BENCHMARKS)
