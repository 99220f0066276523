"""`pipeline report` finds, opens and serves the report of evaluate."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import requests
from conftest import ROOT
from support.reported import made
from support.serving import Served

from pipeline import cli, paths
from pipeline.evaluation.report.page import PAGE, render
from pipeline.lineage.lineage import RECORDED
from pipeline.lineage.recorded_metrics import in_files


@pytest.fixture
def evaluated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a project with an evaluation, without a repository."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER"):
        monkeypatch.delenv(name, raising=False)
    facts = made()
    paths.PIPELINE.write_text("stages: {}\n")
    paths.REPORT.mkdir(parents=True)
    for path, figures in in_files(facts.findings.metrics).items():
        path.write_text(json.dumps(figures))
    RECORDED.write_text(facts.findings.recorded.model_dump_json())
    PAGE.write_text(render(facts), encoding="utf-8")
    return tmp_path


def test_page_is_found(evaluated: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without a browser, the page's address is printed."""
    assert cli.main(["report", "--open"]) == 0
    line, hint = capsys.readouterr().out.splitlines()
    assert line.startswith(f"{PAGE}: generation 3, test accuracy ")
    assert hint == f"no browser can be opened here; the page is {(evaluated / PAGE).as_uri()}"
    assert cli.main(["report", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["page"] == str(PAGE)


@pytest.mark.skipif(sys.platform == "win32", reason="a script of the shell's")
def test_page_is_opened(evaluated: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The page is opened in the browser that BROWSER names."""
    browser = evaluated / "browser"
    browser.write_text('#!/bin/sh\necho "$1" > opened\n')
    browser.chmod(0o755)
    monkeypatch.setenv("BROWSER", str(browser))
    command = [sys.executable, "-m", "pipeline", "report", "--open"]
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    ran = subprocess.run(command, check=True, capture_output=True, text=True)
    assert "no browser" not in ran.stdout
    assert Path("opened").read_text().strip() == (evaluated / PAGE).as_uri()


def test_nothing_to_report(evaluated: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A missing report is a one-line error."""
    assert cli.main(["report", "no-such"]) == 1
    assert "no-such: no commit, branch, tag or experiment" in capsys.readouterr().err
    PAGE.unlink()
    assert cli.main(["report"]) == 1
    assert f"{PAGE} of workspace: is not recorded" in capsys.readouterr().err
    paths.METRICS.unlink()
    assert cli.main(["report"]) == 1
    assert "there is no evaluation yet; run `dvc repro`" in capsys.readouterr().err
    assert (evaluated / "data").exists()


def test_serving(evaluated: Path) -> None:
    """The server returns the current page only, refuses other host names, and ends with one line after ^C."""
    with Served(evaluated, "--serve", command="report") as server:
        assert server.url.startswith("http://127.0.0.1:")
        assert server.get("").text == PAGE.read_text(encoding="utf-8")
        PAGE.write_text("<!doctype html>newer", encoding="utf-8")
        assert server.get("").text == "<!doctype html>newer"
        assert server.get("data/report/metrics.json").status_code == 404
        assert server.get("../dvc.yaml").status_code == 404
        assert requests.get(server.url, headers={"Host": "evil.example:80"}, timeout=60).status_code == 404
        server.process.send_signal(signal.SIGINT)
        assert server.process.wait(60) == 130
        assert server.log.splitlines()[-1] == "pipeline: ended"
        assert "Traceback" not in server.log
