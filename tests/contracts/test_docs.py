"""What the documentation names is there."""

import re
from pathlib import Path

import pytest
from conftest import ROOT

PAGES = [*sorted((ROOT / "docs").glob("*.md")), *sorted(ROOT.glob("*.md")), ROOT / "Makefile", ROOT / "pyproject.toml"]


def prose(page: Path) -> str:
    """The text of `page` without its blocks of code, which may make files of their own."""
    text = page.read_text(encoding="utf-8")
    return re.sub(
        r"^    .*$", "", re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL), flags=re.MULTILINE
    )


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_named_modules_are_there(page: Path) -> None:
    """A module that a page names is in the repository, by its path or its name alone."""
    there = {
        str(path.relative_to(ROOT)).removesuffix(".jinja")  # Of which a module is made.
        for name in ("pipeline", "tests", "benchmarks", "docs", "data")
        for ending in ("py", "py.jinja")
        for path in (ROOT / name).rglob(f"*.{ending}")
    }
    named = re.findall(r"(?<![\w/.])[a-z_/]*[a-z_]\.py\b", prose(page))
    assert [name for name in named if not any(path == name or path.endswith(f"/{name}") for path in there)] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    """A link to a file of the repository leads to one."""
    linked = re.findall(r"\]\((?!https?:|#|mailto:)([^)#\s]+)", page.read_text(encoding="utf-8"))
    assert [link for link in linked if not (page.parent / link).exists()] == []
