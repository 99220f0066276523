"""Describing how new images differ from known ones, by a few familiar properties such as brightness."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pipeline.text import counted

Floats = npt.NDArray[np.float64]

# Most traits in a sentence. And by how much the share of pairs in which the new image has the higher value must differ
# from one half.
SAID, LEAST = 3, 0.1
OTHERWISE = "look different: turned, mirrored, cropped, or of other things"


class Trait(NamedTuple):
    """A measurable property of an image."""

    name: str
    less: str
    more: str
    digits: int = 0
    """Decimals in sentences."""


BRIGHTNESS = Trait("brightness", "darker", "brighter")
CONTRAST = Trait("contrast", "of less contrast", "of more contrast")
SHARPNESS = Trait("difference of neighbouring pixels", "less sharp", "sharper or noisier", 1)
COLOUR = Trait("colourfulness", "less colourful", "more colourful")
# The traits that are computed from the network's input.
OF_PIXELS = (BRIGHTNESS, CONTRAST, SHARPNESS, COLOUR)


def traits_of_pixels(images: npt.NDArray[np.uint8]) -> Floats:
    """Return the traits `OF_PIXELS` of images, shape (n, channels, height, width): shape (n, 4), in levels 0 to 255."""
    levels = images.astype(np.float64)
    grey = levels.mean(1)
    steps = [np.abs(np.diff(grey, axis=axis)).mean((1, 2)) for axis in (1, 2)]
    colour = levels.max(1) - levels.min(1)
    return np.stack([grey.mean((1, 2)), grey.std((1, 2)), (steps[0] + steps[1]) / 2, colour.mean((1, 2))], axis=1)


def difference(new: Floats, known: Floats, traits: Sequence[Trait], count: int) -> str:
    """Describe how the `count` new images differ from the known ones; `new` and `known` have shape (n, traits).

    The sentence names the `traits` that are often higher, or often lower, in a new image than in a known one.
    """
    least = max(LEAST, 3 * np.sqrt(1 / (6 * len(new))))
    found = []
    for place, trait in enumerate(traits):
        more = _share_of_more(new[:, place], known[:, place]) - 0.5
        if abs(more) >= least:
            means = (f"{values[:, place].mean():.{trait.digits}f}" for values in (new, known))
            said = f"{trait.more if more > 0 else trait.less} (mean {trait.name} {' against '.join(means)})"
            found.append((abs(more), said))
    found.sort(key=lambda one: -one[0])
    images = counted(count, "new image")
    if not found:
        return f"the {images} {OTHERWISE}"
    first, *others = [said for _, said in found[:SAID]]
    main, _, means_said = first.partition(" (")
    told = f"{main} than the known ones ({means_said}"
    return f"the {images} are {', '.join([told, *others])}"


def _share_of_more(new: Floats, known: Floats) -> float:
    """Return the share of all pairs in which the new image has the higher value; ties count half."""
    ordered = np.sort(known)
    below = np.searchsorted(ordered, new, "left") + np.searchsorted(ordered, new, "right")
    return float(below.mean() / (2 * len(known)))
