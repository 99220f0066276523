"""Pages written by commands and stages, in a real browser."""

import re
from collections.abc import Callable, Iterator
from contextlib import chdir
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from playwright.sync_api import Browser, Page, expect
from support.browsing import DESKTOP, NEEDS_CHROMIUM, PHONE, launched, shoot, violations
from support.drawn import save_drawn, set_params
from support.reported import ODD, made, noise, version
from support.stored import Plain, store_images

from pipeline import cli, paths
from pipeline.commands.report.compare_page import render as render_comparison
from pipeline.commands.report.pairing import pair
from pipeline.evaluate import evaluate
from pipeline.evaluation.report.page import PAGE, render
from pipeline.images.dataset import read_manifest
from pipeline.params import read_params

pytestmark = NEEDS_CHROMIUM
DRIFT = "the 600 new images are darker than the known ones (mean brightness 31 against 88)"
# The page shows the same for both names.
ALIKE = [f"{'long ' * 50}{end}" for end in "ab"]


def evaluated() -> str:
    """Return the page that evaluate itself writes for a model whose base knows other classes."""
    with TemporaryDirectory() as project, chdir(project):
        set_params()
        save_drawn(paths.MODEL, base="b.dir")
        save_drawn(paths.BASE, classes=("fox", "cat"))
        shades = range(0, 255, 5)
        store_images(
            test=[Plain(("cat", "dog", "fox")[shade % 3], shade, generation=1 + shade % 2) for shade in shades]
        )
        evaluate(read_params())
        return PAGE.read_text(encoding="utf-8")


def sheet() -> str:
    """Return a contact sheet with unusual names, and with refused files."""
    with TemporaryDirectory() as project, chdir(project):
        set_params()
        for number, name in enumerate(ODD[:9]):
            folder = Path("photos", f"{name.replace('/', '')}"[:80])
            folder.mkdir(parents=True)
            noise(number, 30 + 20 * number).save(folder / "a.png")
            (folder / f"{'long ' * 40}.txt").write_text("no image")
            (folder / "cut.png").write_bytes((folder / "a.png").read_bytes()[:900])
        assert cli.main(["check", "photos", "--html", "sheet.html"]) == 1
        return Path("sheet.html").read_text(encoding="utf-8")


def compared() -> str:
    """Return a comparison of two evaluations with unusual class names; each image is right in only one of them."""
    with TemporaryDirectory() as project, chdir(project):
        set_params()
        store_images(test=[Plain(ODD[shade % 9], shade, 8 if shade < 20 else 120) for shade in range(24)])
        test = read_manifest("test")[["id", "label"]].assign(confidence=0.75)
        wrong = test["label"].map(lambda label: ODD[(ODD.index(label) + 1) % 9])
        first, second = (np.arange(len(test)) % 3 == place for place in (0, 1))
        answers = [test.assign(predicted=test["label"].where(~right, wrong)) for right in (first, second)]
        return render_comparison(pair(version("<b>main</b>", 1), version("experiment", 2), *answers))


CASES: dict[str, Callable[[], str]] = {
    "evaluated": evaluated,
    "compared": compared,
    "sheet": sheet,
    "alike": lambda: render(made(classes=ALIKE, images=40, wrong=0.7)),
    "two": lambda: render(made(classes=["cat", "dog"], images=200, columns={"camera": ["left", "right"]})),
    "many": lambda: render(made(classes=[f"class {k:03}" for k in range(200)], images=4000, side=8)),
    "odd": lambda: render(made(classes=ODD, images=400, columns={"<b>": ODD})),
    "large": lambda: render(made(images=60, wrong=0.7, side=80)),
    "perfect": lambda: render(made(wrong=0)),
    "empty": lambda: render(made(images=0)),
    "first": lambda: render(made(base=False)),
    "suspects": lambda: render(
        made(classes=ODD, suspects=60, drift=[DRIFT, f"{'wide' * 40} is 90 % of the new images"])
    ),
}
Open = Callable[..., Page]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Start one browser for all tests."""
    with launched() as one:
        yield one


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write the pages into a folder."""
    folder = tmp_path_factory.mktemp("pages")
    for name, make in CASES.items():
        (folder / f"{name}.html").write_text(make(), encoding="utf-8")
    return folder


