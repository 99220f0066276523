"""How a command adds itself to the command line."""

import argparse
from collections.abc import Callable

# Takes what runs a command, named after it, and a line about it; returns the parser that its arguments go to.
Register = Callable[[Callable[[argparse.Namespace], int], str], argparse.ArgumentParser]
