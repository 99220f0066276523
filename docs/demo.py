"""Demonstrates a growing data set in a temporary folder: `make demo`.

It shows the real output of each command, and fails if a step does not have the stated result.
"""

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from ruamel.yaml import YAML

ROOT = Path(__file__).parent.parent
SAMPLE = ROOT / "data" / "sample"
STORY: dict[str, dict[str, object]] = {
    "ingest": {"mode": "rgb", "size": 256, "strip": {}, "columns": {}, "max_refused": 0.5},
    "manifest": {
        "split": {"val": 0.1, "test": 0.1, "by": "hash", "group": None},
        "cold_after": "",
        "seed": 0,
    },
    "train": {
        "model": "small",
        "pretrained": False,
        "size": 28,
        "epochs": 12,
        "passes": 11.0,
        "freeze": "none",
        "optimizer": "schedule_free",
        "loss": "cross_entropy",
        "augment": {"shift": 0.04, "flip": False},
    },
    "compute": {"nodes": 1, "launcher": "none", "progress": "off"},
}


def main() -> None:
    """Run the demonstration."""
    with tempfile.TemporaryDirectory(prefix="treering-demo-") as folder:
        project = Path(folder) / "project"
        # Independent of the Git repository that this folder is in.
        _run(ROOT, sys.executable, "-m", "pipeline", "init", str(project))
        _set_params(project)
        _save(project, "a new project")
        raw = project / "data/raw"

        _say("1,000 images of 8 classes. The first training starts from scratch.")
        shutil.copy(SAMPLE / "1-initial.zip", raw)
        out = _repro(project)
        _must("1,000 new" in out, "ingest decodes all images")
        _must("cold start" in out and "generation 1" in out, "training starts from scratch, and says so")
        first = _recorded(project, "data/model")
        _save(project, "1,000 images")

        _say("3,000 more. Training resumes from the checkpoint that dvc.lock records.")
        shutil.copy(SAMPLE / "2-more.zip", raw)
        out = _repro(project)
        _must("3,000 decoded" in out, "ingest decodes the new images only")
        _must(f"warm start from {first[:8]}" in out and "generation 2" in out, "training starts warm")
        _must(_recorded(project, "data/base") == first, "dvc.lock: the base is the model that was recorded before")
        _save(project, "3,000 more")

        _say("A copy of an image, under another name. Nothing is trained.")
        with zipfile.ZipFile(SAMPLE / "1-initial.zip") as archive:
            (raw / "Coat").mkdir()
            (raw / "Coat" / "a copy.png").write_bytes(archive.read("Coat/0000.png"))
        out = _repro(project)
        _must("0 new" in out, "ingest sees that it is no new image")
        _must("Stage 'train' didn't change" in out, "training does not run")
        _save(project, "a copy")

        _say("600 images of 2 new classes. The head of the network grows, and training resumes.")
        second = _recorded(project, "data/model")
        shutil.copy(SAMPLE / "3-new-classes.zip", raw)
        out = _repro(project)
        _must("10 classes" in out, "there are 10 classes now")
        _must(f"warm start from {second[:8]}" in out and "generation 3" in out, "training starts warm again")
        _save(project, "2 new classes")

        _say("Everything again, by force: the same bytes.")
        _repro(project, "--force")
        _run(project, "git", "diff", "--exit-code", "HEAD", "--", "dvc.lock")
        _must(True, "dvc.lock has not changed")

        _say("The story, as Git has it:")
        _run(project, "git", "log", "--oneline", "--", "dvc.lock")
        _run(project, "pipeline", "log")


def _set_params(project: Path) -> None:
    """Set the params of the demonstration, regardless of the local params.yaml."""
    yaml = YAML()
    params = yaml.load(project / "params.yaml")
    for section, values in STORY.items():
        params[section].update(values)
    yaml.dump(params, project / "params.yaml")
    _run(project, sys.executable, "-m", "pipeline", "setup")  # Removes the user's own code from the deps in dvc.yaml.


def _say(text: str) -> None:
    print(
        f"\n\033[1m=== {text}\033[0m" if sys.stdout.isatty() and not os.environ.get("NO_COLOR") else f"\n=== {text}",
        flush=True,
    )


def _run(folder: Path, *command: str) -> str:
    """Run `command` in `folder`; show its output, and return it."""
    print(f"$ {shlex.join(command)}", flush=True)
    with subprocess.Popen(command, cwd=folder, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        assert process.stdout is not None
        lines = []
        for line in process.stdout:
            print(line, end="", flush=True)
            lines.append(line)
    if process.returncode:
        sys.exit(f"demo: {shlex.join(command)} exited with {process.returncode}")
    return "".join(lines)


def _repro(project: Path, *flags: str) -> str:
    return _run(project, "dvc", "repro", *flags)


def _save(project: Path, message: str) -> None:
    _run(project, "git", "add", "--all")
    _run(project, "git", "-c", "user.name=demo", "-c", "user.email=demo@localhost", "commit", "--quiet", "-m", message)


def _recorded(project: Path, path: str) -> str:
    """Return the hash of the output `path` in dvc.lock."""
    stages = YAML(typ="safe").load(project / "dvc.lock")["stages"].values()
    return next(str(out["md5"]) for stage in stages for out in stage["outs"] if out["path"] == path)


def _must(holds: bool, what: str) -> None:  # noqa: FBT001 (reads as a sentence)
    if not holds:
        sys.exit(f"demo: NOT SO: {what}")
    print(f"  ✓ {what}", flush=True)


if __name__ == "__main__":
    main()
