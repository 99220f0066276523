"""Writes what docs/cli.md and docs/python.md say of the code: `python docs/reference.py`."""

import argparse
import ast
import inspect
import re
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import pipeline
from pipeline import cli

FOLDER = Path(__file__).parent
MADE = "<!-- From here on made by docs/reference.py. -->\n"
# Said once, on top of the page.
COMMON = {"--help", "--verbose", "--quiet"}


def main() -> None:
    """Write both."""
    for page in MAKERS:
        (FOLDER / page).write_text(text_of(page), encoding="utf-8")


def text_of(page: str) -> str:
    """What `page` should be: what people wrote on it, then what is made."""
    written = (FOLDER / page).read_text(encoding="utf-8").partition(MADE)[0]
    return written + MADE + "\n" + "\n".join(MAKERS[page]())


def commands() -> Iterator[str]:
    """The lines about all commands, by group, as the parser of the command line knows them."""
    parsers = _subcommands(cli._parser())  # noqa: SLF001 (nothing else has all commands)
    for group, themes in cli.GROUPS.items():
        yield f"## {group.capitalize()}\n"
        for theme in themes:
            for name in _names(theme.register):
                yield from _command(parsers[name], 3)
    yield "## Shell\n"
    yield from _command(parsers["completion"], 3)


def _names(register: Callable[..., None]) -> list[str]:
    """What `register` adds to the command line."""
    found = []

    def command(run: Callable[..., int], about: str) -> argparse.ArgumentParser:  # noqa: ARG001 (as it is called)
        found.append(run.__name__.strip("_").replace("_", "-"))
        return argparse.ArgumentParser()

    register(command)
    return found


def _subcommands(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    actions = parser._actions  # noqa: SLF001 (argparse has no other way to them)
    return next((dict(one.choices) for one in actions if isinstance(one, argparse._SubParsersAction)), {})  # noqa: SLF001


def _command(parser: argparse.ArgumentParser, level: int) -> Iterator[str]:
    yield f"{'#' * level} {parser.prog}\n"
    if parser.description:
        yield f"{parser.description}\n"
    usage = re.sub(r"\[-h\] (\[-v\] \[-q\] )?", "", " ".join(parser.format_usage().split()).removeprefix("usage: "))
    yield f"```text\n{usage}\n```\n"
    actions = [one for one in parser._actions if not COMMON & {*one.option_strings}]  # noqa: SLF001
    actions = [one for one in actions if one.help not in (None, argparse.SUPPRESS)]
    rows = [_row(one) for one in actions if not isinstance(one, argparse._SubParsersAction)]  # noqa: SLF001
    if rows:
        yield "\n".join(["| argument | meaning |", "|---|---|", *rows, ""])
    for sub in _subcommands(parser).values():
        yield from _command(sub, level + 1)


def _row(action: argparse.Action) -> str:
    value = action.metavar or ("|".join(map(str, action.choices)) if action.choices else action.dest.upper())
    value = " ".join(value) if isinstance(value, tuple) else value
    name = (
        ", ".join(action.option_strings) + ("" if action.nargs == 0 else f" {value}")
        if action.option_strings
        else value
    )
    said = (action.help or "") % {**vars(action), "prog": "pipeline"}
    return "| `{}` | {} |".format(*(text.replace("|", "\\|") for text in (name, said)))


def names() -> Iterator[str]:
    """The lines about what `from pipeline import …` offers: as the source has it, and what its docstrings say."""
    for name in pipeline.__all__:
        yield f"## {name}\n"
        (found,) = ast.parse(inspect.getsource(getattr(pipeline, name))).body
        if isinstance(found, ast.ClassDef):
            yield from _class(found)
        elif isinstance(found, ast.FunctionDef):
            yield from _function(found)


def _class(found: ast.ClassDef) -> Iterator[str]:
    yield f"{ast.get_docstring(found)}\n"
    rows = [
        f"| `{one.target.id}` | `{ast.unparse(one.annotation)}` | {inspect.cleandoc(str(said.value.value))} |"
        for one, said in pairwise(found.body)
        if isinstance(one, ast.AnnAssign) and isinstance(one.target, ast.Name)
        if isinstance(said, ast.Expr) and isinstance(said.value, ast.Constant)
    ]
    yield "\n".join(["| attribute | type | meaning |", "|---|---|---|", *rows, ""])
    for member in found.body:
        if isinstance(member, ast.FunctionDef) and not member.name.startswith("_"):
            yield f"### {found.name}.{member.name}\n"
            yield from _function(member)


def _function(found: ast.FunctionDef) -> Iterator[str]:
    kept = [ast.unparse(one) for one in found.decorator_list]
    head = ast.FunctionDef(found.name, found.args, [ast.Expr(ast.Constant(...))], [], found.returns)
    signature = ast.unparse(ast.fix_missing_locations(head)).removesuffix(":\n    ...")
    yield f"```python\n{''.join(f'@{one}{chr(10)}' for one in kept)}{signature}\n```\n"
    text = re.sub(r"^    ", "- ", ast.get_docstring(found) or "", flags=re.MULTILINE)
    yield re.sub(r"^(Returns|Raises):\n", r"**\1:**\n\n", text, flags=re.MULTILINE) + "\n"


MAKERS = {"cli.md": commands, "python.md": names}


if __name__ == "__main__":
    main()
