"""The source files of a project's own code: the file that a param names, and the project files that it imports."""

import ast
from collections.abc import Iterable, Iterator
from pathlib import Path

from pipeline.errors import ParamError
from pipeline.versioning.own_code.imports import imported_names

# The release's own package, whose files dvc.yaml always lists.
RELEASE = "pipeline"
FORM = "it should be package.module:function, of a file in the project's folder"


def module_of(name: str) -> tuple[str, Path]:
    """Return the module of `name`, `package.module:function`, and the module's file, relative to the project's folder.

    Only a file of the project is accepted, not an installed package or the standard library, since `name` may come from
    somebody else's checkpoint.

    Raises:
        ParamError: there is no such file.
    """
    module = name.partition(":")[0]
    if not all(part.isidentifier() for part in module.split(".")):
        raise ParamError(name, "no name of a function", FORM)
    if module.split(".")[0] == RELEASE:
        what = f"{RELEASE} is the release's own package, which an upgrade replaces"
        raise ParamError(name, what, "put your code into a package next to it")
    path = _file(module)
    if path is None:
        raise ParamError(name, f"no file {_places(module)[0]} in the project's folder", "correct the path, or add it")
    return module, path


def closure(name: str) -> list[str]:
    """Return the sorted project files that the function `name` needs: its own, and all that it imports, transitively.

    Raises:
        ParamError: there is no such file, or one is not Python.
    """
    found: set[Path] = set()
    waiting = [module_of(name)[0]]
    while waiting:
        new = {path: module for module in waiting for path, module in _files(module) if path not in found}
        found |= new.keys()
        waiting = [other for path, module in new.items() for other in _imported(path, module)]
    return sorted(path.as_posix() for path in found)


def _imported(path: Path, module: str) -> Iterable[str]:
    try:
        tree = ast.parse(path.read_bytes(), str(path))
    except (SyntaxError, ValueError) as error:
        line = f":{error.lineno}" if isinstance(error, SyntaxError) else ""
        what = f"not Python ({error.msg if isinstance(error, SyntaxError) else error})"
        raise ParamError(f"{path}{line}", what, "correct it") from None
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    return list(imported_names(tree, package))


def _files(name: str) -> Iterator[tuple[Path, str]]:
    """Yield the files that importing `name` runs, with their modules; `name` may end with a name in the last module."""
    parts = name.split(".")
    if parts[0] == RELEASE:
        return
    for end in range(1, len(parts) + 1):
        module = ".".join(parts[:end])
        if path := _file(module):
            yield path, module


def _file(module: str) -> Path | None:
    here = Path.cwd().resolve()
    found = (path for path in _places(module) if path.is_file() and path.resolve().is_relative_to(here))
    return next(found, None)


def _places(module: str) -> tuple[Path, Path]:
    """Return the possible paths of a module's file."""
    path = Path(*module.split("."))
    return path.with_suffix(".py"), path / "__init__.py"
