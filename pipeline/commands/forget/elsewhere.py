"""Unfinished work that is stored on remotes for other machines to continue; it contains images or has seen them."""

from collections.abc import Iterator
from contextlib import contextmanager

from pipeline.commands.forget.stores import GONE
from pipeline.errors import MissingDataError, one_line
from pipeline.handover.remote_folder import OFF, PLACE, REMOTE, RemoteFolder, open_folder
from pipeline.ingestion.additions.shared_chunks import INGESTS
from pipeline.params import read_params
from pipeline.training.handover import TRAININGS
from pipeline.versioning.repository import repository


def kept_elsewhere() -> list[RemoteFolder]:
    """Return the existing folders of unfinished work, on every configured remote and at `compute.progress`.

    Raises:
        MissingDataError: a remote does not respond.
    """
    chosen = read_params().compute.progress
    places = [f"remote://{name}/{PLACE}" for name in sorted(repository().config["remote"])]
    places += {chosen} - {OFF, REMOTE}
    folders = [open_folder(where, kind) for where in places for kind in (INGESTS, TRAININGS)]
    found = []
    for folder in folders:
        with _answering(folder):
            if folder.exists():
                found.append(folder)
    return found


def remove(folder: RemoteFolder) -> None:
    """Delete `folder`, if it exists.

    Raises:
        MissingDataError: `folder` cannot be deleted.
    """
    with _answering(folder):
        folder.remove()


@contextmanager
def _answering(folder: RemoteFolder) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        raise MissingDataError(folder, one_line(error), GONE) from error
