"""Text that users write: settings, tables, lists. UTF-8 with or without a byte-order mark, UTF-16 with one."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from pathlib import Path

from pannsdist.runtime.errors import UserError, shell_command
from pannsdist.runtime.names import folder_above
from pannsdist.runtime.reading import retried
from pannsdist.runtime.stores import objects
from pannsdist.runtime.stores.urls import Url

MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
ARCHIVES = (
    (b"\x1f\x8b", "compressed by gzip", "gunzip"),
    (b"BZh", "compressed by bzip2", "bunzip2"),
    (b"\xfd7zXZ\0", "compressed by xz", "unxz"),
    (b"\x28\xb5\x2f\xfd", "compressed by Zstandard", "unzstd"),
)
"""How compressed files begin, and what unpacks them."""
OTHER_KINDS = (
    (b"PK\x03\x04", "a ZIP archive, as spreadsheets are", "unpack it, or save the sheet as text with tabs"),
    (b"\xd0\xcf\x11\xe0", "a document of Office", "save it as text with tabs"),
    (b"PAR1", "a Parquet file", "write it as text"),
    (b"RIFF", "a sound", "name the file with the text"),
    (b"fLaC", "a sound", "name the file with the text"),
    (b"OggS", "a sound", "name the file with the text"),
)
"""How files begin that are no text, what they are, and what would be right."""
_LINE = re.compile(r"[^\r\n]*(?:\r\n|\n|\r)|[^\r\n]+")
OTHER = "save it as UTF-8, or convert it from its own encoding, such as GB18030, SHIFT_JIS or CP1252"


def read_text(path: Path | Url, key: str = "") -> str:
    """The content of a text file; `key` is the setting that names it. Raises UserError with file and line."""
    named = f"{path} ({key})" if key else str(path)
    try:
        content = objects.read_bytes(path) if isinstance(path, Url) else retried(path.read_bytes)
    except OSError as error:
        command = "" if isinstance(path, Url) else shell_command("ls", folder_above(path))
        raise UserError(f"cannot read {named}: {error.strerror}", "", command) from error
    return decoded(content, str(path), key)


def decoded(content: bytes, name: str, key: str = "") -> str:
    """The text of a file or stream called `name`. Raises UserError with the line of the first invalid byte."""
    _refuse_no_text(content, name, f" ({key})" if key else "")
    encoding = next((encoding for mark, encoding in MARKS if content.startswith(mark)), "utf-8-sig")
    setting = f" ({key})" if key else ""
    if encoding == "utf-8-sig" and b"\0" in content:
        line = content[: content.index(b"\0")].count(b"\n") + 1
        wrong = f"{name}:{line}: a zero byte, so it is not UTF-8{setting}"
        raise UserError(wrong, "save it as UTF-8; it may be UTF-16", _conversion("UTF-16LE", name))
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        if encoding != "utf-8-sig":
            raise UserError(f"{name}: not {encoding.upper()}: {error.reason}{setting}", "save it as UTF-8") from error
        line = content[: error.start].count(b"\n") + 1
        raise UserError(f"{name}:{line}: not UTF-8{setting}", OTHER, _conversion("GB18030", name)) from error


def _refuse_no_text(content: bytes, name: str, setting: str) -> None:
    for mark, what, command in ARCHIVES:
        if content.startswith(mark):
            unpacking = f"{shell_command(command, '-c', name)} > {shell_command(name + '.unpacked')}"
            raise UserError(f"{name} is {what}, no text{setting}", "unpack it", unpacking)
    for mark, what, right in OTHER_KINDS:
        if content.startswith(mark):
            raise UserError(f"{name} is {what}, no text{setting}", right)


def lines_of(text: str) -> list[str]:
    r"""The lines of a text, ended by `\n`, `\r\n` or `\r` and by nothing else, unlike `str.splitlines`."""
    return [line.rstrip("\r\n") for line in each_line(text)]


def each_line(text: str) -> Iterator[str]:
    """The lines of a text with their ends, one at a time: a list of a million would need more memory than the text."""
    return (found[0] for found in _LINE.finditer(text))


def _conversion(encoding: str, name: str) -> str:
    return f"{shell_command('iconv', '-f', encoding, '-t', 'UTF-8', name)} > {shell_command(name + '.utf8')}"
