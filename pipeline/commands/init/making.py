"""Creates a project from the running release: its code, stages and params, and a repository of Git and DVC."""

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

# Copied unchanged. dvc.yaml is last, since its presence means that there is a project.
TAKEN = (
    paths.PARAMS,
    *(Path(f"requirements{kind}.txt") for kind in ("", "-dev", "-timm")),
    *map(Path, ("setup.mk", "Dockerfile", ".dockerignore", ".devcontainer/devcontainer.json", ".dvcignore")),
    paths.DATA / ".gitignore",
    paths.PIPELINE,
)
# Tables of which only the header is copied.
HEADED = (paths.CLASSES, paths.ERASED, paths.FORGOTTEN)
# Files to which missing lines are added, since a project may already have lines of its own in them.
LINES = (Path(".gitignore"), Path(".gitattributes"))
PYPROJECT = Path("pyproject.toml")
TEMPLATES = Path(__file__).parent / "templates"
RENDERED = ("README.md", "Makefile", PYPROJECT.name)
# Exists while a project is being created, and lists those of its files that existed before.
BEGUN = paths.PROGRESS / "init.json"
DVC = ".dvc"
DVC_CONFIG = "[core]\n    analytics = false\n    autostage = true\n"


def check_free(folder: Path) -> None:
    """Check that a project can be created in `folder`.

    Raises:
        RecordError: `folder` is not a folder, contains a project or parts of one, or lies inside another Git
            repository; or the running installation has only the code.
    """
    if not (ROOT / paths.PIPELINE).exists():
        raise RecordError(
            ROOT, "contains only the code", "install a released wheel, or clone Treering, and run `pipeline init` there"
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
    """Create the project `name` in `folder`, without DVC's tracking of data/raw; existing files are not overwritten.

    After a kill, another call completes the project.

    Returns:
        the existing files that differ from those of a new project.

    Raises:
        RecordError: see `check_free`; or Git or DVC fails.
    """
    is_begun = (folder / BEGUN).exists() and not (folder / ".dvc/cache").exists()  # Else it is in use.
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
    """Create it in the working directory, where the files `before` existed; yield the existing files that differ."""
    git("init", "--quiet")  # It has no effect in an existing repository.
    shutil.copytree(CODE, CODE.name, ignore=shutil.ignore_patterns("__pycache__", PACKED.name), dirs_exist_ok=True)
    yield from _fill(before)
    yield from _render(name)
    if DVC not in before:
        _run("dvc", "init", "--quiet", "--force")
        write_text(Path(DVC, "config"), DVC_CONFIG)
    _run("pipeline", "setup")


def track_images() -> None:
    """Make DVC track data/raw of the project in the working directory, with the files in it.

    Raises:
        RecordError: DVC fails.
    """
    if not paths.RAW_DVC.exists():
        _run("dvc", "add", "--quiet", str(paths.RAW))


def pack() -> None:
    """Copy all files that a project needs besides the code into the code's folder, so that a wheel includes them."""
    release = Release.running()
    for path in (*_taken(), *LINES, PYPROJECT):
        (PACKED / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / path, PACKED / path)
    if release is not None:
        release.write(PACKED)


def _taken() -> Iterator[Path]:
    """Yield the paths that a project gets from this release besides the code."""
    yield from (paths.WEIGHTS / str(value).lower() for value in (True, False))
    yield from (path.relative_to(ROOT) for path in sorted((ROOT / "docs").glob("*.md")))
    yield from HEADED
    yield from TAKEN


def _fill(before: Container[str]) -> Iterator[str]:
    """Write the files of this release; yield existing files that differ, whether from `before` or added since."""
    for path in _taken():
        content = (ROOT / path).read_bytes()
        content = content.splitlines(keepends=True)[0] if path in HEADED else content
        present = path.read_bytes() if path.exists() else b""
        if str(path) not in before and content.startswith(present):  # It is missing, or incomplete after a kill.
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
    """Write the files that contain the project's name; yield existing files that differ."""
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
        raise RecordError(f"{program} {arguments[0]}", what, "correct that, then run this again")
