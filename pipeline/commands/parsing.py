"""How a command adds itself to the command line, and what it reads from there."""

import argparse
from collections.abc import Callable

HIGHEST_PORT = 65535
# Takes what runs a command, named after it, and a line about it; returns the parser that its arguments go to.
Register = Callable[[Callable[[argparse.Namespace], int], str], argparse.ArgumentParser]


def count(text: str) -> int:
    """How many.

    Raises:
        argparse.ArgumentTypeError: it is no number from 1 on.
    """
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 on")
    return int(text)


def port(text: str) -> int:
    """A port.

    Raises:
        argparse.ArgumentTypeError: there is none of that number.
    """
    if not text.isdecimal() or int(text) > HIGHEST_PORT:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 to {HIGHEST_PORT}")
    return int(text)
