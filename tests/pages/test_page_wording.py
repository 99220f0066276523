"""Names on pages."""

import pytest

from pipeline.pages.wording import visible


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("cat", "cat"),
        ("\u200b", "[U+200B]"),
        ("\u3164\u2800", "[U+3164][U+2800]"),
        ("👩\u200d🔬", "👩\u200d🔬"),
        ("קטגוריה", "קטגוריה"),
        ("a\u202egnp", "a[U+202E]gnp"),
        ("x" * 10_000, "x" * 200 + "…"),
    ],
)
def test_names_can_be_seen(name: str, shown: str) -> None:
    """No name looks empty or reverses the text after it; other names do not change."""
    assert visible(name) == shown
