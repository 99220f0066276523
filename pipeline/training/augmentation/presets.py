"""What the names of `train.augment` stand for."""

from pipeline.augment_params import Augment
from pipeline.param_types import is_own

PRESETS = {
    "none": Augment(),
    # What fine-tuning usually does (Touvron et al., arXiv 1906.06423, with larger crops, since data is small at first).
    "light": Augment(flip=True, crop=[0.5, 1.0]),
    # torchvision's recipe of 2021 for training from scratch, with half as much mixing.
    "strong": Augment(flip=True, crop=[0.25, 1.0], policy="trivial", erase=0.1, mixup=0.2, cutmix=1.0),
}


def settings_of(augment: Augment | str) -> Augment:
    """What the param `train.augment` asks for; nothing besides where a function of the project's own does it."""
    if isinstance(augment, Augment):
        return augment
    return PRESETS["none" if is_own(augment) else augment]
