"""Resolve the images that users name by file, id, source or glob, including names from an interrupted run."""

from collections.abc import Iterable
from pathlib import Path

from pipeline import paths
from pipeline.commands.data.removal import DIGITS, HEX, match
from pipeline.commands.data.workbench import noted_names
from pipeline.commands.history.naming import beginning
from pipeline.commands.holdings import Holdings
from pipeline.errors import ImagesError
from pipeline.files import md5_of_file
from pipeline.lineage.history import every_model

# The ids that the given names stood for; deleted when everything is done.
NOTE = paths.PROGRESS / "forget.json"


def ids_of(names: Iterable[str], held: Holdings) -> dict[str, list[str]]:
    """Return the ids of the images that each of `names` stands for; `held` are the places in data/raw.

    Raises:
        ImagesError: a name stands for no known image, or for one that cannot be read.
    """
    noted = noted_names(NOTE)
    return {name: noted.get(name) or sorted(_find(name, held)) for name in names}


def _find(name: str, held: Holdings) -> set[str]:
    if len(name) == DIGITS and set(name) <= HEX:
        return {name}
    if (file := Path(name)).is_file():
        return {md5_of_file(file)}
    try:
        chosen = held.at(match([name], held)[name])
    except ImagesError as error:
        return {_of_the_past(name, error)}
    unread = [one.name for one in chosen if one.id is None]
    if unread:
        raise ImagesError(unread[0], "cannot be read, so its id is unknown", "take it out with `pipeline remove`")
    return {one.id for one in chosen if one.id is not None}


def _of_the_past(name: str, unknown: ImagesError) -> str:
    """Return the id of an image that was removed from data/raw, by its source."""
    try:
        found = beginning(name, Holdings.none(), every_model())
    except ImagesError:
        raise unknown from None
    if len(found) != DIGITS:
        raise ImagesError(name, "begins no id of an image in data/raw", "give all digits of the id")
    return found
