"""docs/cli.md and docs/python.md say what is so."""

import pytest
from conftest import ROOT

from docs import reference


@pytest.mark.parametrize("page", reference.MAKERS)
def test_page_is_made_of_the_code(page: str) -> None:
    """Commands, options, names and their sentences are those of the code."""
    assert (ROOT / "docs" / page).read_text(encoding="utf-8") == reference.text_of(page), "run `make docs`"


def test_hidden_options_are_not_listed() -> None:
    """What only Git's hooks pass is no option for people."""
    assert "SUPPRESS" not in reference.text_of("cli.md")
