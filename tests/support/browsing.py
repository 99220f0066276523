"""Open pages in a real browser, Debian's Chromium (`apt-get install chromium`), with Playwright and axe-core."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from conftest import ROOT
from playwright.sync_api import Browser, Page, sync_playwright

CHROMIUM = shutil.which("chromium")
NEEDS_CHROMIUM = pytest.mark.skipif(
    CHROMIUM is None, reason="there is no chromium; `apt-get install chromium` brings it"
)
PHONE, DESKTOP = 390, 1440
# WCAG 2.2, levels A and AA, and the best practices of axe-core.
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
# Environment variable: the folder for screenshots; default: the tests' temporary folder.
SCREENSHOTS = "SCREENSHOTS"


@contextmanager
def launched() -> Iterator[Browser]:
    """Start a browser."""
    with sync_playwright() as playwright:
        # Chromium's sandbox does not work for root, the user in containers.
        sandboxed = os.geteuid() != 0
        browser = playwright.chromium.launch(executable_path=CHROMIUM, chromium_sandbox=sandboxed)
        yield browser
        browser.close()


def violations(page: Page) -> list[str]:
    """Return axe-core's violations on `page`: the rule, the number of elements, and the first element."""
    found = Axe().run(page, options={"runOnly": RULES, "resultTypes": ["violations"]}).response["violations"]
    return [f"{one['id']} × {len(one['nodes'])}: {one['nodes'][0]['html']}" for one in found]


def shoot(page: Page, folder: Path, name: str) -> None:
    """Save a full-page screenshot of `page` in `folder`, or in the folder that SCREENSHOTS names."""
    folder = ROOT / os.environ.get(SCREENSHOTS, folder)
    folder.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=folder / f"{name}.png", full_page=True)
