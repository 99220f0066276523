"""Fine-tuning at 224 pixels on colour pictures of npm's emoji-datasource-google: `benchmarks/fine_tuning.py [NAME…]`.

Names:
- resnet18, vit: a first `dvc repro` on 18 classes, one with 10 % more images, and one with two more classes; from
  scratch, the whole network from the weights of a file, and its head alone. No published weights are available, so the
  benchmark first trains the weights of the file: at 64 pixels, on the pictures of the other 79 classes and on
  Fashion-MNIST in random colours. The projects contain neither of these;
- features: one per cent of new images in 60,000 of Fashion-MNIST, for `small`: the whole network, and its head alone.

Times are CPU seconds of `dvc repro` including its startup. Accuracies are those on test images.
"""

import io
import json
import resource
import shutil
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image, ImageOps
from reporting import Row, Rows, Scale, main
from ruamel.yaml import YAML
from scratch import ENV, ROOT, new_project, run
from study_data import EMOJI, fashion

PICTURES = EMOJI / "img/google/64"
CLASSES, ARRIVE = 20, 2
LATER = 0.1
SPLIT = {"val": 0.0, "test": 0.25, "by": "hash", "group": None}
# Models of timm, with the learning rates of the whole network and of its head alone.
NETWORKS = {"resnet18": ("timm/resnet18", 2e-3, 1e-2), "vit": ("timm/vit_tiny_patch16_224", 5e-4, 1e-2)}
COMMON: dict[str, dict[str, Any]] = {
    "ingest": {"size": 64},
    "train": {"precision": "bf16-mixed", "batch_size": 32, "label_smoothing": 0.0},
    "compute": {"accelerator": "cpu"},
}


class Way(NamedTuple):
    """A way to train."""

    name: str
    params: dict[str, Any]
    """Params of the section `train`."""


Files = Sequence[tuple[str, bytes]]


def pictures() -> dict[str, list[Path]]:
    """Return the pictures of each class in random order, the largest class first."""
    found: dict[str, list[Path]] = {}
    for emoji in json.loads((EMOJI / "emoji.json").read_text()):
        for one in (emoji, *emoji.get("skin_variations", {}).values()):
            if (path := PICTURES / one["image"]).exists():
                found.setdefault(emoji["subcategory"], []).append(path)
    chance = np.random.default_rng(0)
    return {name: list(chance.permutation(sorted(found[name]))) for name in sorted(found, key=lambda n: -len(found[n]))}


def fashion_files(first: int, last: int, *, coloured: bool = False) -> Iterator[tuple[str, bytes]]:
    """Yield images of Fashion-MNIST; if `coloured`, at 64 pixels and with random colours for black and white."""
    data, chance = fashion().train, np.random.default_rng(first)
    for number in range(first, last):
        image, file = Image.fromarray(data.images.pixels[number, 0]), io.BytesIO()
        if coloured:
            dark, light = (tuple(map(int, chance.integers(0, 256, 3))) for _ in range(2))
            image = ImageOps.colorize(image, dark, light).resize((64, 64), Image.Resampling.BICUBIC)
        image.save(file, "PNG")
        yield f"fashion {data.labels[number]}/{number:05d}.png", file.getvalue()


def files_of(classes: Mapping[str, Sequence[Path]], first: float, last: float) -> Files:
    """Return the pictures of each class from the share `first` to the share `last`."""
    return [
        (f"{name}/{path.name}", path.read_bytes())
        for name, paths in classes.items()
        for path in paths[round(first * len(paths)) : round(last * len(paths))]
    ]


def project(folder: Path, params: Mapping[str, Any]) -> Path:
    """Create a project with `params` in its section `train`."""
    made = new_project(folder)
    set_params(made, {**COMMON, "train": {**COMMON["train"], **params}, "manifest": {"split": SPLIT}})
    return made


def set_params(made: Path, changes: Mapping[str, Mapping[str, Any]]) -> None:
    """Change params of a project, section by section."""
    yaml = YAML()
    content = yaml.load(made / "params.yaml")
    for section, values in changes.items():
        content[section].update(values)
    yaml.dump(content, made / "params.yaml")


class Grown(NamedTuple):
    """A generation."""

    seconds: float
    """The CPU time of all processes of `dvc repro`."""
    accuracy: float
    """The accuracy in per cent."""
    support: int
    """The number of test images."""

    def __str__(self) -> str:
        return f"{self.seconds:.0f} s, {self.accuracy:.1f} % of {self.support:,}"


