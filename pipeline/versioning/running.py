"""Detects a running DVC command: during a stage, DVC's only lock is its note of the paths that it reads and writes."""

import json
from pathlib import Path

import psutil

# DVC's file with these notes.
RWLOCK = Path(".dvc/tmp/rwlock")


def running_command() -> str | None:
    """Return the command and pid of the DVC process that is running a stage; None if there is none."""
    try:
        locks = json.loads(RWLOCK.read_bytes())
        holders = [*locks.get("write", {}).values(), *(one for each in locks.get("read", {}).values() for one in each)]
        return next((f"{one['cmd']} (pid {one['pid']})" for one in holders if psutil.pid_exists(one["pid"])), None)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError):
        return None  # The file is missing, or DVC is writing it.
