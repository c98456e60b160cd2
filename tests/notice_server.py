"""A server on this machine that keeps what it is sent, as ntfy or a webhook would."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any


@dataclass
class Received:
    """One request."""

    path: str
    headers: dict[str, str]
    body: Any


@dataclass
class NoticeServer:
    """`address` leads to it; it answers with `status`."""

    address: str
    status: int = 200
    requests: list[Received] = field(default_factory=list)

    def to(self, path: str) -> list[Received]:
        return [each for each in self.requests if each.path == path]


@contextlib.contextmanager
def notice_server(status: int = 200) -> Iterator[NoticeServer]:
    """Serve until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            found.requests.append(Received(self.path, dict(self.headers), json.loads(body)))
            self.send_response(found.status)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    found = NoticeServer(f"http://127.0.0.1:{server.server_port}", status)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield found
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
