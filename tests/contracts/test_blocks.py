"""Commands and options in the documentation exist; blocks that tests do not run state why."""

import argparse
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import ROOT
from dvc.cli.parser import DvcParserError, get_main_parser
from ruamel.yaml import YAML
from support.blocks import GUIDES, PAGES, blocks_of

from pipeline import cli
from pipeline.params import read_params

# Pages that tests run from top to bottom: tests/scenarios/test_first_hour.py and test_guides.py.
PLAYED = {"README.md", *(f"docs/{name}.md" for name in GUIDES)}
TARGETS = set(
    re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text() + (ROOT / "setup.mk").read_text(), re.MULTILINE)
)
DVC = get_main_parser()


def typed(text: str) -> Iterator[list[str]]:
    """Yield the words of each command in `text`."""
    text = re.sub(r"<<'(\w+)'(.*)\n(?s:.*?)^\1$", r"\2", text, flags=re.MULTILINE)
    lexer = shlex.shlex(text.replace("\n", "\n;\n"), posix=True, punctuation_chars=True)
    lexer.whitespace_split, lexer.commenters = True, "#"
    words: list[str] = []
    for word in lexer:
        if set(word) <= set("();<>|&"):
            yield words
            words = []
        else:
            words.append(word)
    yield words


def wrong(words: list[str]) -> str | None:
    """Return which part of a command does not exist."""
    while words and (re.fullmatch(r"[A-Z_]+=.*", words[0]) or words[0] in {"$", "srun", "do", "then"}):
        words = words[1:]
    match words:
        case ["python", "-m", "pipeline", *rest] | ["pipeline", *rest]:
            return of_pipeline(rest)
        case ["dvc", *rest]:
            return of_dvc(rest)
        case ["make", *rest]:
            names = [word for word in rest if "=" not in word and not word.startswith("-")]
            return next((f"no target {name}" for name in names if name not in TARGETS), None)
        case ["python", script, *rest] if script.startswith(("benchmarks/", "docs/")):
            text = (ROOT / script).read_text(encoding="utf-8") if (ROOT / script).exists() else ""
            names = [word for word in rest if re.fullmatch(r"[a-z-]+", word) and word[0] != "-"]
            return next((f"{script} has no {name}" for name in names if name not in text), None if text else script)
    return None


def of_pipeline(words: list[str]) -> str | None:
    """Return what is wrong with a command of `pipeline`."""
    try:
        cli._parser().parse_args(words)
    except SystemExit as end:
        return f"exit {end.code}" if end.code else None
    return None


def of_dvc(words: list[str]) -> str | None:
    """Return what is wrong with a command of `dvc`."""
    try:
        DVC.parse_args(words)
    except DvcParserError:
        return "dvc does not know it"
    except SystemExit:
        return None
    return None


@pytest.mark.parametrize("page", [page for page in PAGES if page.stem != "design"], ids=lambda page: page.stem)
def test_commands_in_blocks_are_there(page: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each command of `pipeline`, DVC and make, and each script, has the options that a block uses."""
    for block in blocks_of(page):
        if not block.into:
            for words in typed(block.commands):
                assert wrong(words) is None, (shlex.join(words), wrong(words), capsys.readouterr().err)


def unknown(parser: argparse.ArgumentParser, words: list[str]) -> str | None:
    """Return the first option or command in `words` that `parser` does not know; missing arguments are allowed."""
    subs = [action.choices for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    for at, word in enumerate(words):
        if re.match("--?[a-z]", word):
            if word.partition("=")[0] not in parser._option_string_actions:
                return word
        elif subs and re.fullmatch("[a-z-]+", word):
            return unknown(subs[0][word], words[at + 1 :]) if word in subs[0] else word
    return None


@pytest.mark.parametrize("page", [*PAGES, *ROOT.glob("[!R]*.md")], ids=lambda page: page.stem)
def test_commands_in_sentences_are_there(page: Path) -> None:
    """Commands, options and targets in sentences and tables exist; they may omit arguments."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    for span in re.findall(r"(?<!`)`((?:pipeline|python|dvc|make) [^`]+)`(?!`)", text.replace("\n", " ")):
        for words in typed(re.sub(r"[\[\]]", "", span.replace("\\|", "/"))):
            match words:
                case ["pipeline", *rest] | ["python", "-m", "pipeline", *rest]:
                    assert unknown(cli._parser(), rest) is None, span
                case ["dvc", *rest]:
                    assert unknown(DVC, rest) is None, span
                case _:
                    assert wrong(words) is None, span


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_params_in_blocks_are_there(page: Path, tmp_path: Path) -> None:
    """Each block of params is valid in params.yaml."""
    yaml = YAML()
    blocks = re.findall(r"^```yaml\n(.*?)^```$", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    for block in blocks:
        content = yaml.load(ROOT / "params.yaml")
        for section, values in yaml.load(block).items():
            content[section].update(values)
        yaml.dump(content, tmp_path / "params.yaml")
        read_params(tmp_path / "params.yaml")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_blocks_are_typed_or_say_why_not(page: Path) -> None:
    """Tests run each block from top to bottom, or the page's source states why not, or which test covers it."""
    if str(page.relative_to(ROOT)) in PLAYED or page.parent.name == "tutorials" or page.stem == "design":
        return
    for block in blocks_of(page):
        assert block.not_run, f"put `<!-- not run: WHY -->` above this block of {block.page}:\n{block.text}"
        for test in re.findall(r"tests/[\w/]+\.py", block.not_run):
            assert (ROOT / test).exists(), test