@pytest.fixture
def visit(browser: Browser, folder: Path) -> Iterator[Open]:
    """Return a function that opens a page; at the end assert that there were no errors, and no foreign requests."""
    complaints: list[str] = []
    requests: list[str] = []
    contexts = []

    def open_page(name: str, *, width: int = DESKTOP, scheme: str = "light") -> Page:
        context = browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme="dark" if scheme == "dark" else "light"
        )
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("dialog", lambda dialog: complaints.append(dialog.message))
        page.on("request", lambda request: requests.append(request.url))
        page.goto((folder / f"{name}.html").as_uri())
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert not complaints
    own = {(folder / f"{name}.html").as_uri() for name in CASES}
    assert not [url for url in requests if url not in own and not url.startswith("data:")]


@pytest.mark.parametrize("width", [PHONE, DESKTOP])
@pytest.mark.parametrize("name", CASES)
def test_fits(visit: Open, name: str, width: int) -> None:
    """The page fits the window, follows the system's colour scheme, and shows every picture and its lines."""
    page = visit(name, width=width)
    for scheme in ("dark", "light"):
        page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.evaluate(
            "[...document.querySelectorAll('figcaption')].every((one) => one.scrollWidth <= one.clientWidth)"
        )
        brightness = page.evaluate("getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)[0]")
        assert (brightness > 128) == (scheme == "light")
    # Decode now what is decoded only when it becomes visible.
    page.evaluate("Promise.all([...document.images].map((image) => ((image.loading = 'eager'), image.decode())))")
    assert page.evaluate("[...document.images].every((image) => image.complete && image.naturalWidth > 0 && image.alt)")


@pytest.mark.parametrize(
    ("name", "width", "scheme"),
    [
        ("evaluated", PHONE, "light"),
        ("many", DESKTOP, "dark"),
        ("suspects", PHONE, "dark"),
        ("sheet", PHONE, "light"),
        ("compared", PHONE, "light"),
    ],
)
def test_is_accessible(visit: Open, tmp_path: Path, name: str, width: int, scheme: str) -> None:
    """axe-core finds no violations, with all collapsible parts open."""
    page = visit(name, width=width, scheme=scheme)
    page.evaluate("document.querySelectorAll('details').forEach((details) => (details.open = true))")
    shoot(page, tmp_path, f"{name}-{width}-{scheme}")
    assert not violations(page)


def test_cell_shows_its_images(visit: Open) -> None:
    """A cell shows its images with both models' answers; Escape and the button close it."""
    page = visit("two", width=PHONE)
    cell = page.get_by_role("button", name=re.compile("cat classified as dog: "))
    count = int(cell.inner_text())
    cell.click()
    dialog = page.get_by_role("dialog", name="cat classified as dog")
    expect(dialog).to_be_visible()
    assert dialog.locator("figure").count() == min(count, 96)
    first = dialog.locator("figure").first
    expect(first).to_contain_text(re.compile(r"label\s*cat\s*model\s*dog\s*\d+\.\d%\s*base\s*(cat|dog)\s*\d+\.\d%"))
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    cell.press("Enter")
    dialog.get_by_role("button", name="Close").click()
    expect(dialog).to_be_hidden()


def test_page_that_evaluate_wrote(visit: Open) -> None:
    """The page of evaluate has a picture for each image, right or wrong, and the base's answer next to the model's."""
    page = visit("evaluated")
    count = 0
    for cell in page.locator("[data-cell]").all():
        cell.click()
        figures = page.get_by_role("dialog").locator("figure")
        assert figures.count() == int(cell.get_attribute("data-count") or 0)
        expect(figures.first).to_contain_text(re.compile(r"base\s*(fox|cat)\s*\d+\.\d%"))
        count += figures.count()
        page.keyboard.press("Escape")
    assert count == len(range(0, 255, 5))


