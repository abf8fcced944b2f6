"""One HTTP transfer into a file: redirects, proxies, partial and wrong content."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

from pannsdist.runtime.addresses import redirect_fault
from pannsdist.runtime.redaction import without_credentials
from pannsdist.weights.downloads.cache import Remote

PAGE = re.compile(rb"\s*(<!doctype\s+html|<html)[\s>]", re.IGNORECASE)
BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class DownloadError(Exception):
    """A failed download, with a message for the user."""


def receive(file: Remote, url: str, part: Path, timeout_s: float) -> None:
    """Download a file from an address into `part`, with a progress bar on a terminal. Raises `DownloadError`.

    The proxies of the environment are used (HTTPS_PROXY, NO_PROXY). A redirect to an unencrypted connection, fewer
    bytes than announced, another size than the published one and an HTML page are refused.
    """
    announced = _transfer(file, url, part, timeout_s) or file.size_bytes
    received = part.stat().st_size
    if announced and received != announced:
        raise DownloadError(f"received {received} of {announced} bytes")
    _refuse_page(part)
    if file.checksum or file.self_checking:
        return
    if file.size_bytes and received != file.size_bytes:
        raise DownloadError(f"it has {received} bytes; the published file has {file.size_bytes}")
    if not announced:
        raise DownloadError("the server did not report the size, and no checksum is published")


def _transfer(file: Remote, url: str, part: Path, timeout_s: float) -> int:
    """Download an address into `part`; returns the number of bytes that the server announced, 0 without one."""
    import pooch
    import requests
    from tqdm import tqdm

    is_quiet = not sys.stderr.isatty()
    how = {"headers": {"Accept-Encoding": "identity"}, "hooks": {"response": _redirect_check(url)}}
    # `total` must not be 0: pooch 1.9 evaluates bool(bar), which is its total
    with tqdm(total=file.size_bytes or 1, unit="B", unit_scale=True, leave=False, disable=is_quiet) as bar:
        get = pooch.HTTPDownloader(progressbar=bar, chunk_size=1 << 18, timeout=timeout_s, **how)
        try:
            get(url, str(part), None)
        except requests.HTTPError as error:
            response = error.response
            raise DownloadError(f"the server responded {response.status_code} {response.reason}".strip()) from error
        except requests.RequestException as error:
            raise DownloadError(reason(error, url, part, timeout_s)) from error
        except OSError as error:
            raise DownloadError(f"{part} cannot be written: {error.strerror}") from error
        return int(bar.total or 0)


def _redirect_check(url: str) -> Callable[..., None]:
    """A hook for requests that refuses a redirect by `redirect_fault`."""

    def check(response: Any, **_: Any) -> None:
        target = urljoin(response.url, response.headers.get("location", ""))
        if response.is_redirect and (fault := redirect_fault(url, target)):
            raise DownloadError(fault)

    return check


def _refuse_page(part: Path) -> None:
    """Raise DownloadError for an HTML page, which portals, proxies and mirrors send in place of a file."""
    with part.open("rb") as file:
        start = file.read(1 << 10).removeprefix(BYTE_ORDER_MARK)
    if PAGE.match(start):
        raise DownloadError("the server sent an HTML page in place of the file")


def reason(error: Exception, url: str, part: Path, timeout_s: float) -> str:
    """Message for a failed or interrupted connection."""
    import requests
    from urllib3.exceptions import ReadTimeoutError

    received = f"{part.stat().st_size if part.exists() else 0} bytes"
    if isinstance(error, requests.Timeout) or (error.args and isinstance(error.args[0], ReadTimeoutError)):
        return f"the server sent no data for {timeout_s:g} s, after {received}"
    if isinstance(error, requests.exceptions.ChunkedEncodingError):
        return f"the connection was interrupted after {received}"
    if isinstance(error, requests.ConnectionError):
        cause = re.search(r"\[Errno -?\d+\] ([^'\")]+)|(Tunnel connection failed: [^'\")]+)", str(error))
        said = (cause[1] or cause[2]) if cause else _without_query(error)
        is_of_proxy = isinstance(error, requests.exceptions.ProxyError)
        return f"no connection{f' through the proxy {_proxy(url)}' if is_of_proxy else ''} ({said})"
    return _without_query(error)


def _proxy(url: str) -> str:
    """The proxy that requests takes from the environment for an address."""
    import requests

    return str(requests.utils.select_proxy(url, requests.utils.get_environ_proxies(url)))


def _without_query(error: Exception) -> str:
    """The text of an error of a library, which shows the path of a URL with its query, where a token may be."""
    return re.sub(r"\?\S+", "?***", without_credentials(str(error)))[:200]
