"""A project made of the release that is running: its code, stages and params, and a repository of Git and DVC."""

import json
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Container, Iterator
from contextlib import chdir
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from pipeline import paths
from pipeline.commands.init.release import CODE, PACKED, ROOT, Release
from pipeline.errors import RecordError, one_line
from pipeline.files import write_text
from pipeline.git import git, git_text

# Taken as they are; dvc.yaml last, since it says that there is a project.
TAKEN = (
    paths.PARAMS,
    *(Path(f"requirements{kind}.txt") for kind in ("", "-dev", "-timm")),
    *map(Path, ("setup.mk", "Dockerfile", ".dockerignore", ".devcontainer/devcontainer.json", ".dvcignore")),
    paths.DATA / ".gitignore",
    paths.PIPELINE,
)
# Tables that a project fills itself.
HEADED = (paths.CLASSES, paths.ERASED, paths.FORGOTTEN)
# Lists that a project may have lines in already.
LINES = (Path(".gitignore"), Path(".gitattributes"))
PYPROJECT = Path("pyproject.toml")
TEMPLATES = Path(__file__).parent / "templates"
RENDERED = ("README.md", "Makefile", PYPROJECT.name)
# There as long as a project is being made: which of its files were there before.
BEGUN = paths.PROGRESS / "init.json"
DVC = ".dvc"
DVC_CONFIG = "[core]\n    analytics = false\n    autostage = true\n"


def check_free(folder: Path) -> None:
    """Raise what speaks against a project in `folder`.

    Raises:
        RecordError: there is one already, or it lies in a repository that is another one's.
    """
    if not (ROOT / paths.PIPELINE).exists():
        raise RecordError(
            ROOT, "has the code alone", "take a wheel that was released, or clone Treering, and run its `pipeline init`"
        )
    if folder.exists() and not folder.is_dir():
        raise RecordError(folder, "not a folder", "name a folder")
    own = (paths.PIPELINE, CODE.name, paths.PARAMS)
    if all((folder / name).exists() for name in own):
        hint = "run `pipeline add PATH` in it for more images, or name another folder"
        raise RecordError(folder, "is a project already", hint)
    for name in own:
        if (folder / name).exists():
            raise RecordError(folder, f"holds {name} already, and nothing is overwritten", "name another folder")
    nearest = next(one for one in (folder, *folder.parents) if one.exists())
    try:
        top = Path(git_text("-C", str(nearest), "rev-parse", "--show-toplevel"))
    except RecordError:
        return  # No repository.
    if top.resolve() != folder.resolve():
        raise RecordError(folder, f"lies in the Git repository {top}", "name a folder outside of it")


def make(folder: Path, name: str) -> list[str]:
    """Make the project `name` in `folder`, less that DVC tracks data/raw; what is there already stays as it is.

    After a kill it goes on with what was begun.

    Returns:
        the files that were there, and are not as a project would have them.

    Raises:
        RecordError: see `check_free`; or Git or DVC fails.
    """
    is_begun = (folder / BEGUN).exists() and not (folder / ".dvc/cache").exists()  # Else somebody works with it.
    if not is_begun:
        check_free(folder)
    (folder / paths.RAW).mkdir(parents=True, exist_ok=True)
    with chdir(folder):
        if not is_begun:
            own = (*_taken(), Path(DVC))
            write_text(BEGUN, json.dumps([str(path) for path in own if path.exists()]))
        kept = list(_make(name, json.loads(BEGUN.read_bytes())))
        BEGUN.unlink()
    return kept


def _make(name: str, before: Container[str]) -> Iterator[str]:
    """Make it in the working directory; yields what was there `before`, and is not as a project would have it."""
    git("init", "--quiet")  # Of what is a repository already it makes none.
    shutil.copytree(CODE, CODE.name, ignore=shutil.ignore_patterns("__pycache__", PACKED.name), dirs_exist_ok=True)
    yield from _fill(before)
    yield from _render(name)
    if DVC not in before:
        _run("dvc", "init", "--quiet", "--force")
        write_text(Path(DVC, "config"), DVC_CONFIG)
    _run("pipeline", "setup")


def track_images() -> None:
    """Let DVC track data/raw of the project in the working directory, with what is in it.

    Raises:
        RecordError: DVC fails.
    """
    if not paths.RAW_DVC.exists():
        _run("dvc", "add", "--quiet", str(paths.RAW))


def pack() -> None:
    """Put all that a project is made of into the folder of the code, so that a wheel has it."""
    release = Release.running()
    for path in (*_taken(), *LINES, PYPROJECT):
        (PACKED / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / path, PACKED / path)
    if release is not None:
        release.write(PACKED)


def _taken() -> Iterator[Path]:
    """What a project has of this release besides the code."""
    yield from (paths.WEIGHTS / str(value).lower() for value in (True, False))
    yield from (path.relative_to(ROOT) for path in sorted((ROOT / "docs").glob("*.md")))
    yield from HEADED
    yield from TAKEN


def _fill(before: Container[str]) -> Iterator[str]:
    """Write what is taken from this release; yields what is there and differs, be it from `before` or from since."""
    for path in _taken():
        content = (ROOT / path).read_bytes()
        content = content.splitlines(keepends=True)[0] if path in HEADED else content
        present = path.read_bytes() if path.exists() else b""
        if str(path) not in before and content.startswith(present):  # It is missing, or a kill has left a part of it.
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        elif present != content:
            yield str(path)
    for path in LINES:
        there = path.read_text(encoding="utf-8") if path.exists() else ""
        lines = (ROOT / path).read_text(encoding="utf-8").splitlines()
        missing = [line for line in lines if line not in there.splitlines()]
        write_text(path, there + ("\n" if there and there[-1] != "\n" else "") + "\n".join([*missing, ""]))


def _render(name: str) -> Iterator[str]:
    """Write what bears the project's name; yields what is there and differs."""
    release = Release.running()
    if release is not None:
        release.write()
    environment = Environment(  # noqa: S701 (Markdown and the like, no HTML)
        loader=FileSystemLoader(TEMPLATES), undefined=StrictUndefined, keep_trailing_newline=True
    )
    extras = tomllib.loads((ROOT / PYPROJECT).read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    package = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "project"
    for path in RENDERED:
        named = {"name": name, "package": package, "release": release, "extras": extras}
        text = environment.get_template(f"{path}.jinja").render(named)
        if Path(path).exists() and Path(path).read_bytes() != text.encode():
            yield path
        else:
            write_text(Path(path), text)


def _run(program: str, *arguments: str) -> None:
    command = [sys.executable, "-m", program, *arguments]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    if ran.returncode:
        last = (ran.stderr.strip() or ran.stdout.strip()).rpartition("\n")[2]
        what = one_line(ValueError(last.removeprefix("pipeline: error: ")))
        raise RecordError(f"{program} {arguments[0]}", what, "run this again once that is right")
