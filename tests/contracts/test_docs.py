"""Files, modules and links in the documentation exist."""

import re
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT
from ruamel.yaml import YAML

PAGES = [*sorted((ROOT / "docs").rglob("*.md")), *sorted(ROOT.glob("*.md")), ROOT / "Makefile", ROOT / "pyproject.toml"]


def prose(page: Path) -> str:
    """Return the text of `page` without code blocks, which may create their own files."""
    text = page.read_text(encoding="utf-8")
    return re.sub(
        r"^    .*$", "", re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL), flags=re.MULTILINE
    )


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_named_modules_are_there(page: Path) -> None:
    """A module that a page names exists in the repository, by its path or by its name only."""
    there = {
        str(path.relative_to(ROOT)).removesuffix(".jinja")  # A template of a module.
        for name in ("pipeline", "tests", "benchmarks", "docs", "data")
        for ending in ("py", "py.jinja")
        for path in (ROOT / name).rglob(f"*.{ending}")
    }
    named = re.findall(r"(?<![\w/.])[a-z_/]*[a-z_]\.py\b", prose(page))
    assert [name for name in named if not any(path == name or path.endswith(f"/{name}") for path in there)] == []


def anchors(page: Path) -> set[str]:
    """Return the anchors of the headings of `page`, by GitHub's rules."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ (.*)$", re.sub(r"\[(.*?)\]\(.*?\)", r"\1", text), flags=re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    """Links to files of the repository, and to headings, are valid."""
    links = re.findall(
        r"(?:\]\(|src=\")(?![a-z]+:)([^)#\s\"]*)(?:#([^)\s\"]+))?[)\"]", page.read_text(encoding="utf-8")
    )
    for link, anchor in links:
        target = page.parent / link if link else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), f"{link}#{anchor}"


def test_pages_are_in_the_site() -> None:
    """The site's navigation contains each page of docs/ exactly once, and no other."""
    places = [nav_places(entry) for entry in YAML(typ="safe").load(ROOT / "mkdocs.yml")["nav"]]
    named = [place for group in places for place in group]
    pages = {str(page.relative_to(ROOT / "docs")) for page in (ROOT / "docs").rglob("*.md")}
    assert len(named) == len(set(named))
    assert {name for name in named if name != "index.md" and not (ROOT / name).exists()} == pages


def nav_places(entry: Any) -> list[str]:
    """Yield the pages of an entry of the site's navigation."""
    if isinstance(entry, str):
        return [entry]
    entries = entry.values() if isinstance(entry, dict) else entry
    return [place for one in entries for place in nav_places(one)]
