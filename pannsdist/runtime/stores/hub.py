"""Files of repositories on the Hugging Face Hub: states and lists by huggingface_hub, bytes over https.

A repository is read at one commit, which a process looks up once, so that what is pushed meanwhile changes nothing.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from pannsdist.runtime.errors import UserError
from pannsdist.runtime.stores import extras, urls
from pannsdist.runtime.stores.failures import Passing, StoreError, missing, of_status
from pannsdist.runtime.stores.store import ObjectState, Part
from pannsdist.runtime.stores.urls import Url
from pannsdist.runtime.stores.web import WebStore

ENDPOINT = "HF_ENDPOINT"
"""The variable that names another server of the Hub, such as a mirror."""
OFFLINE = "HF_HUB_OFFLINE"
"""The variable of huggingface_hub that forbids every request."""
KINDS = {"datasets": "dataset", "spaces": "space"}
COMMIT = re.compile(r"[0-9a-f]{40}")
NO_REPOSITORY, NO_REVISION = "the store has no such repository", "the repository has no such revision"
_commits: dict[tuple[int, str, str, str], str] = {}


@dataclass(frozen=True)
class _Place:
    """A file or folder of a repository at a commit."""

    kind: str
    repository: str
    commit: str
    path: str


class HubStore:
    """See `Store`. The token is that of huggingface_hub: HF_TOKEN, or the one of `hf auth login`."""

    lists = True

    def state(self, url: Url) -> ObjectState:
        """See `Store`."""
        place = _place(url)
        found = asked(url, lambda api: api.get_paths_info(place.repository, [place.path], **_at(place)))
        files = [one for one in found if one.path == place.path and hasattr(one, "blob_id")]
        if not files:
            raise missing(url)
        return _state(files[0])

    def fetch(self, url: Url, state: ObjectState, start: int, end: int) -> Part:
        """See `Store`. The commit in the address is what makes a part one of this state."""
        place = _place(url)
        hub = extras.library("hf")
        folder = "" if place.kind == "model" else f"{place.kind}s/"
        endpoint = urls.parsed(_endpoint() or str(hub.constants.ENDPOINT), ENDPOINT)
        path = f"{endpoint.path}/{folder}{place.repository}/resolve/{place.commit}/{place.path}".lstrip("/")
        headers = {key: str(value) for key, value in hub.utils.build_hf_headers().items()}
        at = Url(endpoint.scheme, endpoint.host, path)
        return WebStore(headers).fetch(at, ObjectState(state.size_bytes, UNCHECKED), start, end)

    def listing(self, url: Url) -> Iterator[tuple[str, ObjectState]]:
        """See `Store`."""
        place = _place(url)
        above = f"{place.path}/" if place.path else ""
        how = {"path_in_repo": place.path or None, "recursive": True, **_at(place)}
        found = asked(url, lambda api: list(api.list_repo_tree(place.repository, **how)))
        for one in found:
            if hasattr(one, "blob_id") and one.path.startswith(above):
                yield one.path[len(above) :], _state(one)


def commit_of(url: Url) -> str:
    """The commit of a revision, or of the default branch, as the Hub gives it; asked once. Raises as `Store`."""
    kind, repository, revision, _ = _parts(url)
    key = (os.getpid(), kind, repository, revision)
    if key not in _commits:
        how = {"repo_type": kind, "revision": revision or None}
        _commits[key] = str(asked(url, lambda api: api.repo_info(repository, **how)).sha)
    return _commits[key]


def states(url: Url, names: Iterable[str]) -> dict[str, ObjectState]:
    """The states of those of the files that a repository has, by name, in one request. Raises as `Store`."""
    place = _place(url)
    found = asked(url, lambda api: api.get_paths_info(place.repository, list(names), **_at(place)))
    return {one.path: _state(one) for one in found if hasattr(one, "blob_id")}


def is_offline() -> bool:
    """Whether the environment forbids requests to the Hub."""
    return os.environ.get(OFFLINE, "").strip().upper() in {"1", "ON", "YES", "TRUE"}


UNCHECKED = "unverified-commit"
"""The version for a request whose address names a commit: the tags of its servers need not be compared."""


def _state(found: Any) -> ObjectState:
    lfs = getattr(found, "lfs", None)
    return ObjectState(int(found.size), str(getattr(lfs, "sha256", "") or found.blob_id))


def _at(place: _Place) -> dict[str, str]:
    return {"revision": place.commit, "repo_type": place.kind}


def _place(url: Url) -> _Place:
    """What a URL names: hf://[datasets/|spaces/]OWNER/NAME[@REVISION]/PATH. Raises StoreError."""
    kind, repository, revision, path = _parts(url)
    commit = revision if COMMIT.fullmatch(revision) else commit_of(url)
    return _Place(kind, repository, commit, path)


def _parts(url: Url) -> tuple[str, str, str, str]:
    """Kind, repository, revision and path of a URL. Raises StoreError."""
    parts = [url.host, *filter(None, url.path.split("/"))]
    kind = KINDS.get(parts[0], "model")
    parts = parts[1:] if kind != "model" else parts
    if len(parts) < 2:
        raise StoreError(url, "it is written as hf://datasets/OWNER/NAME/PATH, or hf://OWNER/NAME/PATH for a model")
    name, _, revision = parts[1].partition("@")
    return kind, f"{parts[0]}/{name}", revision, "/".join(parts[2:])


def _endpoint() -> str | None:
    return os.environ.get(ENDPOINT, "").strip().rstrip("/") or None


def asked(url: Url, question: Any) -> Any:
    """The answer of the Hub to a question, a function of its `HfApi`. Raises as `Store`."""
    hub = extras.library("hf")
    if is_offline():
        raise StoreError(url, f"{OFFLINE} forbids requests to the Hub")
    try:
        return question(hub.HfApi(endpoint=_endpoint()))
    except UserError:
        raise
    except Exception as error:
        cause = error.__cause__ if type(error) is RuntimeError and error.__cause__ else error  # of an upload
        raise _fault(url, cause) from error


def _fault(url: Url, error: BaseException) -> Exception:
    """The fault that an error of huggingface_hub is, without what it says, in which a token may be."""
    names = [kind.__name__ for kind in type(error).__mro__]
    answer: Any = getattr(error, "response", None)
    status = getattr(answer, "status_code", None)
    if status == 404 and {"RepositoryNotFoundError", "RevisionNotFoundError"}.intersection(names):
        return missing(url, NO_REVISION if "RevisionNotFoundError" in names else NO_REPOSITORY)
    if isinstance(status, int) and status >= 400:
        return of_status(url, status, names[0], dict(answer.headers))
    if any("NotFound" in name for name in names):
        return missing(url)
    if "HFValidationError" in names:
        return StoreError(url, "the name of the repository is not valid")
    return Passing(f"the request to the Hub failed ({names[0]})")
