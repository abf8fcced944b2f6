"""Objects of web servers, over http and https: with requests, since every answer must be looked at before it is read.

Redirects are followed here, one by one, so that a rule decides on each of them and credentials stay with their host.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NoReturn
from urllib.parse import urljoin, urlsplit

from pannsdist.runtime.addresses import redirect_fault
from pannsdist.runtime.errors import UserError
from pannsdist.runtime.stores.failures import ObjectChanged, Passing, StoreError, of_status
from pannsdist.runtime.stores.patience import silent_s
from pannsdist.runtime.stores.store import ObjectState, Part, unverified
from pannsdist.runtime.stores.urls import Url

MAX_REDIRECTS = 10
CONNECTIONS = 32
"""Kept open to one host."""
PIECE = 1 << 16
SLOWEST_BYTES_S = 1 << 12
"""A server that sends less than this in a second, beyond the time-out, hangs."""
WHOLE_BYTES = 1 << 26
"""Of a server that sends no parts, an object up to this size is taken as a whole; of a larger one each part anew."""
_RANGE = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18}|\*)")
_PAGE = re.compile(r"\s*text/html", re.IGNORECASE)
_PAGES = (".html", ".htm", "")
_PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")
ENVIRONMENT = ("NETRC", "HOME", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", *_PROXIES, *(name.upper() for name in _PROXIES))
_hosts: dict[tuple[str, ...], dict[str, Any]] = {}
_sessions: dict[int, Any] = {}


class WebStore:
    """See `Store`. `headers` go to the first host of a request only."""

    lists = False

    def __init__(self, headers: Mapping[str, str] | None = None) -> None:
        self._headers = dict(headers or {})

    def state(self, url: Url) -> ObjectState:
        """See `Store`. Where a server refuses HEAD, as for a signed URL, one byte is asked for."""
        with self._response("HEAD", url, {}) as response:
            if response.status_code < 400 and (size := _length(response.headers)) is not None:
                _refuse_page(url, response.headers)
                return _state(size, response.headers)
            if response.status_code in (404, 410, 429) or response.status_code >= 502:
                _refuse_status(url, response)
        with self._response("GET", url, {"Range": "bytes=0-0"}) as response:
            if response.status_code == 416:  # an empty object has no first byte
                return _state(0, response.headers)
            _refuse_status(url, response)
            _refuse_page(url, response.headers)
            found = _RANGE.fullmatch(response.headers.get("Content-Range", ""))
            total = found[3] if found and response.status_code == 206 else str(_length(response.headers))
            if not total.isdecimal():
                raise StoreError(url, "the server does not report its size")
            return _state(int(total), response.headers)

    def fetch(self, url: Url, state: ObjectState, start: int, end: int) -> Part:
        """See `Store`."""
        asked = {"Range": f"bytes={start}-{end - 1}", **_condition(state)}
        with self._response("GET", url, asked) as response:
            if response.status_code == 416:
                raise ObjectChanged(url, "it is shorter now")
            _refuse_status(url, response)
            _refuse_page(url, response.headers)
            _refuse_other_version(url, state, response.headers)
            if response.status_code == 206:
                _refuse_other_range(url, response.headers, (start, end, state.size_bytes))
                return Part(start, _body(response, end - start))
            return _of_whole(url, response, state, start, end)

    def listing(self, url: Url) -> NoReturn:
        """See `Store`: a web server lists nothing."""
        right = "a web server gives no list of its files: name them in a manifest"
        raise StoreError(url, right)

    @contextmanager
    def _response(self, method: str, url: Url, headers: Mapping[str, str]) -> Iterator[Any]:
        """The answer after all redirects, whose body is not read yet. Raises Passing and StoreError."""
        import requests

        try:
            response = self._followed(method, url, {"Accept-Encoding": "identity", **headers})
        except requests.RequestException as error:
            raise _of_request(url, error) from error
        try:
            yield response
        except (Passing, StoreError, FileNotFoundError, PermissionError, UserError):
            raise
        except Exception as error:  # of requests, urllib3 and http.client, which have no class in common
            raise _of_request(url, error) from error
        finally:
            response.close()

    def _followed(self, method: str, url: Url, headers: Mapping[str, str]) -> Any:
        first = address = url.address
        for _ in range(MAX_REDIRECTS):
            is_first_host = urlsplit(address)[:2] == urlsplit(first)[:2]
            own = {**headers, **(self._headers if is_first_host else {})}
            how = {"stream": True, "allow_redirects": False, "timeout": (min(10.0, silent_s()), silent_s())}
            response = _session().request(method, address, headers=own, **how, **_of_host(address))
            if not response.is_redirect:
                return response
            target = urljoin(address, response.headers["location"])
            response.close()
            if fault := redirect_fault(first, target):
                raise StoreError(url, fault)
            address = target
        raise StoreError(url, f"the server redirects more than {MAX_REDIRECTS} times")


def _session() -> Any:
    """The connections of this process, without cookies; those of the process that forked it are not used."""
    if os.getpid() not in _sessions:
        import requests
        from requests.adapters import HTTPAdapter
        from requests.cookies import cookiejar_from_dict

        _sessions.clear()
        session = requests.Session()
        session.trust_env = False  # `_of_host` looks once for each host, and not once for each request
        for scheme in ("http://", "https://"):
            session.mount(scheme, HTTPAdapter(pool_connections=CONNECTIONS, pool_maxsize=CONNECTIONS))
        from http.cookiejar import DefaultCookiePolicy

        session.cookies = cookiejar_from_dict({})
        session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        _sessions[os.getpid()] = session
    return _sessions[os.getpid()]


def _of_host(address: str) -> dict[str, Any]:
    """What the environment says of a host: its proxy, its credentials in ~/.netrc, and the certificates to trust."""
    parts = urlsplit(address)
    key = (parts.scheme, parts.netloc, *(os.environ.get(name, "") for name in ENVIRONMENT))
    if key not in _hosts:
        from requests.utils import get_environ_proxies, get_netrc_auth

        root = f"{parts.scheme}://{parts.netloc}/"
        bundle = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE") or True
        _hosts[key] = {"proxies": get_environ_proxies(root), "auth": get_netrc_auth(root), "verify": bundle}
    return _hosts[key]


def _of_request(url: Url, error: Exception) -> Exception:
    """The fault of a connection, without what libraries say of the address, in which a token may be."""
    import requests

    if isinstance(error, requests.exceptions.InvalidURL | requests.exceptions.InvalidSchema):
        return StoreError(url, "it is no address of a web server")
    if isinstance(error, requests.exceptions.SSLError) and "CERTIFICATE_VERIFY_FAILED" in str(error):
        return StoreError(url, "the certificate of the server is not valid here (see REQUESTS_CA_BUNDLE)")
    if isinstance(error, requests.Timeout | TimeoutError) or "timed out" in str(error).lower():
        return Passing(f"the server sent no data for {silent_s():g} s")
    if isinstance(error, requests.exceptions.ProxyError):
        return Passing("no connection through the proxy")
    cause = re.search(r"\[Errno -?\d+\] ([^'\")]+)", str(error))
    return Passing(f"the connection failed ({cause[1] if cause else type(error).__name__})")


def _refuse_status(url: Url, response: Any) -> None:
    if response.status_code not in (200, 206):
        raise of_status(url, max(response.status_code, 400), str(response.reason or ""), response.headers)


def _refuse_page(url: Url, headers: Mapping[str, str]) -> None:
    """Raise StoreError for a page, which portals and logins send in place of an object, and for coded content."""
    if _PAGE.match(headers.get("Content-Type", "")) and url.suffix.lower() not in _PAGES:
        raise StoreError(url, "the server sent an HTML page in place of the object")
    if (coding := headers.get("Content-Encoding", "identity").lower()) not in ("identity", ""):
        raise StoreError(url, f"the server sends it with the content coding {coding[:20]}, not as it is stored")


def _length(headers: Mapping[str, str]) -> int | None:
    text = headers.get("Content-Length", "")
    return int(text) if text.isdecimal() and len(text) < 19 else None


def _version(headers: Mapping[str, str]) -> str:
    """What tells the version: the entity tag, else the time of the last change; empty if the server tells none."""
    tag, modified = headers.get("ETag", "").strip(), headers.get("Last-Modified", "").strip()
    if tag.startswith('"'):
        return tag
    return f"{tag} {modified}".strip()


def _state(size: int, headers: Mapping[str, str]) -> ObjectState:
    version = _version(headers)
    return ObjectState(size, version) if version else unverified(size)


def _condition(state: ObjectState) -> dict[str, str]:
    """The header with which a server refuses to send another version. Only a strong tag may stand in it."""
    return {"If-Match": state.version} if state.version.startswith('"') else {}


def _refuse_other_version(url: Url, state: ObjectState, headers: Mapping[str, str]) -> None:
    version = _version(headers)
    if state.is_lasting and version != state.version:
        raise ObjectChanged(url, f"its version was {state.version}, and is {version or 'not told'} now")


def _refuse_other_range(url: Url, headers: Mapping[str, str], asked: tuple[int, int, int]) -> None:
    start, end, size = asked
    found = _RANGE.fullmatch(headers.get("Content-Range", ""))
    if found is None or (int(found[1]), int(found[2])) != (start, end - 1):
        raise Passing(f"the server sent other bytes than {start} to {end - 1}")
    if found[3] not in ("*", str(size)):
        raise ObjectChanged(url, f"it had {size} bytes, and has {found[3]} now")


def _of_whole(url: Url, response: Any, state: ObjectState, start: int, end: int) -> Part:
    """The part out of an answer with the whole object, or the whole, of a server that sends no parts."""
    length = _length(response.headers)
    if length not in (None, state.size_bytes):
        raise ObjectChanged(url, f"it had {state.size_bytes} bytes, and has {length} now")
    if state.size_bytes <= WHOLE_BYTES:
        return Part(0, _body(response, state.size_bytes))
    _body(response, start, is_kept=False)
    return Part(start, _body(response, end - start))


def _body(response: Any, count: int, is_kept: bool = True) -> bytes:
    """So many bytes of an answer. Raises Passing for fewer, and for a server that sends hardly any."""
    pieces, left, began = [], count, time.monotonic()
    read = getattr(response.raw, "read1", response.raw.read)  # the first returns what is there: urllib3 from 2.2 on
    while left:
        piece = read(min(PIECE, left), decode_content=False)
        if not piece:
            raise Passing(f"the connection ended {left} bytes early")
        left -= len(piece)
        if time.monotonic() - began > silent_s() + (count - left) / SLOWEST_BYTES_S:
            raise Passing(f"the server sent {count - left} bytes in {silent_s():g} s")
        if is_kept:
            pieces.append(piece)
    return b"".join(pieces)
