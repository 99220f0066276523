"""Makes the pictures of README.md and docs/: `make pictures`, or some of them, `python docs/pictures.py report`.

Runs a project of the sample's images, a terminal, and Debian's Chromium.
"""

import os
import pty
import shutil
import subprocess
import sys
import tempfile
import termios
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import chdir, contextmanager
from itertools import groupby
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont
from playwright.sync_api import Page, sync_playwright

ROOT = Path(__file__).parent.parent
SAMPLE = ROOT / "data" / "sample"
sys.path.append(str(ROOT / ".venv/publish"))
FONTS = ROOT / ".venv/bench/matplotlib/mpl-data/fonts/ttf"
COLUMNS, LINES = 118, 32
# Pixels: the size of a letter, and the margin.
SIZE, MARGIN = 14, 14
# Seconds: output of each period is shown for at most so long; a typed letter, the pause after a command, the end.
EACH, MOST, KEY, PAUSE, END = 2.0, 0.25, 0.05, 2.0, 5.0
INK, PAPER = "#e6e6e6", "#14191f"
COLOURS = {
    "red": "#ff7b72",
    "green": "#7ee787",
    "brown": "#e3b341",
    "blue": "#79c0ff",
    "magenta": "#d2a8ff",
    "cyan": "#76e3ea",
}
STORY = ["cp ../more.zip data/raw/", "pipeline status", "dvc repro", "dvc metrics diff"]


def main() -> None:
    """Make the pictures that the command line names, by default all."""
    with tempfile.TemporaryDirectory(prefix="treering-pictures-") as folder:
        project = _project(Path(folder))
        os.environ.update(PATH=f"{ROOT / '.venv/bin'}{os.pathsep}{os.environ['PATH']}", DVC_NO_ANALYTICS="1")
        with chdir(project):
            _run("dvc", "repro", "--quiet")
            _run("git", "add", "--all")
            _run("git", "commit", "--quiet", "--message", "1,000 images")
            for name, make in PICTURES.items():
                if name in (sys.argv[1:] or PICTURES):
                    make()


