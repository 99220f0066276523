"""Which command of DVC's is running here: during a stage DVC notes what it reads and writes, and locks nothing else."""

import json
from pathlib import Path

import psutil

# Where DVC notes that.
RWLOCK = Path(".dvc/tmp/rwlock")


def running_command() -> str | None:
    """The command and process of DVC's that is in the middle of a stage, if one is."""
    try:
        locks = json.loads(RWLOCK.read_bytes())
        holders = [*locks.get("write", {}).values(), *(one for each in locks.get("read", {}).values() for one in each)]
        return next((f"{one['cmd']} (pid {one['pid']})" for one in holders if psutil.pid_exists(one["pid"])), None)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError):
        return None  # There is none, or DVC is writing it.