def test_right_and_wrong_go_by_the_class_not_by_its_name(visit: Open) -> None:
    """If long names look the same, a wrong answer of the base is still marked as wrong."""
    page = visit("alike")
    cells = page.locator("[data-cell]").all()
    marks = {"good": 0, "bad": 0}
    for cell in cells:
        cell.click()
        for mark in marks:
            marks[mark] += page.locator(f"#cell-images figcaption div:nth-child(3).{mark}").count()
        page.keyboard.press("Escape")
    predictions = made(classes=ALIKE, images=40, wrong=0.7).findings.predictions
    right = int((predictions["base_predicted"] == predictions["label"]).sum())
    assert marks == {"good": right, "bad": len(predictions) - right}
    assert marks["bad"] > 0


def test_sort(visit: Open) -> None:
    """Tables sort by any column in both directions, which the header shows."""
    page = visit("many")
    header = page.locator("#class-table thead th", has_text="Images")
    for direction in ("ascending", "descending"):
        header.get_by_role("button").click()
        expect(header).to_have_attribute("aria-sort", direction)
        cells = page.locator("#class-table tbody tr td:nth-child(2)").all_text_contents()
        assert [int(cell) for cell in cells] == sorted(map(int, cells), reverse=direction == "descending")
    assert page.locator("#class-table [aria-sort=descending]").count() == 1


def test_filter_and_more(visit: Open) -> None:
    """Of many classes a few, those that match the filter, or all are shown."""
    page = visit("many", width=PHONE)
    rows = page.locator("#class-table tbody tr:visible")
    expect(rows).to_have_count(12)
    search = page.locator("#classes").get_by_label("Find a class")
    search.fill("CLASS 19")
    expect(rows).to_have_count(10)
    expect(page.locator("#classes [role=status]")).to_have_text("10 of 200")
    search.fill("no such")
    expect(rows).to_have_count(0)
    search.fill("")
    page.get_by_role("button", name="Show all 200 classes").click()
    expect(rows).to_have_count(200)


def test_matrix_of_many_classes(visit: Open) -> None:
    """A pixel of a large matrix, and a line of the pairs below it, show their images; the matrix can be enlarged."""
    page = visit("many")
    canvas = page.locator("#map")
    width = canvas.bounding_box()
    assert width is not None
    page.get_by_role("button", name="Larger").click()
    larger = canvas.bounding_box()
    assert larger is not None
    assert larger["width"] > width["width"]
    canvas.hover(position={"x": 3, "y": 3})
    expect(page.locator("#under")).to_contain_text("class 000 classified as class 000:")
    canvas.click(position={"x": 3, "y": 3})
    expect(page.get_by_role("dialog")).to_contain_text("class 000 classified correctly")
    page.keyboard.press("Escape")
    page.locator("#pair-table tbody button:visible").first.click()
    expect(page.get_by_role("dialog")).to_contain_text(" classified as ")
    assert page.get_by_role("dialog").locator("figure").count() >= 1


def test_theme(visit: Open) -> None:
    """The button switches between light and dark."""
    page = visit("two")
    colour = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(colour)
    button = page.get_by_role("button", name="Switch between light and dark")
    button.click()
    assert page.evaluate(colour) != light
    button.click()
    assert page.evaluate(colour) == light


def test_more_pictures(visit: Open) -> None:
    """Lists of pictures can be expanded."""
    page = visit("odd")
    pictures = page.locator("#mistakes [data-images]").first.locator("figure")
    expect(pictures).to_have_count(16)
    page.locator("#mistakes button.more").first.click()
    expect(pictures).to_have_count(64)


