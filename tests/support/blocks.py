"""The blocks of commands in README.md and docs/, and a way to run them."""

import json
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from conftest import ROOT, Project
from support.terminal import Terminal

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
# Pages of docs/ whose commands run in a project made for them.
GUIDES = ("classes", "data", "next", "own-code", "serving", "suspects")
# A code block, the line above it, and the reason in that line why it is not run.
FENCE = re.compile(r"^(?:<!-- (not run|into): (.*?) -->\n)?```(\w*)\n(.*?)^```$", flags=re.MULTILINE | re.DOTALL)
END = "-- end of block"
# Prefix of a line that states a change that Git would report.
CHANGED = "-- changed: "
# Writes a block of params into a params file, as a reader would.
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
    """A code block on a page."""

    page: str
    """The path of the page in the repository."""
    kind: str
    """The language of the block: "sh" for commands, "console" for a transcript whose commands begin with "$ "."""
    text: str
    not_run: str | None
    """Why tests do not run the block; None if they do."""
    into: str | None
    """The file that a reader copies the block into; None if there is none."""

    @property
    def commands(self) -> str:
        """Return the commands that a reader types."""
        if self.into:
            return f"python -c '{INTO}' {self.into} '{json.dumps(self.text)}'"
        if self.kind == "sh":
            return self.text
        lines = re.findall(r"^\$ (.*(?:\\\n.*)*)", self.text, flags=re.MULTILINE)
        return "".join(f"{line}\n" for line in lines)

    @property
    def output(self) -> list[str]:
        """Return the output lines that a transcript shows."""
        lines = re.sub(r"^\$ (.*\\\n)*.*\n", "", self.text, flags=re.MULTILINE) if self.kind == "console" else ""
        return [line for line in lines.splitlines() if line.strip(" …")]


def blocks_of(page: Path, *, after: str = "") -> list[Block]:
    """Return the blocks of `page` with commands or file contents, from the text `after` on."""
    text = page.read_text(encoding="utf-8")
    found = FENCE.findall(text[text.index(after) :])
    return [
        Block(str(page.relative_to(ROOT)), kind, body, *(why if word == name else None for name in ("not run", "into")))
        for word, why, kind, body in found
        if kind in {"sh", "console"} or word == "into"
    ]


def clone(folder: Path) -> Project:
    """Clone this repository's last commit into `folder`, and set it up as `make setup` does."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    project = Project(ROOT).clone(folder)
    # Reuse this environment, which takes gigabytes; CI itself shows that it can be set up.
    (project.root / ".venv").symlink_to(Path(sys.prefix))
    return project


def play(folder: Path, blocks: Sequence[Block], instead: Mapping[str, str]) -> list[list[str]]:
    """Run `blocks` in one shell that starts in `folder`; `instead` replaces commands that match a pattern.

    Returns:
        the output lines of each block; lines that begin with `CHANGED` state what Git would report.
    """
    # The environment uses the code of the clone, as `make setup` would install it.
    script = 'export PYTHONPATH="$PWD"\n'
    script += "trap 'kill $(jobs -p) 2> /dev/null || true' EXIT\n"  # Ends background processes.
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
    """Return the lines that the transcript `block` shows and `lines` lack, in order; figures and hashes may differ."""
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
    """Return a pattern for lines like `shown` with any figures, hashes and column widths; "…" alone matches all."""
    text = re.sub(r"\b[0-9a-f]{7,}\b", "HASH", shown.strip())
    text = re.sub(r"\d[\d,.]*", "NUMBER", text)
    text = re.escape(text).replace("HASH…", "HASH").replace(r"\ …", ".*").replace("…", ".*")
    text = re.sub(r"(\\ )+", r"\\s+", text)
    return r"\s*" + text.replace("HASH", r"[0-9a-f]{7,}…?").replace("NUMBER", r"\d[\d,.]*")
