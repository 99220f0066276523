"""Matches the names of images against globs; fast even with thousands of globs."""

import re
from collections.abc import Iterable
from fnmatch import translate
from itertools import product

SPECIAL = re.compile(r"[*?[]")
# A bracket expression that lists plain characters.
BRACKET = re.compile(r"\[([^]!^\[\\-][^]\[\\-]*)\]")
MAX_NAMES = 100


def is_glob(text: str) -> bool:
    """Whether `text` contains a special character of globs."""
    return SPECIAL.search(text) is not None


class Globs:
    """Globs, each with a number."""

    def __init__(self, patterns: Iterable[tuple[str, int]]) -> None:
        # Patterns by the names that they match, or by their literal prefix, so that few are tried on each name.
        self._names: dict[str, list[int]] = {}
        self._begin: dict[str, list[tuple[re.Pattern[str], int]]] = {}
        for pattern, number in patterns:
            names = _names(pattern)
            for name in names:
                self._names.setdefault(name, []).append(number)
            if not names:
                begin = SPECIAL.split(pattern, maxsplit=1)[0]
                self._begin.setdefault(begin, []).append((re.compile(translate(pattern)), number))
        self._lengths = sorted({len(begin) for begin in self._begin})

    def matching(self, name: str) -> list[int]:
        """Return the numbers of all patterns that match `name`, sorted."""
        found = self._names.get(name, ())
        begins = [name[:length] for length in self._lengths if length <= len(name)]
        tried = (one for begin in begins for one in self._begin.get(begin, ()))
        return sorted([*found, *(number for expression, number in tried if expression.match(name))])


def _names(pattern: str) -> list[str]:
    """Return all names that `pattern` matches, if it has only brackets and at most `MAX_NAMES` names; else nothing."""
    parts = BRACKET.split(pattern)
    if any(is_glob(part) for part in parts[::2]):
        return []
    choices = [sorted(set(part)) if number % 2 else [part] for number, part in enumerate(parts)]
    count = 1
    for choice in choices:
        count *= len(choice)
    return ["".join(one) for one in product(*choices)] if count <= MAX_NAMES else []
