"""A project's own code, in the working directory."""

import sys
from pathlib import Path

import pytest

from pipeline.models.imported import function_of

# A valid network that trains quickly.
NET = """
from torch import nn


def build(*, channels: int, classes: int, size: int) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(channels * size**2, 4), nn.ReLU(), nn.Linear(4, classes))
"""


def write_package(monkeypatch: pytest.MonkeyPatch, **modules: str) -> None:
    """Write the package `mine` with these `modules` into the working directory; forget imported modules of it."""
    for name, text in modules.items():
        path = Path("mine", f"{name}.py")
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    for name in [name for name in sys.modules if name.split(".")[0] == "mine"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.syspath_prepend(str(Path.cwd()))
    function_of.cache_clear()
