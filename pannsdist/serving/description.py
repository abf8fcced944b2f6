"""The description of the API: OpenAPI, and a page of it whose files are all local."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.responses import HTMLResponse, Response
from fastapi.staticfiles import StaticFiles
from swagger_ui_bundle import swagger_ui_path

from pannsdist.serving.bodies import FORM, JSON, RAW
from pannsdist.serving.parameters import Parameters

PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>pannsdist API</title>
<link rel="stylesheet" href="docs/files/swagger-ui.css">
<link rel="icon" href="docs/files/favicon-32x32.png">
</head>
<body>
<div id="swagger-ui"></div>
<script src="docs/files/swagger-ui-bundle.js"></script>
<script src="docs/start.js"></script>
</body>
</html>
"""
START = """SwaggerUIBundle({ url: "openapi.json", dom_id: "#swagger-ui", deepLinking: true, validatorUrl: null });
"""
STYLES = "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; frame-ancestors 'none'"
"""Swagger UI writes styles into its elements."""
SECURITY = {"token": {"type": "http", "scheme": "bearer"}}
ERROR = {
    "type": "object",
    "properties": {
        "error": {
            "type": "object",
            "properties": {name: {"type": "string"} for name in ("code", "message", "hint")},
            "required": ["code", "message"],
        }
    },
}
REFUSED = {400: "no HTTP", 401: "the token", 404: "the model", 408: "too slow", 413: "too much", 415: "content type"}
REFUSED |= {422: "parameters, or no sound", 429: "the queue is full", 503: "stopping", 504: "the time limit"}


def responses(example: dict[str, Any]) -> dict[int | str, dict[str, Any]]:
    """The answers of a route with sounds, for OpenAPI."""
    refused: dict[int | str, dict[str, Any]] = {
        status: {"description": text, "content": {JSON: {"schema": ERROR}}} for status, text in REFUSED.items()
    }
    results = {"model": "NAME", "results": [{"sound": "dog.wav", **example, "remarks": [], "incomplete": None}]}
    return {200: {"description": "One result for each sound", "content": {JSON: {"example": results}}}, **refused}


def body(kind: type[Parameters]) -> dict[str, Any]:
    """The request of a route with sounds, for OpenAPI: its parameters stand in a form, in JSON, or in the query."""
    fields = kind.model_json_schema()["properties"]
    file = {"type": "string", "format": "binary"}
    form = {"file": {"type": "array", "items": file, "description": "sound files"}, **fields}
    audio = {"type": "string", "description": "a sound file in base64, or a list of them"}
    content = {
        FORM: {"schema": {"type": "object", "properties": form, "required": ["file"]}},
        JSON: {"schema": {"type": "object", "properties": {"audio": audio, **fields}, "required": ["audio"]}},
        RAW: {"schema": file},
    }
    query = [{"name": name, "in": "query", "required": False, "schema": schema} for name, schema in fields.items()]
    return {"requestBody": {"required": True, "content": content}, "parameters": query, "security": [{"token": []}]}


def add_description(app: FastAPI) -> None:
    """Add /docs, and its files."""

    async def docs() -> Response:
        return HTMLResponse(PAGE, headers={"content-security-policy": STYLES})

    async def start() -> Response:
        return Response(START, media_type="text/javascript")

    app.add_api_route("/docs", docs, include_in_schema=False)
    app.add_api_route("/docs/start.js", start, include_in_schema=False)
    app.mount("/docs/files", StaticFiles(directory=str(swagger_ui_path)))
    made = app.openapi

    def openapi() -> dict[str, Any]:
        found: dict[str, Any] = made()
        found.setdefault("components", {})["securitySchemes"] = SECURITY
        return found

    app.openapi = openapi
