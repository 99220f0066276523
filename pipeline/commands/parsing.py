"""How a command registers itself with the argument parser, and types of its arguments."""

import argparse
from collections.abc import Callable

HIGHEST_PORT = 65535
# Takes the function that runs a command (its name gives the command's name) and the command's one-line help;
# returns the parser to which the command adds its arguments.
Register = Callable[[Callable[[argparse.Namespace], int], str], argparse.ArgumentParser]


def count(text: str) -> int:
    """Parse a positive integer.

    Raises:
        argparse.ArgumentTypeError: `text` is not an integer of at least 1.
    """
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least 1")
    return int(text)


def port(text: str) -> int:
    """Parse a port number.

    Raises:
        argparse.ArgumentTypeError: `text` is not an integer from 0 to `HIGHEST_PORT`.
    """
    if not text.isdecimal() or int(text) > HIGHEST_PORT:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 to {HIGHEST_PORT}")
    return int(text)
