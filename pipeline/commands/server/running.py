"""Run the server: listen on a port, load the model, handle requests until a signal comes."""

import os
import signal
import socket
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.commands.packages import need
from pipeline.errors import ServingError, one_line
from pipeline.params import read_params
from pipeline.signals import INTERRUPTED, stoppable
from pipeline.text import counted, short, shown

if TYPE_CHECKING:
    from pipeline.commands.serve.model import Model

# The packages of the extra `serve`, and their module names.
NEEDED, MODULES = ("starlette", "uvicorn", "python-multipart"), ("starlette", "uvicorn", "python_multipart")
# Maximum number of running and waiting requests; further requests get status 503.
WAITING = 256
# Seconds that running requests get to end after a signal.
GRACE = 10


def check_packages() -> None:
    """Check that the packages for serving are installed.

    Raises:
        ServingError: a package is missing.
    """
    need(NEEDED, MODULES, "pipeline serve", ServingError)


def serve(folder: Path, host: str, port: int, *, limit: int, verbose: bool) -> int:
    """Serve the model in `folder` until a signal comes, and return the exit status. A request may have `limit` bytes.

    Raises:
        TreeringError: the server cannot start, for example because the port is taken or there is no model.
    """
    import uvicorn

    from pipeline.commands.server.app import Service, make_app
    from pipeline.commands.server.current import Current
    from pipeline.commands.server.decoders import Decoders

    params = read_params()
    with _listening(host, port) as listener:
        current = Current(folder)
        service = Service(current, Decoders(params.compute.workers or os.cpu_count() or 1), limit)
        config = uvicorn.Config(
            make_app(service, host),
            access_log=verbose,
            limit_concurrency=WAITING,
            log_config=None,
            server_header=False,
            timeout_graceful_shutdown=GRACE,
            ws="none",
        )
        print(f"serving {_about(folder, current.model)} on {_address(host, listener)}; ^C ends it", flush=True)
        try:
            with stoppable((signal.SIGINT, signal.SIGTERM, signal.SIGHUP)):
                uvicorn.Server(config).run(sockets=[listener])
        except KeyboardInterrupt:
            print("pipeline: ended", flush=True)
        return INTERRUPTED


def _about(folder: Path, model: "Model") -> str:
    classes = counted(len(model.classes), "class", "classes")
    return f"{shown(str(folder))} ({short(model.hash)}, generation {model.lineage.generation}, {classes})"


def _address(host: str, listener: socket.socket) -> str:
    return f"http://{f'[{host}]' if ':' in host else host}:{listener.getsockname()[1]}"


def _listening(host: str, port: int) -> socket.socket:
    """Return a socket that listens on `host` and `port`.

    Raises:
        ServingError: the socket cannot listen there.
    """
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        return socket.create_server(address, family=family)
    except OSError as error:
        # Python's own message for an address in use repeats the address.
        said = os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror or one_line(error)
        what = f"cannot listen there: {said}"
        hint = "stop what listens there, or choose another by --port; 0 takes one that is free"
        raise ServingError(f"{host}:{port}", what, hint) from None
