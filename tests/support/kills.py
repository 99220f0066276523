"""Trainings that are killed."""

import os
import random
import subprocess
import sys

import torch

from pipeline import paths

# Says when lightning, which takes seconds, is imported.
SCRIPT = "import sys, lightning; print(flush=True); from pipeline.cli import main; sys.exit(main(['run', 'train']))"
KILLS = 4


def train_with_kills(low: float, high: float) -> int:
    """Train data/model, killed as power fails, so many seconds after it began or later each time; how often it was."""
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
