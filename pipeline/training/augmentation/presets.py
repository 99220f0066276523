"""The presets of `train.augment`."""

from pipeline.augment_params import Augment
from pipeline.param_types import is_own

PRESETS = {
    "none": Augment(),
    # Common for fine-tuning (Touvron et al., arXiv 1906.06423), but with larger crops, since data sets start small.
    "light": Augment(flip=True, crop=[0.5, 1.0]),
    # torchvision's 2021 recipe for training from scratch, with half as much mixing.
    "strong": Augment(flip=True, crop=[0.25, 1.0], policy="trivial", erase=0.1, mixup=0.2, cutmix=1.0),
}


def settings_of(augment: Augment | str) -> Augment:
    """Return the settings of the param `train.augment`; none if it names a function of the project's own code."""
    if isinstance(augment, Augment):
        return augment
    return PRESETS["none" if is_own(augment) else augment]
