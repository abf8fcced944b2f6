"""What a store is: it tells the state of an object, sends its bytes, and may list what it has."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from pannsdist.runtime.stores.urls import Url

UNVERIFIED = "unverified-"


@dataclass(frozen=True)
class ObjectState:
    """The size of an object and what tells its version; equal states have equal bytes."""

    size_bytes: int
    version: str

    @property
    def is_lasting(self) -> bool:
        """Whether the version means something in another process, so that its blocks may be kept."""
        return not self.version.startswith(UNVERIFIED)


def unverified(size_bytes: int) -> ObjectState:
    """The state of an object of which the server tells no version: equal to no other one."""
    return ObjectState(size_bytes, UNVERIFIED + uuid.uuid4().hex)


@dataclass(frozen=True)
class Part:
    """Bytes of an object from position `first` on."""

    first: int
    content: bytes


class Store(Protocol):
    """A kind of store. Any thread and any process may call it; each call is one attempt.

    Raises FileNotFoundError, PermissionError and StoreError, which are final, and Passing.
    """

    lists: bool
    """Whether it can list objects."""

    def state(self, url: Url) -> ObjectState:
        """The state of an object now."""
        ...

    def fetch(self, url: Url, state: ObjectState, start: int, end: int) -> Part:
        """The bytes `start` to `end` of an object in this state, or more around them. Raises ObjectChanged."""
        ...

    def listing(self, url: Url) -> Iterator[tuple[str, ObjectState]]:
        """The objects below a URL: their names relative to it, in any order, and their states."""
        ...