def test_mistakes_by_class(visit: Open) -> None:
    """Mistakes can be limited to one class or one prediction; negative flips, too."""
    page = visit("odd", width=PHONE)
    section = page.locator("#mistakes")
    predictions = made(classes=ODD, images=400, columns={"<b>": ODD}).findings.predictions
    wrong = predictions[predictions["label"] != predictions["predicted"]]
    status = section.get_by_role("status")
    expect(status).to_have_text(f"{len(wrong)} mistakes")
    few = wrong[wrong["label"] == "🦊 fox"]
    section.locator("#filter-is").select_option(label=f"🦊 fox ({len(few)})")
    expect(section.locator("[data-images]").first.locator("figure")).to_have_count(min(len(few), 16))
    assert set(section.locator("figcaption div:first-child .name").all_text_contents()) == {"🦊 fox"}
    taken = section.locator("#filter-taken")
    taken.select_option(value=taken.locator("option", has_text="constructor").get_attribute("value"))
    count = int((few["predicted"] == "constructor").sum())
    expect(status).to_have_text(f"{count} mistake{'' if count == 1 else 's'}")


def test_picture_at_full_size(visit: Open) -> None:
    """A picture opens at full size by mouse and keyboard, with the next one; Escape returns to the place before."""
    page = visit("two", width=PHONE)
    figure = page.locator("#mistakes figure").first
    figure.get_by_role("button").press("Enter")
    dialog = page.locator("#viewer")
    expect(dialog.get_by_role("heading")).to_have_text(re.compile("Test image of (cat|dog), classified as (cat|dog)"))
    expect(dialog.get_by_role("status")).to_contain_text("1 of ")
    assert dialog.locator("img").evaluate("(image) => image.getBoundingClientRect().width") > 300
    assert not violations(page)
    page.keyboard.press("ArrowRight")
    expect(dialog.get_by_role("status")).to_contain_text("2 of ")
    dialog.get_by_role("button", name="Before").click()
    expect(dialog.get_by_role("button", name="Before")).to_be_disabled()
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    assert page.evaluate("document.activeElement.closest('figure') !== null")


def test_full_size_is_that_of_the_stored_image(visit: Open) -> None:
    """Full size is that of the stored image; if the page has no room for it, it says so."""
    page = visit("large")
    sizes = set()
    for figure in page.locator("#mistakes figure").all()[:12]:
        small = figure.locator("img").evaluate("(image) => image.naturalWidth")
        figure.get_by_role("button").click()
        image = page.locator("#viewer img")
        image.evaluate("(image) => image.decode()")
        large = image.evaluate("(image) => image.naturalWidth")
        is_cut = "no room" in page.locator("#viewer-note").inner_text()
        assert large == (small if is_cut else 2 * small)
        sizes.add(is_cut)
        page.keyboard.press("Escape")
    assert sizes == {True, False}


def test_generations(visit: Open) -> None:
    """The chosen generation is shown with its classes, and marked in charts and curves."""
    page = visit("evaluated", width=PHONE)
    expect(page.locator("#generations details:visible")).to_have_count(1)
    page = visit("many")
    page.locator("#generation").select_option("2")
    panel = page.locator("#generations details:visible")
    expect(panel).to_have_attribute("data-generation", "2")
    expect(panel.locator("dl")).to_contain_text("75.0")
    assert (
        page.locator("svg .chosen").evaluate_all("(marks) => marks.map((mark) => mark.dataset.generation)") == ["2"] * 5
    )
    expect(page.locator("#history polyline.curve1")).to_have_count(3)


