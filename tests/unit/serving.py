"""A real HTTP server for the download tests, which can also fail in the ways that servers do."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Server:
    """What is served at each path, and the paths that were asked for."""

    port: int = 0
    answers: dict[str, Callable] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    def serve(self, path: str, answer: Callable) -> str:
        self.answers[path] = answer
        return self.url(path)


def whole(data: bytes, wait_s: float = 0.0, **headers: str) -> Callable:
    def answer(handler):
        time.sleep(wait_s)
        send(handler, 200, len(data), data, headers)

    return answer


def half(data: bytes) -> Callable:
    """Says the whole length, sends half of it and hangs up."""
    return lambda handler: send(handler, 200, len(data), data[: len(data) // 2], {})


def stalling(data: bytes, released: threading.Event) -> Callable:
    """Sends half and then nothing, without hanging up."""

    def answer(handler):
        send(handler, 200, len(data), data[: len(data) // 2], {})
        handler.wfile.flush()
        released.wait(120)

    return answer


def without_length(data: bytes) -> Callable:
    return lambda handler: send(handler, 200, None, data, {})


def moved(url: str) -> Callable:
    return lambda handler: send(handler, 302, 0, b"", {"Location": url})


def send(handler, code: int, length: int | None, data: bytes, headers: dict[str, str]) -> None:
    handler.send_response(code)
    if length is not None:
        handler.send_header("Content-Length", str(length))
    for name, value in headers.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.end_headers()
    handler.wfile.write(data)


@contextmanager
def running() -> Iterator[Server]:
    server = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            server.asked.append(self.path)
            answer = server.answers.get(self.path.partition("?")[0])
            if answer is None:
                self.send_error(404)
            else:
                answer(self)

        def do_CONNECT(self):
            """What a proxy is asked for an https address."""
            server.asked.append(self.path)
            self.send_error(403)

        def log_message(self, *_):
            pass

    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.port = httpd.server_address[1]
    thread = threading.Thread(target=httpd.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield server
    finally:
        httpd.shutdown()
        httpd.server_close()
        thread.join()
