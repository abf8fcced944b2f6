"""The JSON files that this package writes, read back: within bounds, with retries, checked, and refused in one form."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from pannsdist.runtime import reading
from pannsdist.runtime.errors import UserError, shell_command
from pannsdist.runtime.foreign import MAX_JSON_BYTES, parse_json, reason

T = TypeVar("T")


@dataclass(frozen=True)
class JsonFile(Generic[T]):
    """One kind of file: `build` makes its value of the JSON content, without the number of its `format`.

    Content is damaged if it is no JSON or too much of it, and if `build` raises ValueError, KeyError, TypeError or
    AttributeError. `error` refuses it, with `right` as what to do and, of a file that the run can do without, the
    command that removes it. Where `right` is None, a damaged file is read as None.
    """

    build: Callable[[Any], T]
    error: type[UserError]
    right: str | None
    format: int | None = None
    max_bytes: int = MAX_JSON_BYTES
    is_removable: bool = False

    def read(self, path: Path) -> T | None:
        """The value of a file; None where there is none. Raises `error`, CannotRead."""
        raw = self.raw(path)
        return None if raw is None else self.parsed(raw, path)

    def read_lines(self, path: Path) -> list[T]:
        """The values of a file with one for each line, empty where there is none. Raises `error`, CannotRead.

        A last line without its end is left out: it is being written, or its writer was killed.
        """
        values = (self.parsed(line, path) for line in reading.complete_lines(path))
        return [value for value in values if value is not None]

    def raw(self, path: Path) -> bytes | None:
        """The bytes of a file, for `parsed`; None where there is none. Raises CannotRead."""
        try:
            return reading.retried(lambda: self._bytes(path))
        except ValueError:  # a NUL character: no file can have such a name
            return None
        except OSError as error:
            if error.errno in reading.ABSENT:
                return None
            raise reading.cannot_read(path, error) from error

    def parsed(self, raw: bytes, path: Path | str) -> T | None:
        """The value of the bytes of a file, or of a line; the path is for messages. Raises `error`."""
        try:
            content = parse_json(raw, "a file", self.max_bytes)
            if self.format is not None:
                reading.check_format(content, self.format, path, self.error)
                content = {name: value for name, value in content.items() if name != "format"}
            return self.build(content)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            if self.right is None:
                return None
            command = shell_command("rm", path) if self.is_removable else ""
            raise self.error(f"{path} is damaged: {reason(error)}", self.right, command) from error

    def _bytes(self, path: Path) -> bytes:
        with path.open("rb") as file:
            return file.read(self.max_bytes + 1)
