"""Get and set the states of the random generators of Python, NumPy and torch as plain values."""

import random
from typing import Any

import numpy as np
import torch


def generator_states() -> dict[str, Any]:
    """Return the state of each global generator, in types that `torch.load` with `weights_only` accepts."""
    name, keys, *numbers = np.random.get_state(legacy=True)  # noqa: NPY002 (the generator that other packages use)
    return {
        "python": random.getstate(),
        "numpy": (str(name), torch.from_numpy(np.array(keys, np.int64)), *numbers),
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }


def set_generators(states: dict[str, Any]) -> None:
    """Set the global generators to `states`."""
    version, numbers, gauss = states["python"]
    random.setstate((version, tuple(numbers), gauss))
    name, keys, *rest = states["numpy"]
    np.random.set_state((name, keys.numpy().astype(np.uint32), *rest))  # noqa: NPY002
    torch.set_rng_state(states["torch"])
    if len(states["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all(states["cuda"])
