"""What `pipeline` can do, a module a theme.

Each has `register`, which adds its commands: functions that take the parsed arguments and return the exit status.
"""

import argparse
from collections.abc import Callable

# Takes what runs a command, named after it, and a line about it; returns the parser that its arguments go to.
Register = Callable[[Callable[[argparse.Namespace], int], str], argparse.ArgumentParser]
