"""What identifies an array: the source that it was made of, and how it was made."""

from __future__ import annotations

import hashlib
import json
import os
import stat
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

KEY_BYTES = 32
SETTLED_NS = 2_000_000_000
"""A file that was changed this recently may change again within the resolution of its times."""


def digest(content: Any) -> bytes:
    """The SHA-256 of plain data (text, numbers, lists, mappings with text keys), whatever the order of its keys."""
    return hashlib.sha256(json.dumps(content, sort_keys=True, ensure_ascii=True).encode()).digest()


@dataclass(frozen=True)
class Identity:
    """A source as it was before it was read: an array made of it is valid as long as nothing of this changes.

    `name` is unique, `version` is another one after each change, and `changed_ns` is when a file was changed last.
    """

    name: str
    size_bytes: int
    version: str
    changed_ns: int = 0

    @classmethod
    def of_file(cls, path: Path) -> Identity | None:
        """The identity of a regular file; None for anything else, and where the system does not tell."""
        try:
            found = os.stat(path)  # noqa: PTH116 raises for names that pathlib refuses
            full = os.path.realpath(path)
        except (OSError, ValueError):
            return None
        if not stat.S_ISREG(found.st_mode):
            return None
        version = f"{found.st_mtime_ns}:{found.st_ctime_ns}"
        return cls(os.fsencode(full).hex(), found.st_size, version, max(found.st_mtime_ns, found.st_ctime_ns))

    @property
    def is_settled(self) -> bool:
        """Whether the last change is long enough ago for a later one to have another time."""
        return time.time_ns() - self.changed_ns > SETTLED_NS

    def key(self, part: Mapping[str, Any]) -> bytes:
        """The key of what is made of a `part` of the source, such as its start and duration."""
        return digest({"source": [self.name, self.size_bytes, self.version], "part": dict(part)})
