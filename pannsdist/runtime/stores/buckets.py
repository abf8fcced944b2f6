"""Objects in buckets, through fsspec: s3 with s3fs; gs and oss in the way that all file systems of fsspec have.

The retries of the libraries are off where they can be: one place decides how long a store is asked again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from pannsdist.runtime.errors import UserError
from pannsdist.runtime.stores import extras
from pannsdist.runtime.stores.failures import ObjectChanged, Passing, StoreError, forbidden, missing, of_status
from pannsdist.runtime.stores.patience import silent_s
from pannsdist.runtime.stores.store import ObjectState, Part, unverified
from pannsdist.runtime.stores.urls import CREDENTIALS, Url

VERSIONS = ("generation", "ETag", "etag", "md5Hash", "LastModified", "mtime")
"""What file systems of fsspec call the version of an object, the most exact first."""
_NO_CREDENTIALS = ("NoCredentialsError", "PartialCredentialsError", "TokenRetrievalError", "ProfileNotFound")
_FINAL = ("ParamValidationError", "InvalidRegionError", "UnknownEndpointError", "ValueError", "InvalidEndpoint")
SLOWEST_BYTES_S = 1 << 12


class BucketStore:
    """See `Store`: through `info`, `cat_file` and `find` of fsspec. Whether an object changed is asked afterwards."""

    lists = True

    def __init__(self, scheme: str) -> None:
        self._scheme = scheme

    def state(self, url: Url) -> ObjectState:
        """See `Store`."""
        with _translated(url):
            found = self._system().info(url.place)
        if found.get("type") == "directory":
            raise missing(url)
        return _state(found)

    def fetch(self, url: Url, state: ObjectState, start: int, end: int) -> Part:
        """See `Store`."""
        with _translated(url):
            content = self._system().cat_file(url.place, start=start, end=end)
        now = self.state(url)
        if now.size_bytes != state.size_bytes or (state.is_lasting and now != state):
            raise ObjectChanged(url, "its version is another one now")
        return _checked(start, end, content)

    def listing(self, url: Url) -> Iterator[tuple[str, ObjectState]]:
        """See `Store`."""
        with _translated(url):
            found = self._system().find(url.place, detail=True)
        above = f"{url.place}/"
        for name, info in found.items():
            if name.startswith(above) and info.get("type") == "file":
                yield name[len(above) :], _state(info)

    def _system(self) -> Any:
        return extras.file_system(self._scheme)


class S3Store(BucketStore):
    """See `Store`. A part is sent only if the object is still that of the state."""

    def __init__(self) -> None:
        super().__init__("s3")

    def state(self, url: Url) -> ObjectState:
        """See `Store`."""
        if not url.path or url.path.endswith("/"):
            raise missing(url)
        return _state(self._call(url, lambda system: _head(system, url)))

    def fetch(self, url: Url, state: ObjectState, start: int, end: int) -> Part:
        """See `Store`."""
        condition = {"IfMatch": state.version} if state.is_lasting else {}
        content, size = self._call(url, lambda system: _get(system, url, (start, end), condition), end - start)
        if size not in ("", str(state.size_bytes)):
            raise ObjectChanged(url, f"it had {state.size_bytes} bytes, and has {size} now")
        return _checked(start, end, content)

    def _call(self, url: Url, call: Callable[[Any], Awaitable[Any]], count: int = 0) -> Any:
        """What a coroutine of s3fs gives, which runs in the thread of fsspec, within a time."""
        with _translated(url):
            system = self._system()
            from fsspec.asyn import sync

            async def timed() -> Any:
                return await asyncio.wait_for(call(system), silent_s() + count / SLOWEST_BYTES_S)

            sync(system.loop, system.set_session)  # which reads files for a second, the first time
            return sync(system.loop, timed)

    def _system(self) -> Any:
        limits = {"connect_timeout": min(10.0, silent_s()), "read_timeout": silent_s(), "max_pool_connections": 32}
        system = extras.file_system("s3", config_kwargs={**limits, "retries": {"total_max_attempts": 1}})
        system.retries = 1
        return system


async def _head(system: Any, url: Url) -> Mapping[str, Any]:
    found = await system._call_s3("head_object", Bucket=url.host, Key=url.path)
    return {"size": found["ContentLength"], "ETag": found.get("ETag"), "LastModified": found.get("LastModified")}


async def _get(system: Any, url: Url, span: tuple[int, int], condition: Mapping[str, str]) -> tuple[bytes, str]:
    """(bytes of a span, size of the whole object as the store says it)."""
    asked = {"Bucket": url.host, "Key": url.path, "Range": f"bytes={span[0]}-{span[1] - 1}", **condition}
    found = await system._call_s3("get_object", **asked)
    body = found["Body"]
    try:
        content: bytes = await body.read()
    finally:
        body.close()
    return content, str(found.get("ContentRange", "")).rpartition("/")[2].strip("*")


def _checked(start: int, end: int, content: bytes) -> Part:
    if len(content) != end - start:
        raise Passing(f"the store sent {len(content)} of {end - start} bytes")
    return Part(start, content)


def _state(found: Mapping[str, Any]) -> ObjectState:
    size = found.get("size")
    if not isinstance(size, int) or size < 0:
        raise Passing("the store does not report the size of an object")
    version = next((str(found[name]) for name in VERSIONS if found.get(name)), "")
    return ObjectState(size, version) if version else unverified(size)


@contextmanager
def _translated(url: Url) -> Iterator[None]:
    """Turns whatever a library of a store raises into the errors of `Store`."""
    try:
        yield
    except (Passing, StoreError, UserError):
        raise
    except Exception as error:
        raise translated(url, error) from error


def translated(url: Url, error: Exception) -> Exception:
    """The error of `Store` for one of boto, fsspec, aiohttp or the like; repeats nothing of it but a code."""
    answer = _answer(error)
    if answer is not None:
        about = answer.get("ResponseMetadata", {})
        code = str(answer.get("Error", {}).get("Code", ""))[:60]
        return of_status(url, int(about.get("HTTPStatusCode", 0)) or 500, code, about.get("HTTPHeaders", {}))
    if isinstance(error, FileNotFoundError | NotADirectoryError | IsADirectoryError):
        return missing(url)
    names = [kind.__name__ for kind in type(error).__mro__]
    if isinstance(error, PermissionError) or any(name in _NO_CREDENTIALS for name in names):
        return forbidden(url, _about_credentials(url, names[0]))
    if any(name in _FINAL for name in names):
        return StoreError(url, f"{names[0]}: the address or a setting of the store is not valid")
    if isinstance(error, TimeoutError) or "Timeout" in names[0]:
        return Passing(f"the store sent no data for {silent_s():g} s")
    return Passing(f"the request failed ({names[0]})")


def _about_credentials(url: Url, name: str) -> str:
    right = CREDENTIALS.get(url.scheme, "")
    return f"{name}; {right}" + ("; for a public bucket set FSSPEC_S3_ANON=true" if url.scheme == "s3" else "")


def _answer(error: BaseException | None) -> Mapping[str, Any] | None:
    """The answer of a server in an error of boto, or in its cause."""
    while error is not None:
        found = getattr(error, "response", None)
        if isinstance(found, Mapping):
            return found
        error = error.__cause__
    return None
