"""Text without credentials, and records without absolute paths: for everything that is printed, written or tracked."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pannsdist.runtime.names import expanded

HIDDEN = "***"
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^\s\"'<>]+")
_USER = re.compile(r"(?<=://)[^/?#]*@")
_SECRET = re.compile(
    r"([?&;#](?:[\w.%-]{0,40}(?:token|secret|passw|pwd|signature|credential|key|auth|session)[\w.%-]{0,40}|sig|sas)=)[^&;#]*",
    re.IGNORECASE,
)
_SECRET_WORDS = frozenset(
    [
        "password",
        "passwords",
        "passwd",
        "passphrase",
        "passcode",
        "pwd",
        "secret",
        "secrets",
        "credential",
        "credentials",
        "apikey",
        "accesskey",
        "secretkey",
        "authtoken",
        "accesstoken",
        "apitoken",
        "webhook",
        "cookie",
        "cookies",
    ]
)
_SECRET_LAST_WORDS = frozenset({"token", "auth", "authorization", "bearer"})
_KINDS_OF_KEY = frozenset(
    [
        "api",
        "access",
        "account",
        "auth",
        "client",
        "encryption",
        "licence",
        "license",
        "private",
        "secret",
        "signing",
        "ssh",
    ]
)
_ABOUT_SECRETS = frozenset(
    ["file", "files", "path", "folder", "dir", "env", "variable", "name", "length", "count", "type", "separator"]
)
"""Last words of keys whose value is no secret itself, such as `token_file`."""
_OVERRIDE = re.compile(r"((?:[\w-]+\.)+[\w-]+)=('(?:[^']|'\"'\"')*'|\"[^\"]*\"|[^\s'\"]+)")
"""A setting on a command line: `trackers.NAME.api_key=VALUE`, the value quoted or not."""
_QUOTED_OVERRIDE = re.compile(r"(?<=['\"])((?:[\w-]+\.)+[\w-]+)=([^'\"]*)")
"""One that is quoted as a whole: `'trackers.NAME.api_key=VALUE'`."""
LEAST_SECRET_NUMBER = 1000
"""A smaller whole number is a size, such as the number of a token, and no password."""


def is_secret(key: str) -> bool:
    """Whether a setting of this name, such as `api_key`, `hfToken` or `db-password`, holds a secret."""
    words = [word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", key)]
    if not words or words[-1] in _ABOUT_SECRETS:
        return False
    is_key = words[-1] == "key" and bool(_KINDS_OF_KEY.intersection(words))
    return is_key or words[-1] in _SECRET_LAST_WORDS or bool(_SECRET_WORDS.intersection(words))


def without_secrets(tree: Any, key: str = "") -> Any:
    """Settings or params, in nested dictionaries and lists, whose values become `***` where a key names a secret.

    Everything below such a key is hidden but what is empty, true, false or a number that is none.
    """
    if isinstance(tree, Mapping):
        return {name: without_secrets(value, key if is_secret(key) else str(name)) for name, value in tree.items()}
    if isinstance(tree, (list, tuple)):
        return [without_secrets(value, key) for value in tree]
    return HIDDEN if is_secret(key) and _may_be_secret(tree) else tree


def hidden_keys(tree: Any, key: str = "") -> list[str]:
    """The dotted keys whose value is what `without_secrets` writes in place of a secret."""
    if isinstance(tree, Mapping):
        return [found for name, value in tree.items() for found in hidden_keys(value, f"{key}.{name}".lstrip("."))]
    return [key] if tree == HIDDEN and is_secret(key.rpartition(".")[2]) else []


def _may_be_secret(value: object) -> bool:
    if isinstance(value, int) and not isinstance(value, bool):
        return abs(value) >= LEAST_SECRET_NUMBER
    return isinstance(value, str) and bool(value)


def without_credentials(text: str) -> str:
    """The text, with `***` in place of secrets.

    These are in each URL the user and password, and the values of query keys such as `token`; and in commands the value
    of a setting that `is_secret`.
    """
    if "=" in text:
        text = _QUOTED_OVERRIDE.sub(_hidden_override, _OVERRIDE.sub(_hidden_override, text))
    return _URL.sub(_hidden, text) if "://" in text else text


def _hidden_override(override: re.Match[str]) -> str:
    key, value = override.groups()
    return f"{key}={HIDDEN if value and is_secret(key.rpartition('.')[2]) else value}"


def _hidden(url: re.Match[str]) -> str:
    return _SECRET.sub(rf"\1{HIDDEN}", _USER.sub(f"{HIDDEN}@", url[0]))


def published(tree: Any) -> Any:
    """A record for others: nested dictionaries and lists whose strings hold no credentials and no absolute path.

    A string that is an absolute path of this machine becomes relative to the working folder. Keys stay as they are, and
    values are hidden where a key names a secret.
    """
    return _published(without_secrets(tree))


def _published(tree: Any) -> Any:
    if isinstance(tree, Mapping):
        return {key: _published(value) for key, value in tree.items()}
    if isinstance(tree, (list, tuple)):
        return [_published(value) for value in tree]
    return _relative(without_credentials(tree)) if isinstance(tree, str) else tree


def published_text(text: str) -> str:
    """A message for others: no credentials, paths relative to the working folder, or below the home folder as ~."""
    text = without_credentials(text)
    for folder, short in ((str(Path.cwd()), ""), (str(expanded("~")), "~/")):
        if len(folder) > 1:
            text = re.sub(rf"(?<![\w/.-]){re.escape(folder)}/", short, text)
    return text


def _relative(text: str) -> str:
    """The text, relative to the working folder if it is a path whose first folder exists: `/m/09x0r` may be a label."""
    path = Path(text)
    if "\n" in text or "\0" in text or not path.is_absolute() or len(path.parts) < 2:
        return text
    return os.path.relpath(text) if os.path.lexists(Path(*path.parts[:2])) else text
