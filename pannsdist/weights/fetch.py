"""Published weights come to this machine: one process of a node downloads, the others wait for it, all verify."""

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
from pannsdist.errors import BadWeightsFile
from pannsdist.storage import sync
from pannsdist.weights import cache

TIMEOUT_S = 30.0
"""A server that sends nothing for so long is given up."""


def fetch(weights: Pretrained, timeout_s: float = TIMEOUT_S) -> Path:
    """The file of a published set, downloaded if it is not on this machine, its checksum verified.

    Every process may call it, and needs no other to do so: a lock beside the file lets one download, and those that
    waited have its outcome. Raises `BadWeightsFile`, which says what to put where.
    """
    path = cache.place(weights.url)
    if not (path.is_file() and cache.expected_sha256(weights, path)):
        with turn(path) as failure:
            if not path.is_file():
                if failure:
                    raise BadWeightsFile(*failure)
                download(weights, path, timeout_s)
                return path
            say_unpublished(weights, path)
            cache.verify(path, weights, path)
            return path
    cache.verify(path, weights, path)
    return path


def download(weights: Pretrained, path: Path, timeout_s: float) -> None:
    """Bring a file to its place whole and verified, or not at all; the caller holds the lock.

    What is under way is called `.part`, which nobody reads: a process that is killed leaves one, and the next download
    begins it anew.
    """
    part = path.with_name(f"{path.name}.part")
    size = f" ({weights.size_bytes / 1e6:.1f} MB)" if weights.size_bytes else ""
    print(f"downloading {weights.url}{size}\n  to {path}", file=sys.stderr, flush=True)
    try:
        receive(weights, part, timeout_s)
        sync(part)
        say_unpublished(weights, path)
        cache.verify(part, weights, path)
        part.replace(path)
        sync(path.parent)
    except DownloadError as error:
        raise BadWeightsFile(f"{path.name} could not be downloaded: {error}", by_hand(weights.url, path)) from error
    finally:
        part.unlink(missing_ok=True)


def by_hand(url: str, path: Path) -> str:
    """What to do where there is no network."""
    return f"address: {url}\nwithout a network, bring it here and put it at {path}\nor give a file: model.weights=FILE"


def say_unpublished(weights: Pretrained, path: Path) -> None:
    """Tell that a file is trusted as it came, the first time."""
    if not cache.expected_sha256(weights, path):
        kept = cache.pin_place(path)
        print(f"no checksum is published for {path.name}: the one it has now is kept in {kept}", file=sys.stderr)


class DownloadError(Exception):
    """Why a file did not arrive, in words for the user."""


def receive(weights: Pretrained, part: Path, timeout_s: float) -> None:
    """All bytes of an address into a file, with a progress bar on a terminal. Raises `DownloadError`."""
    import pooch
    import requests
    from tqdm import tqdm

    is_quiet = not sys.stderr.isatty()
    # `total` must not be 0: pooch 1.9 asks for the bar's truth, which is its total
    with tqdm(total=weights.size_bytes or 1, unit="B", unit_scale=True, leave=False, disable=is_quiet) as bar:
        unpacked = {"Accept-Encoding": "identity"}
        get = pooch.HTTPDownloader(progressbar=bar, chunk_size=1 << 18, timeout=timeout_s, headers=unpacked)
        try:
            get(weights.url, str(part), None)
        except requests.HTTPError as error:
            answer = error.response
            raise DownloadError(f"the server answers {answer.status_code} {answer.reason}".strip()) from error
        except requests.RequestException as error:
            raise DownloadError(reason(error, part, timeout_s)) from error
        except OSError as error:
            raise DownloadError(f"{part} cannot be written: {error.strerror}") from error
        announced = int(bar.total or 0) or weights.size_bytes
    came = part.stat().st_size
    if announced and came != announced:
        raise DownloadError(f"{came} of {announced} bytes came")
    if not announced and not weights.sha256:
        raise DownloadError("the server does not say how long it is, and no checksum is published")


def reason(error: Exception, part: Path, timeout_s: float) -> str:
    """Why a connection did not bring everything."""
    import requests
    from urllib3.exceptions import ReadTimeoutError

    came = f"{part.stat().st_size if part.exists() else 0} bytes"
    if isinstance(error, requests.Timeout) or (error.args and isinstance(error.args[0], ReadTimeoutError)):
        return f"the server has sent nothing for {timeout_s:g} s, after {came}"
    if isinstance(error, requests.exceptions.ChunkedEncodingError):
        return f"the connection broke off after {came}"
    if isinstance(error, requests.ConnectionError):
        cause = re.search(r"\[Errno -?\d+\] ([^'\")]+)", str(error))
        return f"no connection ({cause[1] if cause else str(error)[:200]})"
    return str(error)[:200]


@contextmanager
def turn(path: Path) -> Iterator[tuple[str, str] | None]:
    """Be the only process of this machine that works on `path`.

    Gives what went wrong for the process that was waited for, so that eight processes do not try a dead server one
    after the other; None where nobody was waited for, or nothing went wrong. The lock ends with its process.
    """
    lock = path.with_name(f".{path.name}.lock")
    try:
        lock.parent.mkdir(parents=True, exist_ok=True)
        file = lock.open("a+", encoding="utf-8")
    except OSError as error:
        right = "make the folder writable, or choose another as PANNSDIST_HOME"
        raise BadWeightsFile(f"{lock.parent} cannot be written: {error.strerror}", right) from error
    with file:
        text = wait_for(file, path)
        file.truncate(0)
        try:
            yield outcome(text)
        except BadWeightsFile as error:
            file.write(json.dumps([error.wrong, error.right]))
            raise


def outcome(text: str) -> tuple[str, str] | None:
    """What was wrong and what would be right, as a process that failed left it in the lock."""
    if not text:
        return None
    wrong, right = json.loads(text)
    return str(wrong), str(right)


def wait_for(file: IO[str], path: Path) -> str:
    """Take a lock; what its former holder left in the file, if it was waited for."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        print(f"waiting for another process that fetches {path.name}", file=sys.stderr, flush=True)
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        return file.read()
    return ""
