"""Kill trainings and commands at chosen moments."""

import os
import random
import subprocess
import sys
from pathlib import Path

import torch
from conftest import ROOT

from pipeline import paths

# Prints a line once lightning, which takes seconds, is imported.
SCRIPT = "import sys, lightning; print(flush=True); from pipeline.cli import main; sys.exit(main(['run', 'train']))"
KILLS = 4


def train_with_kills(low: float, high: float) -> int:
    """Train data/model, and kill it up to `KILLS` times; return the number of kills.

    The first kill comes `low` to `high` seconds after the start; later kills come later.
    """
    chance, kills = random.Random(0), 0
    environment = {**os.environ, "OMP_NUM_THREADS": str(torch.get_num_threads())}
    while not paths.MODEL.exists():
        with subprocess.Popen([sys.executable, "-c", SCRIPT], env=environment, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            process.stdout.readline()
            try:
                assert process.wait(chance.uniform(low, high) * (1 + kills) if kills < KILLS else 60) == 0
            except subprocess.TimeoutExpired:
                process.kill()
                kills += 1
    return kills


# Kills itself before the nth write, move, deletion or command that names `moment`.
DYING = """
import os, sys
moment, left = sys.argv.pop(1), int(sys.argv.pop(1))
PLACES = {"open": 0, "os.mkdir": 0, "os.remove": 0, "os.rmdir": 0, "os.rename": 1, "subprocess.Popen": 1}
def hook(event, arguments):
    global left
    if event in PLACES and (event != "open" or (arguments[2] or 0) & (os.O_WRONLY | os.O_RDWR)):
        left -= moment in str(arguments[PLACES[event]])
        if not left:
            os.kill(os.getpid(), 9)
sys.addaudithook(hook)
from pipeline.cli import main
sys.exit(main(sys.argv[1:]))
"""


def kill_before(moment: str, *arguments: str, folder: Path, nth: int = 1) -> bool:
    """Run a command of the pipeline in `folder`; kill it before the `nth` write, move or command that names `moment`.

    Returns whether it was killed; else the command has succeeded.
    """
    code = folder if (folder / "pipeline").exists() else ROOT
    command = [sys.executable, "-c", DYING, moment, str(nth), *arguments]
    ran = subprocess.run(command, cwd=folder, env={**os.environ, "PYTHONPATH": str(code)}, check=False)
    assert ran.returncode in (0, -9)
    return ran.returncode != 0
