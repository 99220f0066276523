"""docs/cli.md and docs/python.md are up to date."""

import pytest
from conftest import ROOT

from docs import reference


@pytest.mark.parametrize("page", reference.MAKERS)
def test_page_is_made_of_the_code(page: str) -> None:
    """Commands, options, names and descriptions equal those of the code."""
    assert (ROOT / "docs" / page).read_text(encoding="utf-8") == reference.text_of(page), "run `make docs`"


def test_hidden_options_are_not_listed() -> None:
    """Options that only Git's hooks pass are not listed."""
    assert "SUPPRESS" not in reference.text_of("cli.md")
