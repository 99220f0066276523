"""The files that a project's own function consists of."""

from pathlib import Path

import pytest

from pipeline.errors import ParamError
from pipeline.versioning.own_code.closure import closure


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make an empty project the working directory."""
    folder = tmp_path / "project"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def write(**files: str) -> None:
    """Write files; `a__b` is a/b.py."""
    for name, text in files.items():
        path = Path(*name.split("__")).with_suffix(".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


@pytest.mark.parametrize(
    "text",
    [
        "import mine.part",
        "import mine.part as other",
        "from mine import part",
        "from mine.part import something",
        "from . import part",
        "from .part import something",
        "def build():\n    from mine import part",
        "try:\n    import mine.part\nexcept ImportError:\n    pass",
    ],
)
def test_imports_are_followed(text: str) -> None:
    """Imports are followed in any form and at any place."""
    write(mine__nets=text, mine__part="import torch, os", mine__unused="")
    assert closure("mine.nets:build") == ["mine/nets.py", "mine/part.py"]


def test_what_runs_at_an_import_is_in_it() -> None:
    """Files that run at an import are included: packages' own files, and their imports, once each and in order."""
    write(mine__nets="from mine.deep.layers import Layer", mine__deep__layers="from ..tools import x")
    write(mine__tools="import mine.nets")
    for path in ("mine/__init__.py", "mine/deep/__init__.py"):
        Path(path).write_text("import helper\n" if "deep" in path else "")
    write(helper="")
    files = ["helper.py", "mine/__init__.py", "mine/deep/__init__.py", "mine/deep/layers.py", "mine/nets.py"]
    assert closure("mine.nets:build") == [*files, "mine/tools.py"]


def test_what_does_not_run_is_not_in_it() -> None:
    """Imports for type checkers only, the release's code, and installed packages are not included."""
    write(mine__types="", pipeline__train="")
    write(mine__nets="if TYPE_CHECKING:\n    import mine.types\nimport pipeline.train, numpy\n")
    assert closure("mine.nets:build") == ["mine/nets.py"]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("os:system", "os:system: no file os.py in the project's folder; correct the path, or add it"),
        (
            "torch.nn:Linear",
            "torch.nn:Linear: no file torch/nn.py in the project's folder; correct the path, or add it",
        ),
        ("mine.net:build", "mine.net:build: no file mine/net.py in the project's folder; correct the path, or add it"),
        ("pipeline.train:train", "pipeline.train:train: pipeline is the release's own package"),
        ("mine/../../other:build", "no name of a function"),
        ("outside.nets:build", "no file outside/nets.py in the project's folder"),
    ],
)
def test_only_files_of_the_project(project: Path, name: str, said: str) -> None:
    """Only files in the project are loaded, also by links, since a checkpoint may name anything."""
    write(mine__nets="", pipeline__train="")
    (project.parent / "elsewhere").mkdir()
    (project.parent / "elsewhere/nets.py").write_text("")
    Path("outside").symlink_to(project.parent / "elsewhere")
    with pytest.raises(ParamError) as raised:
        closure(name)
    assert said in str(raised.value)
    assert "\n" not in str(raised.value)


def test_what_is_not_python() -> None:
    """A file that is not Python is an error with the line."""
    write(mine__nets="import mine.part", mine__part="a = 1\nb = = 2\n")
    with pytest.raises(ParamError, match=r"mine/part.py:2: not Python \(invalid syntax\); correct it"):
        closure("mine.nets:build")
