"""The commands that `pipeline setup` configures in Git work wherever Python is installed."""

import sys
from pathlib import Path

from conftest import Project

from pipeline import paths


def test_python_in_any_folder(project: Project, tmp_path: Path) -> None:
    """Git's placeholders, spaces, quotes and non-ASCII letters in the path of Python are taken literally."""
    python = tmp_path / "100%Apples 'für \"more" / "bin" / "python"
    python.parents[1].symlink_to(Path(sys.executable).parents[1])
    project.run(str(python), "-m", "pipeline", "setup")
    for branch, row in (("main", "cat,tabby\n"), ("other", "dog,wolf\n")):
        project.git("checkout", "--quiet", "-B", branch, "HEAD" if branch == "main" else "main^")
        (project.root / paths.CLASSES).write_text(f"old,new\n{row}")
        project.commit()
    project.git("checkout", "--quiet", "main")
    assert "CONFLICT" not in project.git("merge", "--no-edit", "other")
    assert sorted(project.read(str(paths.CLASSES)).splitlines()[1:]) == ["cat,tabby", "dog,wolf"]
