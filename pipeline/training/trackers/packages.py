"""Check which trackers are installed; the name of a tracker is also that of its extra and its package."""

from collections.abc import Iterable, Sequence
from importlib.util import find_spec

from pipeline import paths
from pipeline.errors import ParamError


def missing(trackers: Iterable[str]) -> list[str]:
    """Return those of `trackers` that are not installed; nothing is imported."""
    found = ((name, find_spec(name)) for name in trackers)
    # A folder of the project with such a name, which W&B creates, has no origin.
    return [name for name, spec in found if spec is None or spec.origin is None]


def absence(names: Sequence[str]) -> str:
    """Return the message that the trackers `names` are not installed, and how to install them."""
    return f"train.loggers needs {' and '.join(names)}; run `make setup EXTRAS={','.join(names)}`, or remove it there"


def check_installed(trackers: Iterable[str]) -> None:
    """Check that all `trackers` are installed.

    Raises:
        ParamError: a tracker is not installed.
    """
    if names := missing(trackers):
        what, _, hint = absence(names).partition("; ")
        raise ParamError(paths.PARAMS, what, hint)
