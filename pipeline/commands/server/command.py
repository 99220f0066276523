"""The command `pipeline serve`."""

import argparse
from pathlib import Path

from pipeline import paths
from pipeline.commands.parsing import Register, count, port

# The default address is reachable from this machine only.
HOST, PORT = "127.0.0.1", 8000
# Maximum size of a request, in MiB.
LIMIT = 32


def register(command: Register) -> None:
    """Add the command to the parser."""
    sub = command(_serve, "classify images over HTTP, with a page to drop them on")
    sub.add_argument("--host", default=HOST, metavar="ADDRESS", help=f"0.0.0.0: for all machines; default: {HOST}")
    sub.add_argument("--port", type=port, default=PORT, metavar="N", help=f"0: any free port; default: {PORT}")
    sub.add_argument(
        "--limit", type=count, default=LIMIT, metavar="MIB", help=f"maximum size of a request; default: {LIMIT}"
    )
    sub.add_argument("--model", type=Path, default=paths.MODEL, metavar="DIR", help=f"default: {paths.MODEL}")
    sub.epilog = (
        f"A newer model in {paths.MODEL} is served as soon as it is accepted; one in another DIR needs no acceptance. "
        "docs/serving.md explains requests and answers."
    )


def _serve(args: argparse.Namespace) -> int:
    from pipeline.commands.server.running import check_packages, serve

    check_packages()
    return serve(args.model, args.host, args.port, limit=args.limit * 2**20, verbose=args.verbose)
