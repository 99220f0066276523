"""docs/ builds as a site without warnings, and loads nothing from other hosts."""

import re
import sys
from pathlib import Path

from conftest import ROOT
from support.publishing import run


def test_site(tmp_path: Path) -> None:
    """Links and headings are valid, README.md is the first page, and pages need no network."""
    run(sys.executable, "-m", "mkdocs", "build", "--quiet", "--strict", "--site-dir", str(tmp_path / "site"))
    pages = {str(page.relative_to(tmp_path / "site")): page.read_text() for page in (tmp_path / "site").rglob("*.html")}
    assert {str(page.relative_to(ROOT / "docs").with_suffix(".html")) for page in (ROOT / "docs").rglob("*.md")} < {
        *pages
    }
    assert '<h1 id="treering">' in pages["index.html"]
    for name, page in pages.items():
        loaded = re.findall(r"<(?:script|img|iframe)[^>]* src=\"([^\"]+)|<link[^>]* href=\"([^\"]+)", page)
        assert not [place for found in loaded for place in found if re.match("https?:|//", place)], name
