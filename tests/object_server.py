"""A real web server with ranges, entity tags and conditions, whose answers a test may replace by those of faults."""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote

Fault = Callable[["Handler"], bool]
"""Answers a request in place of the server, or gives False and leaves it to it."""


@dataclass
class Objects:
    """What is served by path, and how. `asked` has (method, path, range, authorization) of every request.

    `faults` are called in turn for each request, until one of them has answered.
    """

    port: int = 0
    content: dict[str, bytes] = field(default_factory=dict)
    headers: dict[str, dict[str, str]] = field(default_factory=dict)
    asked: list[tuple[str, str, str, str]] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    has_ranges: bool = True
    has_tags: bool = True
    has_head: bool = True
    released: threading.Event = field(default_factory=threading.Event)

    def url(self, path: str = "") -> str:
        return f"http://127.0.0.1:{self.port}/{path}"

    def put(self, path: str, content: bytes) -> str:
        self.content[path] = content
        return self.url(path)

    def count(self, method: str) -> int:
        return sum(one[0] == method for one in self.asked)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    objects: Objects

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self.sent = b"".join(self._chunks()) if "Transfer-Encoding" in self.headers else self._rest()
        self._answer()

    def do_PUT(self) -> None:
        self.do_POST()

    def do_HEAD(self) -> None:
        self._answer()

    def _answer(self) -> None:
        objects = self.objects
        self.key = unquote(self.path.partition("?")[0].lstrip("/"))
        self.span = self.headers.get("Range", "")
        objects.asked.append((self.command, self.path, self.span, self.headers.get("Authorization", "")))
        if any(fault(self) for fault in list(objects.faults)):
            return
        if self.command == "HEAD" and not objects.has_head:
            self.send(405, {})
        elif self.key not in objects.content:
            self.send(404, {}, b"nothing is here")
        else:
            self.serve(objects.content[self.key])

    def _rest(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def _chunks(self) -> Iterator[bytes]:
        while size := int(self.rfile.readline(), 16):
            yield self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()

    def serve(self, content: bytes) -> None:
        tag = tag_of(content)
        headers = {"Content-Type": "application/octet-stream", **self.objects.headers.get(self.key, {})}
        if self.objects.has_tags:
            headers["ETag"] = tag
            if self.headers.get("If-Match", tag) != tag:
                self.send(412, {})
                return
        span = re.fullmatch(r"bytes=(\d+)-(\d+)", self.span) if self.objects.has_ranges else None
        if not span:
            self.send(200, headers, content)
            return
        first, last = int(span[1]), min(int(span[2]), len(content) - 1)
        if first >= len(content):
            self.send(416, {"Content-Range": f"bytes */{len(content)}"})
            return
        self.send(206, {**headers, "Content-Range": f"bytes {first}-{last}/{len(content)}"}, content[first : last + 1])

    def send(self, status: int, headers: dict[str, str], content: bytes = b"", length: int | None = None) -> bool:
        """An answer; `length` is what it says of its content, where that is not true."""
        self.send_response(status)
        for name, value in {"Content-Length": str(len(content) if length is None else length), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)
        if length is not None and length != len(content):
            self.close_connection = True
        return True

    def log_message(self, *_: object) -> None:
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, *_: object) -> None:
        """Nothing: clients of these tests hang up."""


@contextmanager
def running() -> Iterator[Objects]:
    objects = Objects()
    handler = type("OwnHandler", (Handler,), {"objects": objects})
    httpd = Server(("127.0.0.1", 0), handler)
    objects.port = httpd.server_address[1]
    thread = threading.Thread(target=httpd.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield objects
    finally:
        objects.released.set()
        httpd.shutdown()
        httpd.server_close()
        thread.join()


def tag_of(content: bytes) -> str:
    return f'"{hashlib.md5(content).hexdigest()}"'


def whole(handler: Handler) -> dict[str, str]:
    """The headers of the whole object as one part, as it is asked for of a small one."""
    content = handler.objects.content[handler.key]
    return {"Content-Range": f"bytes 0-{len(content) - 1}/{len(content)}", "ETag": tag_of(content)}


def times(count: int, fault: Fault, method: str = "GET") -> Fault:
    """A fault of the first `count` requests of a method."""
    left = [count]

    def answer(handler: Handler) -> bool:
        if handler.command != method or left[0] <= 0:
            return False
        left[0] -= 1
        return fault(handler)

    return answer


def status(code: int, **headers: str) -> Fault:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda handler: handler.send(code, named, b"no")


def reset(handler: Handler) -> bool:
    """Hangs up without an answer."""
    handler.close_connection = True
    return True


def half(handler: Handler) -> bool:
    """Says the whole length, sends half of it and hangs up."""
    content = handler.objects.content[handler.key]
    return handler.send(206, whole(handler), content[: len(content) // 2], len(content))


def other_length(handler: Handler) -> bool:
    """Says half of the length, although the range is whole."""
    content = handler.objects.content[handler.key]
    return handler.send(206, whole(handler), content[: len(content) // 2])


def hang(handler: Handler) -> bool:
    """Sends nothing, and does not hang up."""
    handler.objects.released.wait(60)
    handler.close_connection = True
    return True


def drip(handler: Handler) -> bool:
    """Sends a byte, and another one later, for ever."""
    content = handler.objects.content[handler.key]
    handler.send_response(206)
    handler.send_header("Content-Length", str(len(content)))
    for name, value in whole(handler).items():
        handler.send_header(name, value)
    handler.end_headers()
    for at in range(len(content)):
        handler.wfile.write(content[at : at + 1])
        handler.wfile.flush()
        if handler.objects.released.wait(0.02):
            break
    handler.close_connection = True
    return True


def every(hundredth: int, fault: Fault) -> Fault:
    """A fault of each so manieth request, of whatever method; an object is never met twice in a row."""
    count = [0]

    def answer(handler: Handler) -> bool:
        count[0] += 1
        return count[0] % hundredth == 0 and fault(handler)

    return answer
