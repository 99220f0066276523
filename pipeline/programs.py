"""Programs that run for us, and end with us."""

import os
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import NoReturn

# What a kill, and a terminal that is closed, send.
ENDS = (signal.SIGTERM, signal.SIGHUP)


@contextmanager
def stoppable() -> Iterator[None]:
    """Let what else ends this process do so as ^C does, so that nothing is left behind."""
    before = {number: signal.getsignal(number) for number in ENDS}
    for number, handler in before.items():
        if handler != signal.SIG_IGN:  # As `nohup` wants it.
            signal.signal(number, _stop)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def run(command: Sequence[str], *, cwd: Path, env: Mapping[str, str], stdout: int | None = None) -> int:
    """Run `command` in `cwd`, its output going where ours does, or to the file of number `stdout`.

    ^C does not reach it: whatever is raised here meanwhile ends it, and the processes that it has started.

    Returns:
        its exit status, negative where a signal has ended it.
    """
    with subprocess.Popen(  # noqa: S603
        command, cwd=cwd, env=env, stdin=subprocess.DEVNULL, stdout=stdout, start_new_session=True
    ) as child:
        try:
            return child.wait()
        except BaseException:
            child.kill()
            with suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGTERM)
            child.wait()  # After ^C, leaving `with` does not.
            raise


def _stop(_number: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt
