"""The page of `pipeline serve` in a real browser: choose or drop an image, and see its class."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect
from support.browsing import NEEDS_CHROMIUM, launched, shoot, violations
from support.drawn import save_drawn, set_params
from support.kinds import noise
from support.serving import Served

from pipeline import paths

pytestmark = [pytest.mark.slow, NEEDS_CHROMIUM]
ODD = ("<b>cat</b>", "دجاجة", "long " * 40)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Start a server of a model with unusual class names."""
    folder = tmp_path_factory.mktemp("project")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        set_params()
        paths.PIPELINE.write_text("stages: {}\n")
        save_drawn(paths.MODEL, classes=ODD)
        noise(0).save("a&b.png")
        noise(1).save("second.png")
        Path("notes.txt").write_text("no image")
        with Served(folder, "--limit", "1") as server:
            yield server


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Start one browser for all tests."""
    with launched() as one:
        yield one


def visit(browser: Browser, served: Served, width: int, scheme: str, complaints: list[str]) -> Page:
    """Open the page; errors, and requests to other hosts, are added to `complaints`."""
    dark = scheme == "dark"
    context = browser.new_context(
        viewport={"width": width, "height": 900}, color_scheme="dark" if dark else "light", has_touch=width < 500
    )
    page = context.new_page()
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    own = (f"{served.url}/", "data:", "blob:")
    page.on("request", lambda request: None if request.url.startswith(own) else complaints.append(request.url))
    page.goto(served.url)
    return page


@pytest.mark.parametrize(("width", "scheme"), [(390, "light"), (390, "dark"), (1440, "light"), (1440, "dark")])
def test_images_are_classified(browser: Browser, served: Served, width: int, scheme: str, tmp_path: Path) -> None:
    """Chosen files are shown in order with the predictions; the page fits the screen, and requests no other host."""
    complaints: list[str] = []
    page = visit(browser, served, width, scheme, complaints)
    page.get_by_label("Drop images here").set_input_files(["a&b.png", "notes.txt", "second.png"])
    cards = page.locator("#results > li")
    expect(cards).to_have_count(3)
    expect(page.get_by_role("status")).to_have_text(re.compile(r"^2 of 3 classified, by generation 1 \(\w{8}…\)$"))
    wanted = served.post(Path("a&b.png").read_bytes()).json()["images"][0]
    expect(cards.nth(0).get_by_role("heading")).to_have_text(wanted["class"].strip())
    expect(cards.nth(0).get_by_role("img")).to_have_attribute("alt", f"a&b.png: {wanted['class']}")
    expect(cards.nth(0).locator(".number").first).to_have_text(f"{100 * wanted['confidence']:.1f}\u00a0%")
    expect(cards.nth(0).get_by_role("rowheader")).to_have_count(len(ODD))
    expect(cards.nth(1)).to_contain_text("Cannot be used: not an image")
    expect(cards.nth(1)).to_contain_text("This browser cannot display this format.")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    brightness = page.evaluate("getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)[0]")
    assert (brightness > 128) == (scheme == "light")
    shoot(page, tmp_path, f"serve-{width}-{scheme}")
    assert not violations(page)
    assert not complaints
    page.context.close()


def test_by_keyboard_and_by_dropping(browser: Browser, served: Served) -> None:
    """The file chooser works by keyboard; a dropped image is classified; an oversized one is reported."""
    complaints: list[str] = []
    page = visit(browser, served, 1440, "light", complaints)
    reached = []
    for _ in range(8):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.id"))
    assert "files" in reached
    with page.expect_file_chooser() as choosing:
        page.locator("#files").press("Enter")
    choosing.value.set_files("second.png")
    expect(page.locator("#results > li")).to_have_count(1)
    page.evaluate(
        """() => {
          const data = new DataTransfer();
          data.items.add(new File(["no image"], "dropped.png"));
          dispatchEvent(new DragEvent("drop", { dataTransfer: data, cancelable: true }));
        }"""
    )
    expect(page.locator("#results > li")).to_have_count(2)
    expect(page.locator("#results > li").first).to_contain_text("dropped.png")
    page.get_by_label("Drop images here").set_input_files(
        {"name": "big.png", "mimeType": "image/png", "buffer": bytes(2**20 + 1)}
    )
    expect(page.get_by_role("status")).to_have_text(re.compile("larger than 1 MiB|too large"))
    page.context.close()
