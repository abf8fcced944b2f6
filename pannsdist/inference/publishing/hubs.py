"""The hubs that models are read from: what a revision is now, which files it has, and their bytes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import partial
from typing import Any, Protocol
from urllib.parse import urlencode

from pannsdist.inference.publishing.address import Address
from pannsdist.inference.publishing.checksums import FETCHED, SUMS_FILE
from pannsdist.runtime.errors import UserError
from pannsdist.runtime.stores import extras, hub, objects, urls
from pannsdist.runtime.stores.failures import Passing, StoreError, forbidden, missing
from pannsdist.runtime.stores.patience import persistent
from pannsdist.runtime.stores.store import UNVERIFIED, ObjectState
from pannsdist.runtime.stores.urls import Url
from pannsdist.runtime.stores.web import WebStore


class ModelHub(Protocol):
    """A hub. Every method raises as `Store`, and makes one attempt where it is not said otherwise."""

    token: str
    """How a token is given that may read or write a repository."""

    def version(self, wanted: Address) -> str:
        """What the revision of an address is now: a name of 40 hexadecimal digits for its files."""
        ...

    def files(self, wanted: Address) -> dict[str, ObjectState]:
        """The files of a model that a repository has, by name; a `version` is a SHA-256, or git's name of a blob."""
        ...

    def parts(self, wanted: Address, name: str, state: ObjectState) -> Iterator[bytes]:
        """The bytes of a file, in parts; each is asked for again after passing faults."""
        ...


class HuggingFace:
    """The Hugging Face Hub: a version is a commit."""

    token = "HF_TOKEN, or `hf auth login`"  # noqa: S105 - the name of a variable

    def version(self, wanted: Address) -> str:
        """See `ModelHub`."""
        return hub.commit_of(wanted.url)

    def files(self, wanted: Address) -> dict[str, ObjectState]:
        """See `ModelHub`."""
        return persistent(wanted.url, lambda: hub.states(wanted.url, FETCHED))

    def parts(self, wanted: Address, name: str, state: ObjectState) -> Iterator[bytes]:
        """See `ModelHub`."""
        return objects.parts(wanted.url / name, state)


class ModelScope:
    """ModelScope, by modelscope_hub. Its interface does not tell the commit of a branch.

    So a version is the commit that an address names, or else the first digits of the checksum of SHA256SUMS, which
    stands for all files of a model.
    """

    token = "MODELSCOPE_API_TOKEN"  # noqa: S105 - the name of a variable

    def version(self, wanted: Address) -> str:
        """See `ModelHub`."""
        found = self.files(wanted)
        if hub.COMMIT.fullmatch(wanted.revision):
            return wanted.revision
        if SUMS_FILE not in found:
            raise missing(wanted.url, f"the repository has no {SUMS_FILE}: it is no model of `pannsdist publish`")
        return found[SUMS_FILE].version[:40]

    def files(self, wanted: Address) -> dict[str, ObjectState]:
        """See `ModelHub`."""
        revision = wanted.revision or None
        how = {"revision": revision, "recursive": False}
        found = asked(wanted.url, lambda api: api.list_repo_files(wanted.repository, "model", **how))
        return {one.path: ObjectState(int(one.size), str(one.sha256)) for one in found if one.path in FETCHED}

    def parts(self, wanted: Address, name: str, state: ObjectState) -> Iterator[bytes]:
        """See `ModelHub`."""
        endpoint = urls.parsed(_config().endpoint)
        query = urlencode({"Revision": wanted.revision or "master", "FilePath": name})
        path = f"{endpoint.path}/api/v1/models/{wanted.repository}/repo".lstrip("/")
        token, at = _config().token, Url(endpoint.scheme, endpoint.host, path, query)
        store = WebStore({"Authorization": f"Bearer {token}"} if token else {})
        unchecked = ObjectState(state.size_bytes, f"{UNVERIFIED}here")  # its checksum is looked at afterwards
        for start in range(0, state.size_bytes, objects.PART_BYTES):
            end = min(start + objects.PART_BYTES, state.size_bytes)
            part = persistent(wanted.url, partial(store.fetch, at, unchecked, start, end))
            yield part.content[start - part.first : end - part.first]


MODEL_HUBS: dict[str, ModelHub] = {"hf": HuggingFace(), "modelscope": ModelScope()}


def asked(url: Url, question: Any) -> Any:
    """The answer of ModelScope to a question, a function of its `HubApi`. Raises as `Store`."""
    library = extras.library("modelscope")
    if hub.is_offline():
        raise StoreError(url, f"{hub.OFFLINE} forbids requests to hubs")
    try:
        return question(library.HubApi(_config()))
    except UserError:
        raise
    except Exception as error:
        raise _fault(url, error) from error


def _config() -> Any:
    """Endpoint and token from the environment alone: a stored login is a pickle."""
    library = extras.library("modelscope")
    return library.HubConfig(token=os.environ.get(ModelScope.token, ""))


def _fault(url: Url, error: Exception) -> Exception:
    """The fault that an error of modelscope_hub is, without what it says."""
    names = [kind.__name__ for kind in type(error).__mro__]
    if "NotExistError" in names:
        return missing(url, "the store has no such repository or revision")
    if {"AuthenticationError", "PermissionDeniedError"}.intersection(names):
        return forbidden(url, names[0])
    if {"ServerError", "NetworkError", "RateLimitError"}.intersection(names):
        return Passing(f"the request to the hub failed ({names[0]})")
    return StoreError(url, f"the request to the hub failed ({names[0]})")
