"""Downloads of published files: one process per node downloads, the others wait, and all verify."""

from __future__ import annotations

import fcntl
import json
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
from pannsdist.weights.downloads.mirrors import Mirror, mirror_of
from pannsdist.weights.downloads.transfer import DownloadError, receive

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
    """Download a file to its path atomically and verified, from its mirror if there is one; the caller holds the lock.

    Partial downloads are written to `.part`: a killed process leaves it, and the next download starts over. Where the
    mirror fails, the published address is not tried by itself.
    """
    mirror = mirror_of(file.url)
    part = file.path.with_name(f"{file.path.name}.part")
    print_start(file, mirror)
    try:
        receive(file, mirror.url(file.url) if mirror else file.url, part, timeout_s)
        storage.sync(part)
        print_unpublished(file, mirror)
        cache.verify(part, file, mirror)
        storage.rename(part, file.path)
        storage.sync(file.path.parent)
    except DownloadError as error:
        place = " from the mirror" if mirror else ""
        wrong = f"{file.path.name} could not be downloaded{place}: {error}"
        raise file.error(wrong, manual_download(file, mirror)) from error
    finally:
        storage.remove(part)


def described(file: Remote, mirror: Mirror | None = None) -> str:
    """Address and size of a remote file, and the mirror that it comes from, for messages."""
    size = f"{file.size_bytes / 1e6:.1f} MB" if file.size_bytes else "size not published"
    source = f"\n  from the mirror {mirror.url(file.url)} ({mirror.variable})" if mirror else ""
    return without_credentials(f"{file.url} ({size}){source}")


def print_start(file: Remote, mirror: Mirror | None) -> None:
    """Print where a file is downloaded from, and to."""
    print(f"downloading {described(file, mirror)}\n  to {file.path}", file=sys.stderr, flush=True)


def manual_download(file: Remote, mirror: Mirror | None) -> str:
    """Instructions for a download without the mirror, and without network access."""
    lines = [f"URL: {file.url}", f"without network access, copy the file to {file.path}", file.alternative]
    if mirror:
        lines[:0] = [f"mirror: {mirror.url(file.url)}", mirror.way_back]
    return "\n".join(line for line in lines if line)


def print_unpublished(file: Remote, mirror: Mirror | None = None) -> None:
    """Print a notice at the first download of a file without a published checksum."""
    if not cache.expected(file):
        stored = cache.checksum_path(file.path)
        print(
            f"no checksum is published for {file.path.name}: its current checksum is stored in {stored}",
            file=sys.stderr,
        )
        if mirror:
            print(f"what the mirror for {mirror.start} sent could not be verified", file=sys.stderr)


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
        try:
            text = acquire(file, path)
        except OSError as error:
            wrong = f"{lock} cannot be locked, so that two processes could write one download: {error.strerror}"
            raise error_type(wrong, "choose a folder on a file system with locks as PANNSDIST_HOME") from error
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
