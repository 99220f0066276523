"""Treering: an image-training pipeline that grows with its data.

In Python, `load_model` and `predict` say of images what `pipeline predict` says; docs/serving.md shows how.
"""

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipeline.commands.serve.model import Model, Prediction, load_model, predict

__all__ = ["Model", "Prediction", "load_model", "predict"]

# PyTorch gives memory back and asks for it again with each batch; in small pages that takes a quarter of the time on
# CPUs. It reads this once, when it first needs memory.
os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")


def __getattr__(name: str) -> object:
    """What `__all__` names, once it is asked for: it imports PyTorch, which takes seconds."""
    if name not in __all__:
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    from pipeline.commands.serve import model

    return getattr(model, name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
