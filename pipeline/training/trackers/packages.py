"""Which trackers are installed; each is an extra of its name, and a package of its name."""

from collections.abc import Iterable, Sequence
from importlib.util import find_spec

from pipeline import paths
from pipeline.errors import ParamError


def missing(trackers: Iterable[str]) -> list[str]:
    """Those of `trackers` that are not installed; nothing is imported."""
    found = ((name, find_spec(name)) for name in trackers)
    # A folder of the project that is called so, as W&B makes one, has no origin.
    return [name for name, spec in found if spec is None or spec.origin is None]


def absence(names: Sequence[str]) -> str:
    """That the trackers `names` are not installed, and how they are."""
    return f"train.loggers needs {' and '.join(names)}; run `make setup EXTRAS={','.join(names)}`, or remove it there"


def check_installed(trackers: Iterable[str]) -> None:
    """See that all of `trackers` are installed.

    Raises:
        ParamError: one is not.
    """
    if names := missing(trackers):
        what, _, hint = absence(names).partition("; ")
        raise ParamError(paths.PARAMS, what, hint)
