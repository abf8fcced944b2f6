"""The folder of this user in which downloads and caches are kept."""

from __future__ import annotations

import os
from pathlib import Path

from pannsdist.runtime.errors import UserError
from pannsdist.runtime.names import expanded


def home() -> Path:
    """`PANNSDIST_HOME`, else `pannsdist` in the user's cache folder.

    Raises UserError for a user without a home folder, as in some containers.
    """
    chosen = os.environ.get("PANNSDIST_HOME")
    if chosen:
        return expanded(chosen)
    folder = expanded(os.environ.get("XDG_CACHE_HOME") or "~/.cache")
    if str(folder).startswith("~"):
        right = "HOME is not set, and this user has no home folder: set PANNSDIST_HOME to a folder that can be written"
        raise UserError("there is no place for downloads", right, "export PANNSDIST_HOME=FOLDER")
    return folder / "pannsdist"
