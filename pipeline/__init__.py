"""Treering: an image-training pipeline that grows with its data.

In Python, `load_model` and `predict` give the same predictions as `pipeline predict`; docs/serving.md has examples.
"""

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipeline.commands.serve.model import Model, Prediction, load_model, predict

__all__ = ["Model", "Prediction", "load_model", "predict"]

# Large pages: on CPUs, PyTorch frees and allocates memory in each batch, and with small pages this takes a quarter of
# the time. PyTorch reads the variable once, at its first allocation.
os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")


def __getattr__(name: str) -> object:
    """Import the names of `__all__` on first access, since this imports PyTorch, which takes seconds."""
    if name not in __all__:
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    from pipeline.commands.serve import model

    return getattr(model, name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
