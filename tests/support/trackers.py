"""Trackers as users have them: their packages, and a real MLflow server that a test starts and kills."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Self

import pytest
import requests
from conftest import ROOT
from support.servers import free_port

PACKAGES = ROOT / ".venv" / "trackers"
NONE_HERE = "there is no .venv/trackers here; `make check` puts it there"
ENV = {"PYTHONPATH": f"{ROOT}{os.pathsep}{PACKAGES}", "WANDB_MODE": "offline", "WANDB_SILENT": "true"}


class MlflowServer:
    """An MLflow server on a local port; its database outlives a stop."""

    def __init__(self, folder: Path) -> None:
        if not PACKAGES.is_dir():
            pytest.skip(NONE_HERE)
        self._folder, self.port = folder, free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        folder.mkdir()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def start(self) -> None:
        """Start the server, and wait until it answers."""
        command = [sys.executable, "-m", "mlflow", "server", "--port", str(self.port), "--workers", "1"]
        command += ["--backend-store-uri", f"sqlite:///{self._folder}/runs.db"]
        command += ["--artifacts-destination", str(self._folder / "artifacts")]
        env = {**os.environ, "PYTHONPATH": str(PACKAGES), "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
        with (self._folder / "log").open("a") as log:
            self.process = subprocess.Popen(
                command, env=env, cwd=self._folder, stdout=log, stderr=log, start_new_session=True
            )
        while not self._answers():
            assert self.process.poll() is None, (self._folder / "log").read_text()
            time.sleep(0.2)

    def kill(self) -> None:
        """Kill the server, like a power failure."""
        if self.process.returncode is None:  # Else the process id may belong to another process.
            os.killpg(self.process.pid, signal.SIGKILL)  # The server has child processes.
            self.process.wait()

    def runs(self) -> list[dict[str, Any]]:
        """Return all runs: their info, and data with params and the last value of each metric by name."""
        found = self._ask("POST", "experiments/search", json={"max_results": 100})["experiments"]
        ids = [one["experiment_id"] for one in found]
        runs = self._ask("POST", "runs/search", json={"experiment_ids": ids}).get("runs", [])
        for run in runs:
            for kind in ("params", "metrics"):
                run["data"][kind] = {one["key"]: one["value"] for one in run["data"].get(kind, [])}
        return list(runs)

    def points(self, run: dict[str, Any], metric: str) -> list[tuple[int, float]]:
        """Return all points of a metric of `run`, sorted by step."""
        asked = {"run_id": run["info"]["run_id"], "metric_key": metric, "max_results": 10000}
        found = self._ask("GET", "metrics/get-history", params=asked).get("metrics", [])
        return sorted((int(one.get("step", 0)), float(one["value"])) for one in found)

    def _ask(self, method: str, what: str, **asked: Any) -> dict[str, Any]:
        answer = requests.request(method, f"{self.url}/api/2.0/mlflow/{what}", timeout=60, **asked)
        answer.raise_for_status()
        return dict(answer.json())

    def _answers(self) -> bool:
        try:
            return requests.get(f"{self.url}/health", timeout=5).ok
        except requests.RequestException:
            return False
