"""What the names of `train.augment` stand for."""

from pipeline.augment_params import Augment

PRESETS = {
    "none": Augment(),
    # What fine-tuning usually does (Touvron et al., arXiv 1906.06423, with larger crops, since data is small at first).
    "light": Augment(flip=True, crop=[0.5, 1.0]),
    # torchvision's recipe of 2021 for training from scratch, with half as much mixing.
    "strong": Augment(flip=True, crop=[0.25, 1.0], policy="trivial", erase=0.1, mixup=0.2, cutmix=1.0),
}


def settings_of(augment: Augment | str) -> Augment:
    """What the param `train.augment` asks for."""
    return PRESETS[augment] if isinstance(augment, str) else augment
