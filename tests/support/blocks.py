"""The blocks of commands in README.md and docs/, and what comes of typing them."""

import json
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from conftest import ROOT, Project
from support.terminal import Terminal

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
# Pages of docs/ that are typed in a project made for them.
GUIDES = ("classes", "data", "next", "own-code", "serving", "suspects")
# A block of code, the line above it, and where that says why it is not typed.
FENCE = re.compile(r"^(?:<!-- (not run|into): (.*?) -->\n)?```(\w*)\n(.*?)^```$", flags=re.MULTILINE | re.DOTALL)
END = "-- end of block"
# Begins a line that says what Git would ask about.
CHANGED = "-- changed: "
# Writes a block of params into a file of them, as a reader would.
INTO = """
import json, sys
from ruamel.yaml import YAML
yaml = YAML()
def merge(old, new):
    for key, value in new.items():
        if isinstance(old.get(key), dict) and isinstance(value, dict):
            merge(old[key], value)
        else:
            old[key] = value
with open(sys.argv[1], encoding="utf-8") as file:
    content = yaml.load(file)
merge(content, yaml.load(json.loads(sys.argv[2])))
with open(sys.argv[1], "w", encoding="utf-8") as file:
    yaml.dump(content, file)
"""


class Block(NamedTuple):
    """A block of code on a page."""

    page: str
    """Where in the repository."""
    kind: str
    """What it is in: "sh" is commands, "console" a transcript, in which commands begin with "$ "."""
    text: str
    not_run: str | None
    """Why tests do not type it, if they do not."""
    into: str | None
    """The file that a reader puts it into."""

    @property
    def commands(self) -> str:
        """What a reader types."""
        if self.into:
            return f"python -c '{INTO}' {self.into} '{json.dumps(self.text)}'"
        if self.kind == "sh":
            return self.text
        lines = re.findall(r"^\$ (.*(?:\\\n.*)*)", self.text, flags=re.MULTILINE)
        return "".join(f"{line}\n" for line in lines)

    @property
    def output(self) -> list[str]:
        """The lines that a transcript shows to be printed."""
        lines = re.sub(r"^\$ (.*\\\n)*.*\n", "", self.text, flags=re.MULTILINE) if self.kind == "console" else ""
        return [line for line in lines.splitlines() if line.strip(" …")]


def blocks_of(page: Path, *, after: str = "") -> list[Block]:
    """The blocks of `page` that hold commands, or belong into a file, from the text `after` on."""
    text = page.read_text(encoding="utf-8")
    found = FENCE.findall(text[text.index(after) :])
    return [
        Block(str(page.relative_to(ROOT)), kind, body, *(why if word == name else None for name in ("not run", "into")))
        for word, why, kind, body in found
        if kind in {"sh", "console"} or word == "into"
    ]


def clone(folder: Path) -> Project:
    """This repository's last commit, set up in `folder` as `make setup` does it."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    project = Project(ROOT).clone(folder)
    # What takes gigabytes is there already; that it can be set up is what CI itself shows.
    (project.root / ".venv").symlink_to(Path(sys.prefix))
    return project


def play(folder: Path, blocks: Sequence[Block], instead: Mapping[str, str]) -> list[list[str]]:
    """Type `blocks` in one shell that begins in `folder`; `instead` replaces commands that match a pattern.

    Returns:
        the lines that are seen, by block; those that begin with `CHANGED` say what Git would ask about.
    """
    # The environment has the code of the clone, as `make setup` would install it there.
    script = 'export PYTHONPATH="$PWD"\n'
    script += "trap 'kill $(jobs -p) 2> /dev/null || true' EXIT\n"  # What is left in the background.
    for block in blocks:
        commands = block.commands
        for pattern, other in instead.items():
            commands = re.sub(pattern, other, commands, flags=re.MULTILINE)
        script += f"{commands}\n(git status --porcelain | sed 's/^/{CHANGED}/') 2> /dev/null\necho '{END}'\n"
    with Terminal() as terminal:
        shell = terminal.start("bash", "-ec", script, folder=folder)
        assert shell.wait(1800) == 0, "\n".join(terminal.lines)[-3000:]
        terminal.wait_for(END)
        return list(_split(terminal.lines))


def _split(lines: list[str]) -> Iterator[list[str]]:
    seen: list[str] = []
    for line in lines:
        if line == END:
            yield seen
            seen = []
        else:
            seen.append(line)


def unseen(block: Block, lines: list[str]) -> list[str]:
    """What the transcript `block` shows and `lines` lack, in its order; figures and hashes may be others."""
    rest, missing = list(lines), []
    for shown in block.output:
        pattern = _like(shown)
        places = [at for at, line in enumerate(rest) if re.fullmatch(pattern, line.rstrip())]
        if places:
            rest = rest[places[0] + 1 :]
        else:
            missing.append(shown)
    return missing


def _like(shown: str) -> str:
    """A pattern of lines like `shown`: other figures, hashes and widths of columns; "…" alone stands for anything."""
    text = re.sub(r"\b[0-9a-f]{7,}\b", "HASH", shown.strip())
    text = re.sub(r"\d[\d,.]*", "NUMBER", text)
    text = re.escape(text).replace("HASH…", "HASH").replace(r"\ …", ".*").replace("…", ".*")
    text = re.sub(r"(\\ )+", r"\\s+", text)
    return r"\s*" + text.replace("HASH", r"[0-9a-f]{7,}…?").replace("NUMBER", r"\d[\d,.]*")
