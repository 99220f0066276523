"""Checks for optional packages, which only some commands need."""

from collections.abc import Sequence
from importlib import import_module

from pipeline.errors import TreeringError


def need(packages: Sequence[str], modules: Sequence[str], command: str, error: type[TreeringError]) -> None:
    """Check that the `modules` of `packages`, which `command` needs, can be imported.

    Raises:
        TreeringError: a module is not installed; the exception's class is `error`.
    """
    for name in modules:
        try:
            import_module(name)
        except ModuleNotFoundError:
            hint = f"run `pip install {' '.join(packages)}`"
            raise error(command, f"the package {name} is not installed", hint) from None