def _project(folder: Path) -> Path:
    """Create a project with the first sample archive, and place the others next to it."""
    for name in ("more.zip", "new.zip"):
        shutil.copy(SAMPLE / {"more.zip": "2-more.zip", "new.zip": "3-new-classes.zip"}[name], folder / name)
    os.environ |= {f"GIT_{who}_{what}": "Ada" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    with chdir(folder):
        first = str(SAMPLE / "1-initial.zip")
        _run(sys.executable, "-m", "pipeline", "init", "shop", "--images", first, PYTHONPATH=str(ROOT))
    return folder / "shop"


def _run(*command: str, **env: str) -> None:
    subprocess.run(command, check=True, stdout=subprocess.PIPE, env={**os.environ, **env})


def terminal() -> None:
    """Record the training of a second generation as an animation of a terminal."""
    frames, milliseconds = [], []
    for screen, shown in groupby(_frames(), key=lambda frame: frame[:2]):
        frames.append(_drawn(*screen))
        milliseconds.append(round(1000 * sum(seconds for *_, seconds in shown)))
    place = ROOT / "docs/pictures/terminal.webp"
    options = {"duration": milliseconds, "loop": 0, "lossless": True, "minimize_size": True}
    frames[0].save(place, None, save_all=True, append_images=frames[1:], **options)
    _say(place)


Cells = tuple[tuple[tuple[str, str], ...], ...]


def _frames() -> Iterator[tuple[Cells, tuple[int, int], float]]:
    """The text on the screen, the position of the cursor, and the duration in seconds."""
    import pyte

    screen = pyte.Screen(COLUMNS, LINES)
    stream = pyte.ByteStream(screen)

    def frame(seconds: float) -> tuple[Cells, tuple[int, int], float]:
        rows = [[screen.buffer[row][column] for column in range(COLUMNS)] for row in range(LINES)]
        cells = tuple(tuple((cell.data, cell.fg) for cell in row) for row in rows)
        return cells, (screen.cursor.y, screen.cursor.x), seconds

    for command in STORY:
        stream.feed(b"\x1b[2J\x1b[H\x1b[32m$\x1b[0m ")  # Clear the screen first: scrolling makes the file large.
        for letter in command:
            stream.feed(letter.encode())
            yield frame(KEY)
        stream.feed(b"\r\n")
        for output, seconds in _typed(command):
            yield frame(min(seconds, MOST))
            stream.feed(output)
        yield frame(PAUSE)
    yield frame(END)


def _typed(command: str) -> Iterator[tuple[bytes, float]]:
    """Run `command` in a terminal; yield each piece of its output, and the seconds before it."""
    master, slave = pty.openpty()
    termios.tcsetwinsize(slave, (LINES, COLUMNS))
    env = {**os.environ, "TERM": "xterm-256color"}
    with subprocess.Popen(["bash", "-c", command], stdin=slave, stdout=slave, stderr=slave, env=env):
        os.close(slave)
        before, waiting = time.monotonic(), b""
        while True:
            try:
                waiting += os.read(master, 65536)
            except OSError:  # The command has closed the terminal.
                break
            if (now := time.monotonic()) - before > EACH:
                yield waiting, now - before
                before, waiting = now, b""
        yield waiting, EACH
    os.close(master)


def _drawn(cells: Cells, cursor: tuple[int, int]) -> Image.Image:
    font = ImageFont.truetype(FONTS / "DejaVuSansMono.ttf", SIZE)
    width, height = font.getlength("M"), round(1.3 * SIZE)
    picture = Image.new("RGB", (round(width * COLUMNS) + 2 * MARGIN, height * LINES + 2 * MARGIN), PAPER)
    draw = ImageDraw.Draw(picture)
    for row, line in enumerate(cells):
        for column, (letter, colour) in enumerate(line):
            if letter.strip():
                at = (MARGIN + column * width, MARGIN + row * height)
                draw.text(at, letter, fill=COLOURS.get(colour, INK), font=font)
    row, column = cursor
    left, top = MARGIN + column * width, MARGIN + row * height
    draw.rectangle((left, top, left + width, top + height - 3), fill=INK)
    return picture


def report() -> None:
    """Photograph the top of the report of a second generation."""
    shutil.copy("../more.zip", "data/raw")
    _run("dvc", "repro", "--quiet")
    with _page(1526, 820) as page:
        page.goto(Path("data/report/report.html").absolute().as_uri())
        _photograph(page, "report.webp")


def sheet() -> None:
    """Photograph the page that `pipeline check` writes about new images."""
    _run("pipeline", "check", "../new.zip", "--html", "../new.html")
    with _page(1200, 640) as page:
        page.goto(Path("../new.html").absolute().as_uri())
        _photograph(page, "pictures/sheet.webp")


def serve() -> None:
    """Photograph the page of `pipeline serve` with two images."""
    with zipfile.ZipFile("../more.zip") as archive:
        names = [f"{kind}/0200.png" for kind in ("Coat", "Sandal")]
        archive.extractall("../photos", names)
    command = ["pipeline", "serve", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server, _page(900, 760) as page:
        assert server.stdout is not None
        address = next(word for line in server.stdout for word in line.split() if word.startswith("http"))
        page.goto(address.rstrip(";"))
        page.locator("input[type=file]").set_input_files([Path("../photos") / name for name in names])
        page.get_by_text("Classifying").wait_for(state="hidden", timeout=60_000)
        _photograph(page, "pictures/serve.webp")
        server.terminate()


@contextmanager
def _page(width: int, height: int) -> Iterator[Page]:
    with sync_playwright() as playwright:
        # Chromium's sandbox does not work as root, the user of many containers.
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), chromium_sandbox=os.geteuid() != 0
        )
        yield browser.new_page(viewport={"width": width, "height": height})
        browser.close()


def _photograph(page: Page, name: str) -> None:
    page.screenshot(path="../screenshot.png")
    with Image.open("../screenshot.png") as picture:
        picture.convert("RGB").save(place := ROOT / "docs" / name, quality=85, method=6)
    _say(place)


def _say(place: Path) -> None:
    print(f"{place.relative_to(ROOT)}, {place.stat().st_size / 1024:.0f} KiB")


PICTURES: dict[str, Callable[[], None]] = {"sheet": sheet, "serve": serve, "terminal": terminal, "report": report}


if __name__ == "__main__":
    main()
