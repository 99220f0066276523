"""What users see: one-line errors that are safe for a terminal, and progress bars on terminals only."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from conftest import ROOT, save_png
from hypothesis import given, settings
from hypothesis import strategies as st
from support.stored import Plain, store_images
from support.terminal import Terminal

from pipeline.commands.terminal import FittedLines, complain, print_table
from pipeline.errors import ImagesError, TreeringError
from pipeline.images.dataset import load, read_manifest
from pipeline.params import read_params
from pipeline.text import shown

Capture = pytest.CaptureFixture[str]


class Said(NamedTuple):
    """The output of a program."""

    code: int
    out: str
    err: str


def run(*arguments: str, folder: Path = ROOT, **more: str) -> Said:
    """Run Python in `folder` without a terminal."""
    env = {**os.environ, "PYTHONPATH": str(ROOT), **more}
    ran = subprocess.run([sys.executable, *arguments], cwd=folder, env=env, capture_output=True, text=True, check=False)
    return Said(ran.returncode, ran.stdout, ran.stderr)


def said(error: Exception, capsys: Capture) -> str:
    """Return what `complain` prints for `error`: one line on stderr."""
    complain("train", error, "pipeline run train -v")
    out, err = capsys.readouterr()
    assert out == ""
    assert err.endswith("\n")
    assert len(err.splitlines()) == 1
    return err.removesuffix("\n")


def test_table(capsys: Capture) -> None:
    """Columns are aligned, also with double-width letters; names like numbers, or with indentation, do not change."""
    print_table([["class", "new", "known"], ["007", 1234, 0], [" 1e3", 5, ""], ["猫", "三", 67]])
    assert capsys.readouterr().out == ("class    new  known\n007    1,234      0\n 1e3       5\n猫        三     67\n")


def test_an_error_that_can_be_mended(capsys: Capture) -> None:
    """An expected error has place, cause and hint after the stage's name, without an exception type or a traceback."""
    error = ImagesError(Path("data/raw"), "no images in it", "add some")
    assert said(error, capsys) == "train: error: data/raw: no images in it; add some"


@pytest.mark.parametrize(
    ("error", "what"),
    [
        (ValueError("not so"), "ValueError (`pipeline run train -v` shows where): not so"),
        (KeyError("cat"), "KeyError (`pipeline run train -v` shows where): 'cat'"),
        (RuntimeError(), "RuntimeError (`pipeline run train -v` shows where): RuntimeError"),
        (OSError(5, "Disk\nbad"), "OSError (`pipeline run train -v` shows where): [Errno 5] Disk bad"),
        (ExceptionGroup("two", [ValueError("a"), ValueError("b")]), "ExceptionGroup (`pipeline run train -v` "),
    ],
)
def test_an_error_of_ours(capsys: Capture, error: Exception, what: str) -> None:
    """An unexpected error has its type, its message, and the command that shows the traceback."""
    assert said(error, capsys).startswith(f"train: error: {what}")


@pytest.mark.parametrize("kind", [TreeringError, ValueError])
@pytest.mark.parametrize("gap", ["\n", "\r\n", "\n\n   ", "\t", "\x0b", "\x0c", "\x1e", "\x85", "\u2028", "\xa0"])
def test_one_line_whatever_its_author_did(capsys: Capture, kind: type[Exception], gap: str) -> None:
    """Line breaks of any kind become a space."""
    error = ImagesError("here", f"a{gap}b", "c") if kind is TreeringError else kind(f"here: a{gap}b; c")
    assert said(error, capsys).endswith("here: a b; c")


def test_names_cannot_take_the_terminal_over(capsys: Capture) -> None:
    """A file name cannot control the terminal, and an undecodable one can be printed."""
    name = "cat/\x1b[31m\x07\x9b2J\u202e\udcff\x00é猫🌲'\"\\.png"
    expected = "cat/\\x1b[31m\\x07\\x9b2J\\u202e\\udcff\\x00é猫🌲'\"\\.png"
    assert said(ImagesError(name, "what", "mend"), capsys) == f"train: error: {expected}: what; mend"


@settings(max_examples=30)
@given(st.text(st.characters()), st.text())
def test_anything_can_be_shown(text: str, more: str) -> None:
    """The shown text is printable and encodable, and printable text does not change."""
    out = shown(text)
    assert out.isprintable()
    assert out.encode().decode() == out
    assert shown(out) == out
    assert shown(text + more) == out + shown(more)
    assert len(out) >= len(text)


def test_warnings_bear_the_name() -> None:
    """Warnings are printed on stderr with the stage's name; lower levels are not printed."""
    code = (
        "import logging; from pipeline.commands.terminal import set_up_logging; set_up_logging('train', verbose={}); "
        "log = logging.getLogger('pipeline.git'); log.warning('careful'); log.info('by the way'); log.debug('detail')"
    )
    assert run("-c", code.format(False)) == (0, "", "train: careful\n")
    assert run("-c", code.format(True)) == (0, "", "train: careful\ntrain: by the way\ntrain: detail\n")


def test_what_a_terminal_cannot_show_fails_nothing() -> None:
    """On a terminal with a limited encoding, other letters are escaped in output and errors."""
    code = (
        "from pipeline.commands.terminal import complain, set_up_logging; set_up_logging('x', verbose=False)\n"
        "print('warm start from 530e…'); complain('x', ValueError('猫'), 'x -v')"
    )
    ran = run("-c", code, PYTHONIOENCODING="latin-1")
    assert ran.out == "warm start from 530e\\u2026\n"
    assert "\\u732b" in ran.err