def test_flips(visit: Open) -> None:
    """Flips can be limited by kind and class, have both answers, and open at full size."""
    page = visit("compared", width=PHONE)
    for kind, marks in (("lost", ["", "good", "bad"]), ("gained", ["", "bad", "good"])):
        section = page.locator(f"#{kind}")
        expect(section.locator("figure")).to_have_count(8)
        lines = section.locator("figure").first.locator("figcaption div")
        assert lines.evaluate_all("(lines) => lines.map((line) => line.className)") == marks
    page.locator("#filter").select_option(label="🦊 fox")
    names = page.locator("figcaption div:first-child .name").all_text_contents()
    assert set(names) == {"🦊 fox"}
    page.locator("figure button").first.click()
    heading = page.get_by_role("dialog").get_by_role("heading")
    expect(heading).to_contain_text(
        re.compile("Test image of 🦊 fox, classified as .* by <b>main</b>, as .* by experiment")
    )


def test_without_javascript(browser: Browser, folder: Path) -> None:
    """Without JavaScript every generation and table is present."""
    context = browser.new_context(java_script_enabled=False, viewport={"width": PHONE, "height": 900})
    page = context.new_page()
    page.goto((folder / "two.html").as_uri())
    expect(page.locator("#generations summary")).to_have_count(3)
    expect(page.locator("#choice, #filter")).to_have_count(2)
    assert not page.locator("#choice:visible, #filter:visible").count()
    expect(page.locator("#class-table tbody tr")).to_have_count(2)
    context.close()


def test_odd_names_are_text(visit: Open) -> None:
    """Unusual names are shown literally, run no code, and lead to their images."""
    page = visit("odd")
    for name in ("<script>alert(1)</script>", "{{ 7 * 7 }}", "🦊 fox", "[U+200B]", "[U+202E]gnp.exe"):
        expect(page.locator("#class-table").get_by_text(name, exact=True)).to_have_count(1)
    page.get_by_role("button", name="<script>alert(1)</script> classified as <script>alert(1)</script>").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.locator("h2")).to_have_text("<script>alert(1)</script> classified correctly")
    expect(dialog.locator("figure").first).to_contain_text("<script>alert(1)</script>")


def test_suspects(visit: Open) -> None:
    """Suspects have a picture, label, suggestion, place and reason, all as text; drift is shown above them."""
    page = visit("suspects", width=PHONE)
    section = page.locator("#suspects")
    expect(section).to_contain_text(
        "The 600 new images are darker than the known ones (mean brightness 31 against 88)."
    )
    expect(section).to_contain_text("The first 48 of 60 images")
    expect(section.locator("figure")).to_have_count(16)
    section.get_by_role("button", name="Show 32 more").click()
    expect(section.locator("figure")).to_have_count(48)
    first, second = section.locator("figure").nth(0), section.locator("figure").nth(1)
    expect(first).to_contain_text("<script>alert(1)</script>/0.png")
    expect(first).to_contain_text("near-duplicate of <script>alert(1)</script> labelled")
    expect(second).to_contain_text(re.compile(r"label.*12\.5%.*or.*75\.0%", re.DOTALL))
    expect(visit("perfect").locator("#suspects")).to_contain_text("There are no suspects")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_contrast(visit: Open, scheme: str) -> None:
    """Text has a contrast of at least 4.5 to 1, as WCAG 2.2 AA requires."""
    page = visit("two", scheme=scheme)

    def luminance(name: str) -> float:
        value = page.evaluate(f"getComputedStyle(document.documentElement).getPropertyValue('--{name}')").lstrip("#")
        channels = [int(value[place : place + 2], 16) / 255 for place in (0, 2, 4)]
        linear = [one / 12.92 if one <= 0.04045 else ((one + 0.055) / 1.055) ** 2.4 for one in channels]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    for text, ground in [
        *((text, ground) for text in ("ink", "soft") for ground in ("card", "page")),
        *(("good", ground) for ground in ("card", "page", "good-wash")),
        *(("bad", ground) for ground in ("card", "page", "bad-wash")),
    ]:
        dark, bright = sorted((luminance(text), luminance(ground)))
        assert (bright + 0.05) / (dark + 0.05) >= 4.5, (text, ground)
