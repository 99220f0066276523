"""A project made of the release that is running: its code, stages and params, and a repository of Git and DVC."""

import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
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

    Returns:
        the files that were there, and are not as a project would have them.

    Raises:
        RecordError: see `check_free`; or Git or DVC fails.
    """
    check_free(folder)
    (folder / paths.RAW).mkdir(parents=True, exist_ok=True)
    if not (folder / ".git").exists():
        git("init", "--quiet", str(folder))
    shutil.copytree(CODE, folder / CODE.name, ignore=shutil.ignore_patterns("__pycache__", PACKED.name))
    kept = [*_fill(folder), *_render(folder, name)]
    if not (folder / ".dvc").exists():
        _run(folder, "dvc", "init", "--quiet")
        (folder / ".dvc/config").write_text(DVC_CONFIG, encoding="utf-8")
    _run(folder, "pipeline", "setup")
    return kept


def track_images(folder: Path) -> None:
    """Let DVC track data/raw of the project in `folder`, with what is in it.

    Raises:
        RecordError: DVC fails.
    """
    if not (folder / paths.RAW_DVC).exists():
        _run(folder, "dvc", "add", "--quiet", str(paths.RAW))


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


def _fill(folder: Path) -> Iterator[str]:
    """Write what is taken from this release; yields what was there and differs."""
    for path in _taken():
        content = (ROOT / path).read_bytes()
        content = content.splitlines(keepends=True)[0] if path in HEADED else content
        target = folder / path
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
        elif target.read_bytes() != content:
            yield str(path)
    for path in LINES:
        target = folder / path
        before = target.read_text(encoding="utf-8") if target.exists() else ""
        lines = (ROOT / path).read_text(encoding="utf-8").splitlines()
        missing = [line for line in lines if line not in before.splitlines()]
        write_text(target, before + ("\n" if before and before[-1] != "\n" else "") + "\n".join([*missing, ""]))


def _render(folder: Path, name: str) -> Iterator[str]:
    """Write what bears the project's name; yields what was there."""
    release = Release.running()
    if release is not None:
        release.write(folder)
    environment = Environment(  # noqa: S701 (Markdown and the like, no HTML)
        loader=FileSystemLoader(TEMPLATES), undefined=StrictUndefined, keep_trailing_newline=True
    )
    extras = tomllib.loads((ROOT / PYPROJECT).read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    package = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "project"
    for path in RENDERED:
        if (folder / path).exists():
            yield path
        else:
            named = {"name": name, "package": package, "release": release, "extras": extras}
            text = environment.get_template(f"{path}.jinja").render(named)
            write_text(folder / path, text)


def _run(folder: Path, program: str, *arguments: str) -> None:
    command = [sys.executable, "-m", program, *arguments]
    ran = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)  # noqa: S603
    if ran.returncode:
        last = (ran.stderr.strip() or ran.stdout.strip()).rpartition("\n")[2]
        what = one_line(ValueError(last.removeprefix("pipeline: error: ")))
        raise RecordError(f"{program} {arguments[0]}", what, f"run it in {folder} again once that is right")
