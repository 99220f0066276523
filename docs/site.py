"""Adds README.md and other pages above docs/ to the site. A hook that mkdocs.yml names."""

import posixpath
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parent.parent
# Pages above docs/, and their names in the site.
ABOVE = {"README.md": "index.md", **{name: name for name in ("CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md")}}
LINK = re.compile(r"(\]\(|\bsrc=\")(?!\w+:|#)([^)#\s\"]+)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages above docs/, and other files above docs/ that pages link to."""
    for name, page in ABOVE.items():
        files.append(File.generated(config, page, content=(ROOT / name).read_text(encoding="utf-8")))
    for file in files.documentation_pages():
        for _, link in LINK.findall(file.content_string):
            path = _path(file.src_uri, link)
            if path.startswith("docs/") or files.get_file_from_path(_uri(path)) or not (ROOT / path).is_file():
                continue
            files.append(File.generated(config, _uri(path), abs_src_path=str(ROOT / path)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:  # noqa: ARG001
    """Rewrite links to files that the site has at another path than the repository."""
    folder = posixpath.dirname(page.file.src_uri)

    def moved(match: re.Match[str]) -> str:
        return match[1] + posixpath.relpath(_uri(_path(page.file.src_uri, match[2])), folder or ".")

    return LINK.sub(moved, markdown)


def _path(page: str, link: str) -> str:
    """Return the target in the repository of `link` on the site's page `page`."""
    above = page in ABOVE.values()
    return posixpath.normpath(posixpath.join("" if above else "docs", posixpath.dirname(page), link))


def _uri(path: str) -> str:
    """Return the site's path of the repository's file `path`."""
    return ABOVE.get(path, path.removeprefix("docs/").lstrip("."))  # MkDocs ignores names that begin with a dot.
