"""Text without credentials, and records without absolute paths: for everything that is printed, written or tracked."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

HIDDEN = "***"
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^\s\"'<>]+")
_USER = re.compile(r"(?<=://)[^/?#]*@")
_SECRET = re.compile(
    r"([?&;#](?:[\w.%-]{0,40}(?:token|secret|passw|pwd|signature|credential|key|auth|session)[\w.%-]{0,40}|sig|sas)=)[^&;#]*",
    re.IGNORECASE,
)


def without_credentials(text: str) -> str:
    """The text; in each URL the user and password, and the values of query keys such as `token`, become `***`."""
    return _URL.sub(_hidden, text) if "://" in text else text


def _hidden(url: re.Match[str]) -> str:
    return _SECRET.sub(rf"\1{HIDDEN}", _USER.sub(f"{HIDDEN}@", url[0]))


def published(tree: Any) -> Any:
    """A record for others: nested dictionaries and lists whose strings hold no credentials and no absolute path.

    A string that is an absolute path of this machine becomes relative to the working folder. Keys stay as they are.
    """
    if isinstance(tree, Mapping):
        return {key: published(value) for key, value in tree.items()}
    if isinstance(tree, (list, tuple)):
        return [published(value) for value in tree]
    return _relative(without_credentials(tree)) if isinstance(tree, str) else tree


def published_text(text: str) -> str:
    """A message for others: no credentials, paths relative to the working folder, or below the home folder as ~."""
    text = without_credentials(text)
    for folder, short in ((str(Path.cwd()), ""), (str(Path("~").expanduser()), "~/")):
        if len(folder) > 1:
            text = re.sub(rf"(?<![\w/.-]){re.escape(folder)}/", short, text)
    return text


def _relative(text: str) -> str:
    """The text, relative to the working folder if it is a path whose first folder exists: `/m/09x0r` may be a label."""
    path = Path(text)
    if "\n" in text or "\0" in text or not path.is_absolute() or len(path.parts) < 2:
        return text
    return os.path.relpath(text) if os.path.lexists(Path(*path.parts[:2])) else text
