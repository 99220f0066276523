"""All random changes to a batch of training images except mixing, in the order of their application."""

from torch import Tensor

from pipeline.augment_params import Augment
from pipeline.models.framing import middle
from pipeline.training.augmentation.dice import Dice
from pipeline.training.augmentation.shifting import mirror, shift


def augment(images: Tensor, params: Augment, dice: Dice, size: int | None = None) -> Tensor:
    """Augment `images` (n, channels, height, width), uint8, by `params`, on their device.

    The result has at most `size` × `size` pixels: a random crop of the whole image, or its center crop.
    """
    size = size or max(images.shape[2:])
    if not len(images):
        return middle(images, size)
    images = mirror(shift(images, params.shift, dice) if params.shift else images, params, dice)
    return _on_floats(images, params, dice, size) if _needs_floats(params) else middle(images, size)


def _needs_floats(params: Augment) -> bool:
    """Whether `params` request a change that needs floating-point values rather than moving whole pixels."""
    whole = Augment(shift=params.shift, flip=params.flip, flip_vertical=params.flip_vertical)
    mixing = {"mixup": params.mixup, "cutmix": params.cutmix, "crop_ratio": params.crop_ratio}
    return params != whole.model_copy(update=mixing)


def _on_floats(images: Tensor, params: Augment, dice: Dice, size: int) -> Tensor:
    # Imported here, since importing kornia takes 0.2 s, and most projects with small images do not need it.
    from pipeline.training.augmentation import colour, geometry, policies

    operations = policies.draw(params.policy, dice) if params.policy != "none" else []
    moves = params.crop or params.rotate or operations
    values = (images if moves else middle(images, size)).float() / 255
    if moves:
        motion = geometry.drawn(images.shape, params, dice, size)
        motion = policies.move(motion, operations, (images.shape[2], images.shape[3]))
        values = geometry.moved(values, motion, size, finer=geometry.fineness(images.shape, size) if params.crop else 1)
    values = colour.jittered(policies.change_values(values, operations), params, dice)
    if params.blur:
        values = colour.blurred(values, params.blur, dice)
    if params.erase:
        values = colour.erased(values, params.erase, dice)
    return (values * 255).round().clamp(0, 255).to(images.dtype)
