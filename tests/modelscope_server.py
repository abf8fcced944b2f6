"""A small server with the addresses of ModelScope for models, as `modelscope_hub` asks for them."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

import object_server

TOKEN = "ms-secretwriter"
PUBLIC, PRIVATE = 5, 1


@dataclass
class Hub:
    """Files by repository and branch, visibilities, and what was uploaded as a large file."""

    objects: object_server.Objects
    files: dict[str, dict[str, dict[str, bytes]]] = field(default_factory=dict)
    visibility: dict[str, int] = field(default_factory=dict)
    large: dict[str, bytes] = field(default_factory=dict)
    damaged: set[str] = field(default_factory=set)
    """Names of files that are sent with a byte changed."""


@contextmanager
def running() -> Iterator[Hub]:
    with object_server.running() as objects:
        hub = Hub(objects)
        objects.faults.append(lambda handler: _answered(hub, handler))
        yield hub


def _answered(hub: Hub, handler: Any) -> bool:
    parts, query = handler.key.split("/"), parse_qs(urlsplit(handler.path).query)
    writes = handler.headers.get("Authorization") == f"Bearer {TOKEN}"
    if handler.command == "PUT":
        hub.large[parts[-1]] = handler.sent
        return _json(handler, {})
    if handler.command == "POST":
        return _posted(hub, handler, parts, json.loads(handler.sent)) if writes else _refused(handler, 401)
    name = "/".join(parts[-3:-1] if parts[-1] == "repo" else parts[-4:-2] if parts[-1] == "files" else parts[-2:])
    branches = hub.files.get(name, {})
    files = branches.get(query.get("Revision", ["master"])[0])
    if not branches or files is None or (hub.visibility[name] == PRIVATE and not writes):
        return _refused(handler, 404)
    if parts[-1] == "repo":
        return _content(hub, handler, files, query["FilePath"][0])
    if parts[-1] == "files":
        return _json(handler, {"Files": [_entry(path, content) for path, content in files.items()]})
    return _json(handler, {"Name": name.partition("/")[2], "Visibility": hub.visibility[name]})


def _posted(hub: Hub, handler: Any, parts: list[str], wanted: dict[str, Any]) -> bool:
    if parts[-1] == "models":
        name = f"{wanted['Path']}/{wanted['Name']}"
        if name in hub.files:
            return _refused(handler, 400, "the repository already exists")
        hub.files[name], hub.visibility[name] = {"master": {}}, wanted["Visibility"]
        return _json(handler, {"Name": wanted["Name"]})
    if parts[-1] == "batch":
        found = [
            {**one, "actions": {"upload": {"href": hub.objects.url(f"lfs/{one['oid']}")}}} for one in wanted["objects"]
        ]
        return _json(handler, {"objects": found})
    name = "/".join(parts[4:6])
    for one in wanted["actions"]:
        content = hub.large[one["sha256"]] if one["type"] == "lfs" else base64.b64decode(one["content"])
        hub.files[name][parts[-1]][one["path"]] = content
    return _json(handler, {})


def _content(hub: Hub, handler: Any, files: dict[str, bytes], path: str) -> bool:
    content = files[path]
    handler.serve(content[:-1] + bytes([content[-1] ^ 1]) if path in hub.damaged else content)
    return True


def _entry(path: str, content: bytes) -> dict[str, Any]:
    return {"Path": path, "Type": "blob", "Size": len(content), "Sha256": hashlib.sha256(content).hexdigest()}


def _json(handler: Any, data: object, status: int = 200, message: str = "") -> bool:
    body = {"Code": status, "Success": status == 200, "Message": message, "Data": data}
    return bool(handler.send(status, {"Content-Type": "application/json"}, json.dumps(body).encode()))


def _refused(handler: Any, status: int, message: str = "no") -> bool:
    return _json(handler, None, status, message)
