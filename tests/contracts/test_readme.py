"""README.md says what is so."""

from conftest import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_is_short() -> None:
    """It can be read in one sitting."""
    assert len(README.splitlines()) < 250
