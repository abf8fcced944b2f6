"""What every request passes: headers for browsers, the token, the end of the server, and its count."""

from __future__ import annotations

import hmac
import sys
import time
import traceback
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any

from pannsdist.serving.failures import Refused
from pannsdist.serving.service import Service

Scope, Message = MutableMapping[str, Any], MutableMapping[str, Any]
Receive, Send = Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

HEALTH = ("/healthz", "/readyz")
PROTECTED = ("/v1/", "/predict/", "/metrics")
"""Where a token is asked for. The page and the description of the API hold nothing but what the package holds."""
OTHER = "other"
HEADERS = {
    "content-security-policy": (
        "default-src 'self'; img-src 'self' data: blob:; media-src 'self' blob:; style-src 'self'; object-src 'none'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
    "permissions-policy": "microphone=(self), camera=(), geolocation=()",
}


class Front:
    """The outermost application: adds headers to every response, counts it, and prints what failed."""

    def __init__(self, application: Application, service: Service, routes: Iterable[str]) -> None:
        self._application, self._service, self._routes = application, service, frozenset(routes)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        if scope["type"] != "http":
            await self._application(scope, receive, send)
            return
        started, status = time.monotonic(), [499]

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                status[0] = message["status"]
                message["headers"] = self._with_headers(message.get("headers", ()))
            await send(message)

        try:
            await self._application(scope, receive, sending)
        except Exception:  # noqa: BLE001 answered already, by the application's own handler
            print(f"error: {scope['method']} {scope['path']!r}\n{traceback.format_exc()}", file=sys.stderr, flush=True)
        finally:
            self._count(scope["path"], status[0], time.monotonic() - started)

    def _with_headers(self, given: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
        headers = list(given)
        present = {name.decode().lower() for name, _ in headers}
        headers += [(name.encode(), value.encode()) for name, value in HEADERS.items() if name not in present]
        if self._service.is_stopping:
            headers.append((b"connection", b"close"))
        return headers

    def _count(self, path: str, status: int, seconds: float) -> None:
        route = path if path in self._routes else "/predict/{name}" if path.startswith("/predict/") else OTHER
        self._service.metrics.requests.labels(route, str(status)).inc()
        self._service.metrics.seconds.labels(route).observe(seconds)


class Gate:
    """Lets a request in: not without the token where there is one, and no more once the server is stopping."""

    def __init__(self, application: Application, service: Service, token: str) -> None:
        self._application, self._service, self._token = application, service, token.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        if scope["type"] == "http" and (refused := self._refusal(scope)) is not None:
            await send_refused(refused, send)
        else:
            await self._application(scope, receive, send)

    def _refusal(self, scope: Scope) -> Refused | None:
        path = scope["path"]
        if self._service.is_stopping and path not in HEALTH:
            return Refused(503, "stopping", "the server is stopping", "repeat the request", {"Retry-After": "1"})
        if self._token and path.startswith(PROTECTED) and not self._has_token(scope):
            right = "send the header Authorization: Bearer TOKEN"
            more = {"WWW-Authenticate": 'Bearer realm="pannsdist"'}
            return Refused(401, "unauthorized", "the token is missing or wrong", right, more)
        return None

    def _has_token(self, scope: Scope) -> bool:
        given = next((value for name, value in scope["headers"] if name == b"authorization"), b"")
        scheme, _, token = given.partition(b" ")
        is_equal = hmac.compare_digest(token.strip(), self._token)
        return is_equal and scheme.lower() == b"bearer"


async def send_refused(refused: Refused, send: Send) -> None:
    """Answer a request with why it is refused."""
    headers = {"Content-Type": "application/json", "Content-Length": str(len(refused.body)), **refused.headers}
    pairs = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": refused.status, "headers": pairs})
    await send({"type": "http.response.body", "body": refused.body})
