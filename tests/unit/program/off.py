"""A cloud that says which servers are off, as the program asks it."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from mesh.program.machines.hetzner.api import CloudAccess


class _Cloud(BaseHTTPRequestHandler):
    """Answers with one server on each page."""

    server: Any

    def do_GET(self) -> None:
        query = parse_qs(urlsplit(self.path).query)
        if self.server.off:
            stack = self.server.off[0].partition("-")[0]
            assert query["label_selector"] == [f"wireguard-mesh/stack={stack}"]
        assert query["status"] == ["off"]
        page = int(query["page"][0])
        answer = {
            "servers": [{"name": name} for name in self.server.off[page - 1 : page]],
            "meta": {"pagination": {"next_page": page + 1 if page < len(self.server.off) else None}},
        }
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(answer).encode())

    def log_message(self, *_words: object) -> None:
        """Say nothing."""


@contextmanager
def cloud_with_servers_off(*names: str) -> Iterator[CloudAccess]:
    """Serve a cloud in which these servers are off, by their names there: stack and node."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Cloud) as server:
        server.off = names  # type: ignore[attr-defined]
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield CloudAccess(token="t" * 64, endpoint=f"http://127.0.0.1:{server.server_port}/v1")
        finally:
            server.shutdown()
