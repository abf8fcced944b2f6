"""Published files come to this machine: one process of a node downloads, the others wait for it, all verify."""

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
from pannsdist.runtime.errors import BadWeightsFile, UserError
from pannsdist.runtime.storage import sync
from pannsdist.weights.downloads import cache
from pannsdist.weights.downloads.cache import Remote

TIMEOUT_S = 30.0
"""A server that sends nothing for so long is given up."""


def fetch(weights: Pretrained, timeout_s: float = TIMEOUT_S) -> Path:
    """The file of a published set, downloaded if it is not on this machine, its checksum verified.

    Every process may call it, and needs no other to do so: a lock beside the file lets one download, and those that
    waited have its outcome. Raises `BadWeightsFile`, which says what to put where.
    """
    return bring(cache.remote(weights), timeout_s)


def bring(file: Remote, timeout_s: float = TIMEOUT_S) -> Path:
    """The same for any published file. Raises its `error`."""
    path = file.path
    if not (path.is_file() and cache.expected(file)):
        with turn(path, file.error) as failure:
            if not path.is_file():
                if failure:
                    raise file.error(*failure)
                download(file, timeout_s)
                return path
            say_unpublished(file)
            cache.verify(path, file)
            return path
    cache.verify(path, file)
    return path


def download(file: Remote, timeout_s: float) -> None:
    """Bring a file to its place whole and verified, or not at all; the caller holds the lock.

    What is under way is called `.part`, which nobody reads: a process that is killed leaves one, and the next download
    begins it anew.
    """
    part = file.path.with_name(f"{file.path.name}.part")
    size = f" ({file.size_bytes / 1e6:.1f} MB)" if file.size_bytes else ""
    print(f"downloading {file.url}{size}\n  to {file.path}", file=sys.stderr, flush=True)
    try:
        receive(file, part, timeout_s)
        sync(part)
        say_unpublished(file)
        cache.verify(part, file)
        part.replace(file.path)
        sync(file.path.parent)
    except DownloadError as error:
        raise file.error(f"{file.path.name} could not be downloaded: {error}", by_hand(file)) from error
    finally:
        part.unlink(missing_ok=True)


def by_hand(file: Remote) -> str:
    """What to do where there is no network."""
    lines = (f"address: {file.url}", f"without a network, bring it here and put it at {file.path}", file.otherwise)
    return "\n".join(line for line in lines if line)


def say_unpublished(file: Remote) -> None:
    """Tell that a file is trusted as it came, the first time."""
    if not cache.expected(file):
        kept = cache.pin_place(file.path)
        print(f"no checksum is published for {file.path.name}: the one it has now is kept in {kept}", file=sys.stderr)


class DownloadError(Exception):
    """Why a file did not arrive, in words for the user."""


def receive(file: Remote, part: Path, timeout_s: float) -> None:
    """All bytes of an address into a file, with a progress bar on a terminal. Raises `DownloadError`."""
    import pooch
    import requests
    from tqdm import tqdm

    is_quiet = not sys.stderr.isatty()
    # `total` must not be 0: pooch 1.9 asks for the bar's truth, which is its total
    with tqdm(total=file.size_bytes or 1, unit="B", unit_scale=True, leave=False, disable=is_quiet) as bar:
        unpacked = {"Accept-Encoding": "identity"}
        get = pooch.HTTPDownloader(progressbar=bar, chunk_size=1 << 18, timeout=timeout_s, headers=unpacked)
        try:
            get(file.url, str(part), None)
        except requests.HTTPError as error:
            answer = error.response
            raise DownloadError(f"the server answers {answer.status_code} {answer.reason}".strip()) from error
        except requests.RequestException as error:
            raise DownloadError(reason(error, part, timeout_s)) from error
        except OSError as error:
            raise DownloadError(f"{part} cannot be written: {error.strerror}") from error
        announced = int(bar.total or 0) or file.size_bytes
    came = part.stat().st_size
    if announced and came != announced:
        raise DownloadError(f"{came} of {announced} bytes came")
    if not announced and not file.checksum and not file.tells:
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
def turn(path: Path, refused: type[UserError] = BadWeightsFile) -> Iterator[tuple[str, str] | None]:
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
        raise refused(f"{lock.parent} cannot be written: {error.strerror}", right) from error
    with file:
        text = wait_for(file, path)
        file.truncate(0)
        try:
            yield outcome(text)
        except UserError as error:
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