def grow(made: Path, name: str, files: Iterable[tuple[str, bytes]]) -> Grown:
    """Add an archive of `files` to data/raw, and train."""
    with zipfile.ZipFile(made / "data/raw" / f"{name}.zip", "w") as archive:
        for path, data in files:
            archive.writestr(path, data)
    if not (made / "data/raw.dvc").exists():
        run(made, "dvc", "add", "--quiet", "data/raw")
    return train(made)


def train(made: Path) -> Grown:
    """Run `dvc repro`, and measure it."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    run(made, "dvc", "repro")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    metrics = json.loads((made / "data/report/metrics.json").read_text())
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Grown(seconds, 100 * metrics["accuracy"], metrics["support"])


def other_weights(folder: Path, model: str, rate: float, scale: Scale) -> Path:
    """Train a model on other data; returns its checkpoint."""
    made = project(
        folder / "other", {"model": model, "size": 64, "epochs": scale.rounds(15), "lr": rate, "augment": "light"}
    )
    others = dict(list(pictures().items())[CLASSES:])
    grow(made, "other", [*files_of(others, 0, 1), *fashion_files(0, scale.count(3000), coloured=True)])
    return made / "data/model/checkpoint.ckpt"


def ways(model: str, rates: tuple[float, float], scale: Scale) -> list[Way]:
    """Return the ways to train: from scratch, the whole network, and the head alone."""
    common, file = {"model": model, "size": 224, "epochs": scale.rounds(2)}, {"pretrained": "other.ckpt"}
    full, head = ({"lr": rate} for rate in rates)
    return [
        Way("from scratch", {**common, **full, "augment": "light"}),
        Way("all of it, from other weights", {**common, **file, **full, "augment": "light"}),
        Way("the head alone", {**common, **file, **head, "augment": "none", "freeze": "backbone", "epochs": 30}),
    ]


def tune(network: str, folder: Path, scale: Scale) -> Rows:
    """Measure time and accuracy of three generations, for each way to train."""
    model, *rates = NETWORKS[network]
    weights = other_weights(folder, model, rates[0], scale)
    known = list(pictures().items())[: 4 if scale.quick else CLASSES]
    old, new = dict(known[:-ARRIVE]), dict(known[-ARRIVE:])
    share = 0.1 if scale.quick else 1.0
    for way in ways(model, (rates[0], rates[1]), scale):
        made = project(folder / way.name.replace(" ", "-"), way.params)
        shutil.copyfile(weights, made / "data/weights/other.ckpt")
        for what, files in (
            (f"{len(old)} classes", files_of(old, 0, share * (1 - LATER))),
            ("10 % more images", files_of(old, share * (1 - LATER), share)),
            ("two more classes", files_of(new, 0, share)),
        ):
            seconds, accuracy, support = grow(made, what.replace(" ", "-"), files)
            yield Row(
                f"{model}, {way.name}: {what} ({len(files):,})", f"{seconds:.0f} s, {accuracy:.1f} % of {support:,}"
            )


def features(folder: Path, scale: Scale) -> Rows:
    """Measure one per cent of new images: the whole network, and its head alone."""
    count, more = scale.count(60_000) * 98 // 100, scale.count(60_000) // 100
    made = new_project(folder / "project")
    set_params(made, {"ingest": {"mode": "grey"}, "train": {"epochs": 2}, "compute": {"accelerator": "cpu"}})
    yield Row(f"`small`, {count:,} images", str(grow(made, "first", fashion_files(0, count))))
    head = shutil.copytree(made, folder / "head", symlinks=True)
    set_params(head, {"train": {"freeze": "backbone", "augment": "none"}})
    for what, where in (("all of it", made), ("the head alone", head)):
        for number in (1, 2):
            first = count + (number - 1) * more
            grown = grow(where, f"more-{number}", fashion_files(first, first + more))
            of_all = ", and the features of all" if where == head and number == 1 else ""
            yield Row(f"{what}, {more:,} images more{of_all}", str(grown))


if __name__ == "__main__":
    ENV["PYTHONPATH"] = str(ROOT / ".venv/timm")
    main(__doc__, {**{name: partial(tune, name) for name in NETWORKS}, "features": features})
