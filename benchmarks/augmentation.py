"""Cost and benefit of augmentation: `python benchmarks/augmentation.py [NAME…]`.

Names:
- cost: the time of each change relative to a training step; both are measured in turns;
- against: the same changes by torchvision's transforms, image by image, in the same run;
- brings: the accuracy on emoji with presets, and with crops from larger images;
- downscaling: the difference between crops from larger images and Pillow's resizing, which filters.
"""

import os
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch
from accuracy import accuracy, params_of, train_next
from PIL import Image, ImageOps
from reporting import Benchmark, Row, Rows, Scale, main, spread
from scratch import ROOT
from sklearn.datasets import load_sample_images
from study_data import emoji

from pipeline.augment_params import Augment
from pipeline.models.checkpoint import read_network
from pipeline.models.network import Spec, build
from pipeline.training.augmentation.augment import augment
from pipeline.training.augmentation.dice import Dice
from pipeline.training.augmentation.geometry import Motion, fineness, moved
from pipeline.training.augmentation.mixing import mix
from pipeline.training.augmentation.presets import PRESETS

BATCH = 64
# Epochs of `brings`.
EPOCHS = 12
CHANGES = {
    "shift": Augment(shift=0.04),
    "crop, mirror (`light`)": PRESETS["light"],
    "rotate": Augment(rotate=15),
    "brightness, contrast, saturation": Augment(brightness=0.4, contrast=0.4, saturation=0.4),
    "hue": Augment(hue=0.1),
    "blur": Augment(blur=0.5),
    "erase": Augment(erase=0.1),
    "policy: trivial": Augment(policy="trivial"),
    "policy: rand": Augment(policy="rand"),
    "mixup and cutmix": Augment(mixup=0.2, cutmix=1.0),
    "`strong`": PRESETS["strong"],
}


def changed(images: torch.Tensor, params: Augment, turn: int) -> torch.Tensor:
    """Return `images` as training augments them in that turn."""
    keys = np.arange(len(images), dtype=np.uint64)
    dice = Dice(keys, 0, np.full(len(images), turn, np.uint64), images.device)
    return mix(augment(images, params, dice), params, dice)[0]


def seconds(work: Callable[[], object], repeat: int) -> float:
    """Return the mean CPU time of `repeat` runs; CPU time, since other processes may share the machine."""
    work()
    started = time.process_time()
    for _ in range(repeat):
        work()
    return (time.process_time() - started) / repeat


def stepper(model: str, size: int) -> Callable[[], object]:
    """Return a training step of a network on a batch."""
    network = build(Spec(model=model, size=size, mode="rgb", classes=tuple("abcdefghij")))
    network = network.to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3)
    images, targets = noise(size), torch.arange(BATCH) % 10

    def step() -> None:
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(network(images), targets).backward()  # type: ignore[no-untyped-call]
        optimizer.step()

    return step


def noise(size: int) -> torch.Tensor:
    """Return a batch of random images."""
    return torch.randint(0, 256, (BATCH, 3, size, size), dtype=torch.uint8)


def cost(_: Path, scale: Scale) -> Rows:
    """Measure each change relative to a training step of a network for such images."""
    for model, size, repeat in (("small", 32, 20), ("timm/resnet18", 224, 2)):
        sys.path.append(str(ROOT / ".venv/timm"))
        images, step = noise(size), stepper(model, size)
        ratios: dict[str, list[float]] = {name: [] for name in CHANGES}
        for turn in range(scale.rounds(5)):
            of_step = seconds(step, repeat)
            for name, params in CHANGES.items():
                ratios[name].append(seconds(partial(changed, images, params, turn), repeat) / of_step)
        for name, shares in ratios.items():
            yield Row(f"{name}, {size} × {size}, in steps of {model}", spread((100 * one for one in shares), "%", 1))


def against(_: Path, scale: Scale) -> Rows:
    """Measure crop, mirror and colour of a batch against torchvision, which augments one image at a time."""
    sys.path.append(str(ROOT / ".venv/timm"))
    from torchvision.transforms import v2

    jitter = {"brightness": 0.4, "contrast": 0.4, "saturation": 0.4}
    ours = Augment(crop=[0.5, 1.0], flip=True, **jitter)  # type: ignore[arg-type]
    for size in (32, 224):
        images = noise(size)
        steps = [v2.RandomResizedCrop(size, (0.5, 1.0)), v2.RandomHorizontalFlip(), v2.ColorJitter(**jitter)]
        theirs = v2.Compose(steps)
        one_by_one = partial(lambda do, batch: [do(image) for image in batch], theirs, images)
        at_once = partial(changed, images, ours, 0)
        ratios = [seconds(one_by_one, 2) / seconds(at_once, 2) for _ in range(scale.rounds(5))]
        yield Row(f"crop, mirror, colour of {BATCH} images of {size} × {size}, torchvision's time", spread(ratios, "×"))


def brings(folder: Path, scale: Scale) -> Rows:
    """Measure accuracy on 600 emoji after a cold start on the others: presets, and images decoded above 32 pixels."""
    seen, seeds = 32, range(scale.rounds(2))
    data = {source: emoji(source, Image.Resampling.BILINEAR) for source in (seen, 40, 64)}
    for preset in PRESETS:
        for source, images in data.items():
            if preset == "none" and source != seen:
                continue  # Without crops, the network would never get the rest of the image.
            reached = []
            for seed in seeds:
                changes = {"size": seen, "crop_pct": seen / source, "augment": preset, "epochs": scale.rounds(EPOCHS)}
                params = params_of(images.train.images.pixels.shape, seed, changes)
                os.chdir(folder)
                known = images.until(200 if scale.quick else images.last)
                network, spec = read_network(train_next(known, params, None))
                assert spec.source == source
                reached.append(accuracy(network, spec.classes, images.test))
            yield Row(f"{preset}, of {source} × {source}", spread(reached, "%", 1))


def downscaling(_: Path, scale: Scale) -> Rows:
    """Measure the mean difference to Pillow's resizing of a whole photograph to 224 pixels, in levels of 0 to 255."""
    size = 224 if not scale.quick else 32
    for share in (0.95, 0.875, 2 / 3, 0.5, 0.25):
        source, apart = round(size / share), []
        for photograph in load_sample_images().images:
            larger = ImageOps.fit(Image.fromarray(photograph), (source, source), Image.Resampling.BILINEAR)
            wanted, images = (_planes(one) for one in (larger.resize((size, size), Image.Resampling.BILINEAR), larger))
            still = torch.full((1, 2), (source - 1) / 2)
            motion = Motion(still, torch.full((1, 2), size / source), torch.zeros(1), torch.zeros(1, 2))
            shown = moved(images, motion, size, finer=fineness(images.shape, size))
            apart.append(float((shown - wanted).abs().mean()))
        yield Row(f"crop_pct {share:.3g}: {source} to {size} pixels", spread(apart, "levels"))


def _planes(picture: Image.Image) -> torch.Tensor:
    return torch.from_numpy(np.asarray(picture).transpose(2, 0, 1)[None].astype(np.float32))


BENCHMARKS: dict[str, Benchmark] = {"cost": cost, "against": against, "brings": brings, "downscaling": downscaling}

if __name__ == "__main__":
    torch.set_num_threads(1)
    main(__doc__, BENCHMARKS)
