"""README.md is short."""

from conftest import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_is_short() -> None:
    """README.md has at most 250 lines."""
    assert len(README.splitlines()) < 250
