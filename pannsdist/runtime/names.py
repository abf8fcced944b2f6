r"""File names as text: bytes that are not UTF-8, and control characters, as escapes such as `\xb9`.

Python holds such a byte of a file name as a lone surrogate, which no encoding can write. One rule for all of them: a
`Path` keeps the bytes; text that is shown, stored, hashed or compared (an id, a label, a setting, a line of output) is
`shown(name)`; and `path_of(text)` finds the file again.
"""

from __future__ import annotations

import codecs
import io
import os
import re
import stat
import sys
from collections.abc import Callable
from pathlib import Path

SHOWN = "pannsdist-shown"
"""The error handler of `str.encode` that writes what an encoding does not have as `shown` does."""

_UNSEEN = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
_ESCAPE = re.compile(r"\\x([0-9a-f]{2})|\\u([0-9a-f]{4})")
_BYTE = 0xDC00
"""Python holds the byte b of an undecodable name as the surrogate `_BYTE` + b (PEP 383)."""


def shown(name: object) -> str:
    r"""The text of a name: valid Unicode on one line. Names without such characters are returned unchanged."""
    text = str(name)
    is_plain = text.isascii() and text.isprintable()
    return text if is_plain else _UNSEEN.sub(lambda found: _escaped(found[0]), text)


def original(text: str) -> str:
    """The name that `shown` made this text from."""

    def character(found: re.Match[str]) -> str:
        if found[2]:
            return chr(int(found[2], 16))
        code = int(found[1], 16)
        return chr(code if code < 0x80 else _BYTE + code)

    return _ESCAPE.sub(character, text)


def is_unicode(text: str) -> bool:
    """Whether every encoding of Unicode can write the text: it has no undecodable bytes of a file name."""
    return text.isascii() or not any("\ud800" <= character <= "\udfff" for character in text)


def expanded(text: str | os.PathLike[str]) -> Path:
    """The path with `~` expanded; unchanged without such a home folder, since a file may be called `~a.wav`."""
    return Path(os.path.expanduser(text))  # noqa: PTH111 pathlib raises where there is none


def path_of(text: str | os.PathLike[str]) -> Path:
    """The path that a setting, a list or a command line names, with `~` expanded.

    Where nothing has the name itself, it may be one that `shown` made.
    """
    path = expanded(text)
    if "\\" in str(path) and not os.path.lexists(path):
        named = Path(original(str(path)))
        return named if "\0" not in str(named) and os.path.lexists(named) else path
    return path


def is_file(path: Path) -> bool:
    """Whether there is a file; unlike `Path.is_file`, False for a name that is too long or in a closed folder."""
    return _holds(path, stat.S_ISREG)


def is_folder(path: Path) -> bool:
    """Whether there is a folder; unlike `Path.is_dir`, False for a name that is too long or in a closed folder."""
    return _holds(path, stat.S_ISDIR)


def folder_above(path: Path) -> Path:
    """The nearest folder above a path that exists; the current one for a name alone."""
    return next((parent for parent in path.parents if is_folder(parent)), Path())


def make_output_safe() -> None:
    """Let standard output and error write every name, whatever their encoding has. Call this first in a command."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=SHOWN)


def _holds(path: Path, kind: Callable[[int], bool]) -> bool:
    try:
        return kind(path.stat().st_mode)
    except (OSError, ValueError):
        return False


def _escaped(character: str) -> str:
    code = ord(character)
    if _BYTE + 0x80 <= code <= _BYTE + 0xFF:
        code -= _BYTE
    elif code >= 0x80:
        return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
    return f"\\x{code:02x}"


def _handler(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(map(_escaped, error.object[error.start : error.end])), error.end


codecs.register_error(SHOWN, _handler)
