"""Downloads of published files: one process per node downloads, the others wait, and all verify."""

from __future__ import annotations

import fcntl
import json
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from pannsdist.contracts import Pretrained
from pannsdist.runtime import storage
from pannsdist.runtime.errors import BadWeightsFile, CannotWrite, UserError
from pannsdist.runtime.foreign import parse_json
from pannsdist.runtime.redaction import published_text, without_credentials
from pannsdist.weights.downloads import cache
from pannsdist.weights.downloads.cache import Remote

TIMEOUT_S = 30.0
"""Timeout for a server that sends no data."""


def fetch(weights: Pretrained, timeout_s: float = TIMEOUT_S) -> Path:
    """Path of pretrained weights, downloaded if they are not cached, with verified checksum.

    Any process may call this, independently of the others: a lock next to the file lets one process download, and
    waiting processes get its result. Raises `BadWeightsFile` with instructions for a manual download.
    """
    return fetch_remote(cache.remote(weights), timeout_s)


def fetch_remote(file: Remote, timeout_s: float = TIMEOUT_S) -> Path:
    """Like `fetch`, for any published file. Raises `file.error`."""
    path = file.path
    if not (path.is_file() and cache.expected(file)):
        with exclusive(path, file.error) as failure:
            if not path.is_file():
                if failure:
                    raise file.error(*failure)
                download(file, timeout_s)
                return path
            print_unpublished(file)
            cache.verify(path, file)
            return path
    cache.verify(path, file)
    return path


def download(file: Remote, timeout_s: float) -> None:
    """Download a file to its path atomically and verified; the caller holds the lock.

    Partial downloads are written to `.part`: a killed process leaves it, and the next download starts over.
    """
    part = file.path.with_name(f"{file.path.name}.part")
    print(f"downloading {described(file)}\n  to {file.path}", file=sys.stderr, flush=True)
    try:
        receive(file, part, timeout_s)
        storage.sync(part)
        print_unpublished(file)
        cache.verify(part, file)
        storage.rename(part, file.path)
        storage.sync(file.path.parent)
    except DownloadError as error:
        raise file.error(f"{file.path.name} could not be downloaded: {error}", manual_download(file)) from error
    finally:
        storage.remove(part)


def described(file: Remote) -> str:
    """Address and size of a remote file, for messages."""
    size = f"{file.size_bytes / 1e6:.1f} MB" if file.size_bytes else "size not published"
    return f"{without_credentials(file.url)} ({size})"


def manual_download(file: Remote) -> str:
    """Instructions for a download without network access."""
    lines = (f"URL: {file.url}", f"without network access, copy the file to {file.path}", file.alternative)
    return "\n".join(line for line in lines if line)


def print_unpublished(file: Remote) -> None:
    """Print a notice at the first download of a file without a published checksum."""
    if not cache.expected(file):
        stored = cache.checksum_path(file.path)
        print(
            f"no checksum is published for {file.path.name}: its current checksum is stored in {stored}",
            file=sys.stderr,
        )


class DownloadError(Exception):
    """A failed download, with a message for the user."""


def receive(file: Remote, part: Path, timeout_s: float) -> None:
    """Download a URL into a file, with a progress bar on a terminal. Raises `DownloadError`."""
    import pooch
    import requests
    from tqdm import tqdm

    is_quiet = not sys.stderr.isatty()
    # `total` must not be 0: pooch 1.9 evaluates bool(bar), which is its total
    with tqdm(total=file.size_bytes or 1, unit="B", unit_scale=True, leave=False, disable=is_quiet) as bar:
        unpacked = {"Accept-Encoding": "identity"}
        get = pooch.HTTPDownloader(progressbar=bar, chunk_size=1 << 18, timeout=timeout_s, headers=unpacked)
        try:
            get(file.url, str(part), None)
        except requests.HTTPError as error:
            response = error.response
            raise DownloadError(f"the server responded {response.status_code} {response.reason}".strip()) from error
        except requests.RequestException as error:
            raise DownloadError(reason(error, part, timeout_s)) from error
        except OSError as error:
            raise DownloadError(f"{part} cannot be written: {error.strerror}") from error
        announced = int(bar.total or 0) or file.size_bytes
    received = part.stat().st_size
    if announced and received != announced:
        raise DownloadError(f"received {received} of {announced} bytes")
    if not announced and not file.checksum and not file.self_checking:
        raise DownloadError("the server did not report the size, and no checksum is published")


def reason(error: Exception, part: Path, timeout_s: float) -> str:
    """Message for a failed or interrupted connection."""
    import requests
    from urllib3.exceptions import ReadTimeoutError

    received = f"{part.stat().st_size if part.exists() else 0} bytes"
    if isinstance(error, requests.Timeout) or (error.args and isinstance(error.args[0], ReadTimeoutError)):
        return f"the server sent no data for {timeout_s:g} s, after {received}"
    if isinstance(error, requests.exceptions.ChunkedEncodingError):
        return f"the connection was interrupted after {received}"
    if isinstance(error, requests.ConnectionError):
        cause = re.search(r"\[Errno -?\d+\] ([^'\")]+)", str(error))
        return f"no connection ({cause[1] if cause else _without_query(error)})"
    return _without_query(error)


def _without_query(error: Exception) -> str:
    """The text of an error of a library, which shows the path of a URL with its query, where a token may be."""
    return re.sub(r"\?\S+", "?***", without_credentials(str(error)))[:200]


@contextmanager
def exclusive(path: Path, error_type: type[UserError] = BadWeightsFile) -> Iterator[tuple[str, str] | None]:
    """Context that holds the machine-wide lock of `path`.

    Yields the error of the process that held the lock before, if this process had to wait for it, so that eight
    processes do not retry an unreachable server one after the other; else None. The lock is released with the process.
    """
    lock = path.with_name(f".{path.name}.lock")
    try:
        storage.make_folder(lock.parent)
        file = storage.opened(lock, "a+b")
    except CannotWrite as error:
        right = "make the folder writable, or choose another as PANNSDIST_HOME"
        raise error_type(error.wrong, right) from error
    with file:
        text = acquire(file, path)
        file.truncate(0)
        file.flush()
        try:
            yield previous_error(text)
        except UserError as error:
            file.write(json.dumps([published_text(error.wrong), published_text(error.right)]).encode())
            raise


def previous_error(text: str) -> tuple[str, str] | None:
    """Error of the previous lock holder, as (wrong, right), from the content of the lock file; None without one."""
    try:
        wrong, right = parse_json(text.encode("utf-8", "replace"), "a lock")
    except (ValueError, TypeError):  # empty, or of a process that was killed while it wrote
        return None
    return (wrong, right) if isinstance(wrong, str) and isinstance(right, str) else None


def acquire(file: IO[bytes], path: Path) -> str:
    """Acquire the lock; return the content left by its previous holder if this process had to wait, else empty."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        print(f"waiting for another process that downloads {path.name}", file=sys.stderr, flush=True)
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        return file.read().decode("utf-8", "replace")
    return ""
