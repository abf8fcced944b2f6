"""A web server on this machine that serves a folder by ranges, as stores do; prints its port, and serves until killed.

python benchmarks/range_server.py FOLDER
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any


class Handler(BaseHTTPRequestHandler):
    """Serves the files of `contents`."""

    protocol_version = "HTTP/1.1"
    contents: dict[str, bytes]

    def do_HEAD(self) -> None:
        """Answer with the headers of a file."""
        self._answer()

    def do_GET(self) -> None:
        """Answer with a file, or a range of it."""
        self._answer()

    def _answer(self) -> None:
        content = self.contents.get(self.path.lstrip("/"))
        if content is None:
            self._send(404, b"", {})
            return
        headers = {"ETag": f'"{len(content)}"'}
        if span := re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", "")):
            first, last = int(span[1]), min(int(span[2]), len(content) - 1)
            part = content[first : last + 1]
            self._send(206, part, {**headers, "Content-Range": f"bytes {first}-{last}/{len(content)}"})
            return
        self._send(200, content, headers)

    def _send(self, status: int, content: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(content)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        """Print nothing."""


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """The URL of a server in a process of its own."""
    command = [sys.executable, __file__, str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:  # noqa: S603 - this program
        assert server.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(server.stdout.readline())}"
        finally:
            server.kill()


def serve(folder: str) -> None:
    """Serve a folder."""
    Handler.contents = {path.name: path.read_bytes() for path in Path(folder).iterdir() if path.is_file()}
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    print(server.server_address[1], flush=True)
    server.serve_forever()


if __name__ == "__main__":
    serve(sys.argv[1])
