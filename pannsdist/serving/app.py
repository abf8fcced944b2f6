"""The routes of the server."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect

from pannsdist import __version__
from pannsdist.serving import answers, paddlehub
from pannsdist.serving.bodies import Received
from pannsdist.serving.description import add_description, body, responses
from pannsdist.serving.failures import Refused
from pannsdist.serving.front import Application, Front, Gate
from pannsdist.serving.parameters import DetectParameters, Parameters, PredictParameters, TagParameters
from pannsdist.serving.service import Computing, Service

PAGE = Path(__file__).parent / "page"


@dataclass(frozen=True)
class Route:
    """A route with sounds: its parameters, what a model answers, and for the description a title and an example."""

    kind: type[Parameters]
    answer: answers.AnswerFunction
    title: str
    example: dict[str, Any]


SCORES = {"scores": [{"label": "dog", "score": 0.94}], "decision": None, "energy": None}
EVENTS = {"events": [{"onset_s": 2.0, "offset_s": 3.0, "label": "dog", "score": 0.93}]}
ROUTES = {
    "/v1/predict": Route(PredictParameters, answers.predicted, "The probability of every label", SCORES),
    "/v1/tag": Route(TagParameters, answers.tagged, "The labels that are there", SCORES),
    "/v1/detect": Route(DetectParameters, answers.detected, "Sound events with onset and offset", EVENTS),
    "/v1/embed": Route(Parameters, answers.embedded, "The embedding of each sound", {"embedding": [0.1, -0.2]}),
}
HUB = "/predict/{name}"
TITLES = {404: "not_found", 405: "method_not_allowed"}


def application(service: Service, token: str = "", origins: Sequence[str] = ()) -> Application:
    """The ASGI application of a service; an empty token asks for none, `origins` are web sites that may call it."""
    app = FastAPI(title="pannsdist", version=__version__, docs_url=None, redoc_url=None, redirect_slashes=False)
    for path, route in ROUTES.items():
        described = {"responses": responses(route.example), "openapi_extra": body(route.kind), "summary": route.title}
        handle = _computing(service, _always(service.computation(route.kind, route.answer)))
        app.add_api_route(path, handle, methods=["POST"], **described)
    hub = _computing(service, lambda request: paddlehub.computation(service, request.path_params["name"]))
    app.add_api_route(HUB, hub, methods=["POST"], summary="As `hub serving` of PaddleHub")
    _add_state(app, service)
    add_description(app)
    app.router.default = StaticFiles(directory=PAGE, html=True)  # a mount would hide wrong methods of routes
    for error, handler in ((Refused, _refused), (HTTPException, _http), (RequestValidationError, _invalid)):
        app.add_exception_handler(error, handler)
    app.add_exception_handler(Exception, _failed)
    known = [route.path for route in app.routes]
    inner: Application = Gate(app, service, token)
    if origins:
        allowed = {"allow_methods": ["GET", "POST"], "allow_headers": ["Authorization", "Content-Type"]}
        inner = CORSMiddleware(inner, allow_origins=list(origins), **allowed)
    return Front(inner, service, known)


def _computing(service: Service, choose: Callable[[Request], Computing]) -> Callable[[Request], Awaitable[Response]]:
    async def handle(request: Request) -> Response:
        with service.admitted() as slot:
            headers = request.headers
            body = await service.received(slot, headers.get("content-length", ""), _chunks(request))
            received = Received(headers.get("content-type", ""), body, request.url.query)
            found = await service.computed(slot, received, choose(request), lambda: _gone(request))
        return Response(found, media_type="application/json")

    return handle


def _always(compute: Computing) -> Callable[[Request], Computing]:
    return lambda _: compute


async def _chunks(request: Request) -> AsyncIterator[bytes]:
    try:
        async for chunk in request.stream():
            yield chunk
    except ClientDisconnect as error:
        raise Refused(499, "client_left", "the client closed the connection") from error


async def _gone(request: Request) -> None:
    """Until the client has closed the connection, after its body is read."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _add_state(app: FastAPI, service: Service) -> None:
    async def models() -> Response:
        return JSONResponse({"models": service.served.records()})

    async def healthz() -> Response:
        return JSONResponse({"status": "ok"})

    async def readyz() -> Response:
        if service.is_stopping:
            raise Refused(503, "stopping", "the server is stopping")
        return JSONResponse({"status": "ready"})

    async def metrics() -> Response:
        return Response(service.metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")

    app.add_api_route("/v1/models", models, summary="The models that are served")
    app.add_api_route("/healthz", healthz, summary="Whether the process answers")
    app.add_api_route("/readyz", readyz, summary="Whether requests are taken")
    app.add_api_route("/metrics", metrics, summary="Counters for Prometheus")


def _response(refused: Refused) -> Response:
    return Response(refused.body, refused.status, dict(refused.headers), "application/json")


async def _refused(_: Request, error: Refused) -> Response:
    return _response(error)


async def _http(request: Request, error: HTTPException) -> Response:
    code = TITLES.get(error.status_code, "refused")
    message = f"{request.method} {request.url.path[:200]}: {error.detail}"
    right = "the routes are on /docs"
    return _response(Refused(error.status_code, code, message, right, error.headers or {}))


async def _invalid(_: Request, error: RequestValidationError) -> Response:
    return _response(Refused(422, "bad_parameter", str(error.errors()[0].get("msg", ""))))


async def _failed(_: Request, __: Exception) -> Response:
    return _response(Refused(500, "internal", "the server failed; its own output says why"))
