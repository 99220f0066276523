"""The formats of numbers and names in pages."""

import unicodedata
from collections.abc import Callable
from typing import Any

from pipeline import text

NOTHING = "–"
# Most characters of a name.
LONGEST = 200
# Invisible letters and symbols: Hangul fillers, and the Braille pattern without dots.
BLANK = frozenset("\u115f\u1160\u2800\u3164\uffa0")
# Bidirectional embeddings, overrides and isolates.
TURNING = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def percent(share: float | None) -> str:
    """Format a share of one in percent."""
    return NOTHING if share is None else text.percent(share).replace(" ", "\N{NO-BREAK SPACE}")


def count(value: int) -> str:
    """Format a whole number."""
    return f"{value:,}"


def visible(name: str, longest: int = LONGEST) -> str:
    """Return `name` with control characters and bidirectional formatting written as code points.

    A name that would look empty is written as code points completely. A name of more than `longest` characters is cut.
    """
    seen = any(unicodedata.category(char)[0] not in "CZM" and char not in BLANK for char in name)
    name = name if len(name) <= longest else f"{name[:longest]}…"
    hidden = {char for char in name if not seen or char in TURNING or unicodedata.category(char) == "Cc"}
    return "".join(f"[U+{ord(char):04X}]" if char in hidden else char for char in name)


FILTERS: dict[str, Callable[..., Any]] = {"percent": percent, "count": count, "visible": visible}
