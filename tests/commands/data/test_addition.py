"""Images cannot be added if the columns that determine their split would be lost."""

from typing import Any

import pytest
from splits.test_groups import asked

from pipeline.commands.data.addition import check_split
from pipeline.errors import ImagesError


@pytest.mark.parametrize("split", [{}, {"group": "labels"}, {"by": "column"}])
def test_nothing_is_lost(split: dict[str, Any]) -> None:
    """The archive can store everything that labels.csv states."""
    check_split(asked(**{"group": None, **split}))


@pytest.mark.parametrize("split", [{"group": "folder"}, {"group": "re:p"}, {"by": "folder"}, {"by": "time"}])
def test_names_would_be_lost(split: dict[str, Any]) -> None:
    """Losing a needed name is an error that names the param and a remedy."""
    (name, value) = next(iter(split.items()))
    with pytest.raises(ImagesError, match=f"manifest.split.{name} is {value}, and .*; copy the folders"):
        check_split(asked(**{"group": None, **split}))
