"""What the site has beside the pages of docs/: README.md and its like. MkDocs calls this; mkdocs.yml says so."""

import posixpath
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parent.parent
# Pages above docs/, and what they are called in the site.
ABOVE = {"README.md": "index.md", **{name: name for name in ("CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md")}}
LINK = re.compile(r"(\]\(|\bsrc=\")(?!\w+:|#)([^)#\s\"]+)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages above docs/, and files there that pages link to."""
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
    """Let links lead to where the site has what the repository has elsewhere."""
    folder = posixpath.dirname(page.file.src_uri)

    def moved(match: re.Match[str]) -> str:
        return match[1] + posixpath.relpath(_uri(_path(page.file.src_uri, match[2])), folder or ".")

    return LINK.sub(moved, markdown)


def _path(page: str, link: str) -> str:
    """Where in the repository `link` leads, on the page that the site has at `page`."""
    above = page in ABOVE.values()
    return posixpath.normpath(posixpath.join("" if above else "docs", posixpath.dirname(page), link))


def _uri(path: str) -> str:
    """Where the site has the file `path` of the repository."""
    return ABOVE.get(path, path.removeprefix("docs/").lstrip("."))  # MkDocs leaves out what begins with a dot.
