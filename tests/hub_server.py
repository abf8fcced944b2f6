"""A small server with the addresses of the Hugging Face Hub for models: repositories, commits, large files, tokens."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

import object_server

READER, WRITER = "hf_secretreader", "hf_secretwriter"
LARGE = (".pdparams",)
"""Endings of files that the hub stores as large ones."""

COUNTED = {"downloads": 0, "likes": 0, "tags": []}
"""What older clients need of a repository."""

Files = dict[str, bytes]


@dataclass
class Repository:
    """Files by commit, and commits by branch; `large` has the names of the files that are stored as large ones."""

    private: bool = False
    commits: dict[str, Files] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)
    messages: list[str] = field(default_factory=list)

    def at(self, revision: str) -> str | None:
        return revision if revision in self.commits else self.branches.get(revision)

    def commit(self, branch: str, files: Files, message: str = "by hand") -> str:
        before = self.commits.get(self.branches.get(branch, ""), {})
        found = hashlib.sha1(repr((len(self.commits), sorted(files))).encode()).hexdigest()
        self.commits[found], self.branches[branch] = {**before, **files}, found
        self.messages.append(message)
        return found


@dataclass
class Hub:
    """The repositories by name, what was uploaded as a large file, and the web server beneath."""

    objects: object_server.Objects
    repositories: dict[str, Repository] = field(default_factory=dict)
    large: dict[str, bytes] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)
    """Sizes that the hub lists in place of the true ones, by name of the file."""
    damaged: set[str] = field(default_factory=set)
    """Names of files that are sent with a byte changed."""

    def files(self, name: str, revision: str = "main") -> Files:
        repository = self.repositories[name]
        return repository.commits[repository.at(revision) or ""]

    @property
    def asked(self) -> list[tuple[str, str, str, str]]:
        return self.objects.asked


@contextmanager
def running() -> Iterator[Hub]:
    with object_server.running() as objects:
        hub = Hub(objects)
        objects.faults.append(lambda handler: _Request(hub, handler).answered())
        yield hub


class _Request:
    """One request, answered as the Hub does."""

    def __init__(self, hub: Hub, handler: Any) -> None:
        self.hub, self.handler = hub, handler
        self.token = handler.headers.get("Authorization", "").removeprefix("Bearer ")
        self.path = handler.key

    def answered(self) -> bool:
        handler, path = self.handler, self.path
        parts = path.split("/")
        if handler.command == "PUT":
            self.hub.large[path.removeprefix("lfs/")] = handler.sent
            return bool(handler.send(200, {}))
        if path == "api/validate-yaml":
            return self.json({"errors": [], "warnings": []})
        if path == "api/repos/create":
            return self.create(json.loads(handler.sent))
        if path.endswith(".git/info/lfs/objects/batch"):
            return self.batch(json.loads(handler.sent))
        if path.startswith("api/models/"):
            return self.of_repository("/".join(parts[2:4]), parts[4:])
        return "resolve" in parts and self.resolve("/".join(parts[:2]), parts[3], "/".join(parts[4:]))

    def json(self, content: object, status: int = 200, **headers: str) -> bool:
        named = {"Content-Type": "application/json", **{key.replace("_", "-"): text for key, text in headers.items()}}
        return self.handler.send(status, named, json.dumps(content).encode())

    def refused(self, status: int, code: str, message: str) -> bool:
        return self.json({"error": message}, status, X_Error_Code=code, X_Error_Message=message)

    def create(self, wanted: dict[str, Any]) -> bool:
        if self.token != WRITER:
            return self.refused(403 if self.token else 401, "Forbidden", f"no rights for {self.token}")
        name = f"{wanted.get('organization') or 'me'}/{wanted['name']}"
        url = self.hub.objects.url(name)
        if name in self.hub.repositories:
            return self.json({"error": "You already created this model repo", "url": url}, 409)
        made = Repository(wanted.get("visibility") == "private" or bool(wanted.get("private")))
        made.commit("main", {".gitattributes": b"*.pdparams filter=lfs\n"}, "initial commit")
        self.hub.repositories[name] = made
        return self.json({"url": url, "id": name})

    def of_repository(self, name: str, rest: list[str]) -> bool:
        repository = self.hub.repositories.get(name)
        if repository is None or (repository.private and self.token not in (READER, WRITER)):
            return self.refused(404 if self.token else 401, "RepoNotFound", "Repository not found")
        what, revision = [*rest, "", ""][:2]
        if what == "branch":
            repository.branches.setdefault(revision, repository.branches["main"])
            return self.json({})
        commit = repository.at(revision or "main")
        if commit is None:
            return self.refused(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        if what == "commit":
            return self.commit(name, repository, revision)
        return self.json(self.told(what, name, repository, commit))

    def told(self, what: str, name: str, repository: Repository, commit: str) -> object:
        """What is asked for of a repository at a commit."""
        if what == "preupload":
            files = json.loads(self.handler.sent)["files"]
            modes = [{"path": one["path"], "uploadMode": mode_of(one["path"]), "shouldIgnore": False} for one in files]
            return {"files": modes}
        if what == "paths-info":
            wanted, files = parse_qs(self.handler.sent.decode())["paths"], repository.commits[commit]
            return [self.entry(path, files[path]) for path in wanted if path in files]
        return {"id": name, "sha": commit, "private": repository.private, "siblings": [], **COUNTED}

    def entry(self, path: str, content: bytes) -> dict[str, Any]:
        size = self.hub.sizes.get(path, len(content))
        found: dict[str, Any] = {"type": "file", "path": path, "size": size, "oid": git_blob(content)}
        if path.endswith(LARGE):
            found["lfs"] = {"oid": hashlib.sha256(content).hexdigest(), "size": size, "pointerSize": 130}
        return found

    def batch(self, wanted: dict[str, Any]) -> bool:
        objects = [
            {**one, "actions": {"upload": {"href": self.hub.objects.url(f"lfs/{one['oid']}")}}}
            for one in wanted["objects"]
        ]
        return self.json({"transfer": "basic", "objects": objects})

    def commit(self, name: str, repository: Repository, branch: str) -> bool:
        if self.token != WRITER:
            return self.refused(403, "Forbidden", "no rights to write")
        lines = [json.loads(line) for line in self.handler.sent.splitlines()]
        files = {
            line["value"]["path"]: base64.b64decode(line["value"]["content"])
            if line["key"] == "file"
            else self.hub.large[line["value"]["oid"]]
            for line in lines
            if line["key"] != "header"
        }
        commit = repository.commit(branch, files, lines[0]["value"]["summary"])
        return self.json({"commitUrl": self.hub.objects.url(f"{name}/commit/{commit}"), "commitOid": commit})

    def resolve(self, name: str, revision: str, path: str) -> bool:
        repository = self.hub.repositories[name]
        if repository.private and self.token not in (READER, WRITER):
            return self.refused(401, "RepoNotFound", "Repository not found")
        content = repository.commits[revision][path]
        if path in self.hub.damaged:
            content = content[:-1] + bytes([content[-1] ^ 1])
        self.hub.objects.put(f"cdn/{revision}/{path}", content)
        target = f"http://localhost:{self.hub.objects.port}/cdn/{revision}/{path}"
        return self.handler.send(302, {"Location": target})


def mode_of(path: str) -> str:
    return "lfs" if path.endswith(LARGE) else "regular"


def git_blob(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
