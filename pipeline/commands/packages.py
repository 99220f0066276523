"""Packages that only some commands need, which extras bring."""

from collections.abc import Sequence
from importlib import import_module

from pipeline.errors import TreeringError


def need(packages: Sequence[str], modules: Sequence[str], command: str, error: type[TreeringError]) -> None:
    """See that the `modules` of the `packages` are installed, which `command` needs.

    Raises:
        TreeringError: one is not; of the kind `error`.
    """
    for name in modules:
        try:
            import_module(name)
        except ModuleNotFoundError:
            hint = f"run `pip install {' '.join(packages)}`"
            raise error(command, f"the package {name} is not installed", hint) from None