def test_missing_package_is_named(capsys: Capture) -> None:
    """Outside of the environment, the error says what to activate."""
    said_ = said(ModuleNotFoundError("No module named 'pyarrow'", name="pyarrow"), capsys)
    assert said_.startswith("train: error: the package pyarrow is not installed for ")
    assert "run `source .venv/bin/activate`" in said_


def test_details_of_others_stay_untold() -> None:
    """Verbose libraries stay silent even if everything is logged."""
    code = (
        "import logging; from pipeline.commands.terminal import set_up_logging; set_up_logging('train', verbose=True); "
        "log = logging.getLogger('PIL.PngImagePlugin'); log.debug('chunk'); log.warning('broken')"
    )
    assert run("-c", code) == (0, "", "train: broken\n")


def test_traceback_only_where_asked_for() -> None:
    """If everything is logged, an error's traceback comes before its line."""
    code = (
        "from pipeline.commands.terminal import complain, set_up_logging; set_up_logging('train', verbose={})\n"
        "def deep(): raise ValueError('no')\n"
        "try: deep()\nexcept ValueError as error: complain('train', error, 'train -v')"
    )
    line = "train: error: ValueError (`train -v` shows where): no\n"
    assert run("-c", code.format(False)).err == line
    verbose = run("-c", code.format(True)).err
    assert verbose.endswith(line)
    assert "Traceback (most recent call last)" in verbose
    assert "in deep" in verbose


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a project with a few images in data/raw, tracked by DVC and listed."""
    root = tmp_path_factory.mktemp("console")
    shutil.copy(ROOT / "params.yaml", root)
    for number in range(6):
        path = root / "data/raw" / "ab"[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        save_png(np.full((8, 8), 40 * number), path)
    for command in ("dvc init --quiet --no-scm", "dvc add --quiet data/raw"):
        subprocess.run(command.split(), cwd=root, check=True)
    assert run("-m", "pipeline", "run", "listing", folder=root).out == "listing: 6 files in data/raw\n"
    return root


INGEST = ["-m", "pipeline", "run", "ingest"]
INGESTED = "ingest: 6 images, 6 new, 0 removed, 0 refused; 6 decoded"


def test_progress_on_a_terminal(raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a terminal, a bar shows a stage's progress from start to end, and the sentence follows."""
    shutil.copytree(raw, tmp_path / "copy")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    with Terminal() as terminal:
        assert terminal.start(sys.executable, *INGEST, folder=tmp_path / "copy").wait(120) == 0
        terminal.wait_for(INGESTED)
    first, *_, last = (line for line in terminal.lines if line.startswith("decoding: "))  # Before DVC stores shards.
    sentence = terminal.lines[-1]
    assert first.startswith("decoding:   0%|")
    assert "| 0/6 [" in first
    assert last.startswith("decoding: 100%|")
    assert "| 6/6 [" in last
    assert sentence == INGESTED


def test_wide_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    """Long lines are wrapped between words and indented; nothing is lost, and paths are not broken."""
    monkeypatch.setenv("COLUMNS", "40")
    path = "data/manifest/a-very-long-name-of-a-file.csv-with-more"
    with Terminal() as terminal, terminal.stream() as stream:
        print(f"manifest: {'three words more, ' * 5}{path}", file=FittedLines(stream), flush=True)
        print("train: short", file=FittedLines(stream), flush=True)
        terminal.wait_for("short")
    first, *more, wide, last = terminal.lines
    assert max(map(len, [first, *more])) <= 40
    assert all(line.startswith(" " * 10) for line in [*more, wide])
    assert (wide.strip(), last) == (path, "train: short")
    assert " ".join(" ".join([first, *more]).split()) == f"manifest: {'three words more, ' * 5}".strip()


def test_no_progress_elsewhere(raw: Path, tmp_path: Path) -> None:
    """In a file or a pipe there is only the sentence."""
    shutil.copytree(raw, tmp_path / "copy")
    assert run(*INGEST, folder=tmp_path / "copy") == (0, f"{INGESTED}\n", "")


def read_images() -> None:
    """Read a few stored images, as training and evaluation do."""
    store_images(train=[Plain("cat", 0), Plain("dog", 255)])
    compute = read_params(ROOT / "params.yaml").compute
    assert len(load(read_manifest("train"), mode="grey", size=8, framing="fill", compute=compute)) == 2


def test_progress_of_reading(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading stored images shows a bar on a terminal."""
    monkeypatch.chdir(tmp_path)
    with Terminal() as terminal, terminal.stream() as stream:
        monkeypatch.setattr(sys, "stderr", stream)
        read_images()
    first, last = terminal.lines
    assert first.startswith("reading:   0%|")
    assert last.startswith("reading: 100%|")
    assert "| 2/2 [" in last


def test_no_progress_of_reading_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Without a terminal, reading prints nothing."""
    monkeypatch.chdir(tmp_path)
    read_images()
    assert capfd.readouterr() == ("", "")


def test_full_disk(capsys: pytest.CaptureFixture[str]) -> None:
    """A full disk is a one-line error with the free space and a hint."""
    complain("ingest", OSError(28, "No space left on device", "a.tar"), "pipeline -v")
    said = capsys.readouterr().err
    assert re.fullmatch(
        r"ingest: error: .*No space left on device.* \([\d,]+ MiB are free here\); make room, then run it again\n", said
    )
