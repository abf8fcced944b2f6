"""The folder of this user in which downloads and caches are kept."""

from __future__ import annotations

import os
from pathlib import Path


def home() -> Path:
    """`PANNSDIST_HOME`, else `pannsdist` in the user's cache folder."""
    chosen = os.environ.get("PANNSDIST_HOME")
    if chosen:
        return Path(chosen).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "pannsdist"
