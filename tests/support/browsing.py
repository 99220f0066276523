"""Pages in a real browser, Debian's Chromium (`apt-get install chromium`), through Playwright; judged by axe-core."""

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
# What WCAG 2.2 asks at its levels A and AA, and what axe-core advises besides.
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
# Where pictures of pages go, to be looked at: SCREENSHOTS, or the tests' temporary folder.
SCREENSHOTS = "SCREENSHOTS"


@contextmanager
def launched() -> Iterator[Browser]:
    """A browser."""
    with sync_playwright() as playwright:
        # Chromium's own sandbox refuses to work for root, as whom containers run.
        sandboxed = os.geteuid() != 0
        browser = playwright.chromium.launch(executable_path=CHROMIUM, chromium_sandbox=sandboxed)
        yield browser
        browser.close()


def violations(page: Page) -> list[str]:
    """What axe-core finds wrong with `page` as it is now: the rule, how often, and the first place."""
    found = Axe().run(page, options={"runOnly": RULES, "resultTypes": ["violations"]}).response["violations"]
    return [f"{one['id']} × {len(one['nodes'])}: {one['nodes'][0]['html']}" for one in found]


def shoot(page: Page, folder: Path, name: str) -> None:
    """Keep a picture of all of `page`; in `folder`, unless SCREENSHOTS names another one."""
    folder = ROOT / os.environ.get(SCREENSHOTS, folder)
    folder.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=folder / f"{name}.png", full_page=True)
