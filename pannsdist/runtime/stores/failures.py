"""How a store fails: for good, for now, or because an object is no longer what it was."""

from __future__ import annotations

import errno
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from time import time

from pannsdist.runtime.stores.urls import Url

LATER = (408, 425, 429)
"""Statuses of HTTP, beside those of 5xx, after which the same request may succeed."""
NEVER = (501, 505)
"""Statuses of 5xx after which it will not."""


class StoreError(OSError):
    """A store that does not give an object, although nothing says that the object is missing or forbidden."""

    def __init__(self, url: Url, why: str) -> None:
        super().__init__(errno.EPROTO, why, str(url))  # a number that no caller takes for a passing fault

    def __reduce__(self) -> tuple[object, ...]:
        return _again, (type(self), self.args, self.filename)


class ObjectChanged(StoreError):
    """An object that was replaced while a run reads it."""

    def __init__(self, url: Url, what: str) -> None:
        super().__init__(url, f"it changed while it was read ({what}); the same command reads the new one")


def _again(kind: type[StoreError], arguments: tuple[object, ...], filename: str) -> StoreError:
    error = kind.__new__(kind)
    OSError.__init__(error, *arguments, filename)
    return error


class Passing(Exception):
    """A fault that may be over a moment later. `wait_s` is how long the server says to wait, 0 without a word."""

    def __init__(self, why: str, wait_s: float = 0.0) -> None:
        super().__init__(why)
        self.wait_s = wait_s


def missing(url: Url, said: str = "the store has no such object") -> FileNotFoundError:
    """The error for an object that the store does not have."""
    return FileNotFoundError(errno.ENOENT, said, str(url))


def forbidden(url: Url, said: str) -> PermissionError:
    """The error for an object that may not be read."""
    return PermissionError(errno.EACCES, f"the store denies it ({said})", str(url))


def of_status(url: Url, status: int, reason: str, headers: Mapping[str, str]) -> Exception:
    """The error for an answer with a status of HTTP from 400 on."""
    said = f"{status} {reason}".strip()
    if status in (404, 410):
        return missing(url)
    if status in (401, 403, 407):
        return forbidden(url, said)
    if status == 412:
        return ObjectChanged(url, "the server has another version")
    if status in LATER or (status >= 500 and status not in NEVER):
        return Passing(f"the server responded {said}", _seconds(headers))
    return StoreError(url, f"the server responded {said}")


def _seconds(headers: Mapping[str, str]) -> float:
    """The wait of the header `Retry-After`, in seconds or as a date; 0 without one."""
    said = next((value for name, value in headers.items() if name.lower() == "retry-after"), "").strip()
    if said.isdecimal():
        return float(said[:9])
    try:
        return max(0.0, parsedate_to_datetime(said).timestamp() - time())
    except (ValueError, TypeError):
        return 0.0
