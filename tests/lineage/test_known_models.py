"""Known models are those recorded by any commit or by the workspace."""

from pathlib import Path

import pytest
from lineage.test_acceptance import FIRST, SECOND, THIRD, train
from lineage.test_history import git, recorded

from pipeline import paths
from pipeline.lineage.known_models import known_models, recorded_models
from pipeline.lineage.lineage import RECORDED


@pytest.fixture(autouse=True)
def _repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make a repository without a commit."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    git("init", "--quiet", "--initial-branch=main")


def test_any_commit_and_the_workspace() -> None:
    """Models on other branches, and rolled back ones, are known; of several records the newest counts."""
    train(FIRST, None, 1)
    git("checkout", "--quiet", "-b", "other")
    train(SECOND, FIRST, 2)
    git("checkout", "--quiet", "main")
    git("branch", "--quiet", "-D", "other")
    train(FIRST, None, 1, accepted=False)
    RECORDED.write_text(recorded(THIRD, FIRST, 2).model_dump_json())
    assert recorded_models().keys() == {FIRST, SECOND}
    assert known_models().keys() == {FIRST, SECOND, THIRD}
    assert known_models()[FIRST].accepted is False


def test_without_history(tmp_path: Path) -> None:
    """Without a commit or a repository, the workspace's model is known."""
    assert known_models() == {}
    paths.REPORT.mkdir(parents=True)
    RECORDED.write_text(recorded(FIRST).model_dump_json())
    assert list(known_models()) == [FIRST]
    (tmp_path / ".git").rename(tmp_path / "git")
    assert list(known_models()) == [FIRST]
