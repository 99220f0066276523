"""Serve one page over HTTP to browsers on this machine, until a signal ends it."""

import signal
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from pipeline.errors import ServingError
from pipeline.signals import INTERRUPTED, stoppable

HOST = "127.0.0.1"
# Accepted Host headers. A foreign domain may resolve to 127.0.0.1 (DNS rebinding); its pages must not read this one.
NAMES = (HOST, "localhost")


def host(page: Path, port: int, tell: Callable[[str], None]) -> int:
    """Serve the file `page` until SIGINT, SIGTERM or SIGHUP, and return the exit status.

    The file is read at each request. `tell` is called with the page's address.

    Raises:
        ServingError: the server cannot listen on `port`.
    """

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            name, _, _ = self.headers.get("Host", "").rpartition(":")
            if name not in NAMES or self.path != "/":
                self.send_error(HTTPStatus.NOT_FOUND)
                return
            content = page.read_bytes()
            self.send_response(HTTPStatus.OK)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Length", str(len(content)))
            self.send_header("Cache-Control", "no-store")
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            """Log no requests."""

    try:
        server = ThreadingHTTPServer((HOST, port), Handler)
    except OSError as error:
        hint = "stop what listens there, or choose another by --port; 0 takes one that is free"
        raise ServingError(f"{HOST}:{port}", f"cannot listen there: {error.strerror}", hint) from None
    with server:
        try:
            with stoppable((signal.SIGINT, signal.SIGTERM, signal.SIGHUP)):
                tell(f"http://{HOST}:{server.server_port}/")
                server.serve_forever()
        except KeyboardInterrupt:
            print("pipeline: ended", flush=True)
    return INTERRUPTED
