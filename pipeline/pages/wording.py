"""Figures and names as pages write them."""

import unicodedata
from collections.abc import Callable
from typing import Any

from pipeline import text

NOTHING = "–"
# Letters of a name.
LONGEST = 200
# Letters and symbols that show nothing: Hangul fillers, and the Braille pattern without dots.
BLANK = frozenset("\u115f\u1160\u2800\u3164\uffa0")
# Embeddings, overrides and isolates.
TURNING = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def percent(share: float | None) -> str:
    """A share of one in percent."""
    return NOTHING if share is None else text.percent(share).replace(" ", "\N{NO-BREAK SPACE}")


def count(value: int) -> str:
    """A whole number."""
    return f"{value:,}"


def visible(name: str, longest: int = LONGEST) -> str:
    """`name`; as code points what controls, or turns letters after it round, and all of it where it would look empty.

    The end of a very long one is left out.
    """
    seen = any(unicodedata.category(char)[0] not in "CZM" and char not in BLANK for char in name)
    name = name if len(name) <= longest else f"{name[:longest]}…"
    hidden = {char for char in name if not seen or char in TURNING or unicodedata.category(char) == "Cc"}
    return "".join(f"[U+{ord(char):04X}]" if char in hidden else char for char in name)


FILTERS: dict[str, Callable[..., Any]] = {"percent": percent, "count": count, "visible": visible}
