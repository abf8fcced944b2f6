"""Text and JSON that others wrote: read within bounds, and printed short and without control characters."""

from __future__ import annotations

import json
from typing import Any

MAX_JSON_BYTES = 4 << 20
BYTES_OF_A_PART = 14
"""Objects, lists and their items take up to 100 bytes of memory each; in files of use they have that many letters."""
EXCERPT_LETTERS = 80
OF_THIS_PROCESS = (KeyboardInterrupt, GeneratorExit)
"""What third-party code raises without being at fault. All else is its fault: SystemExit too, and what `pytest.skip`
raises, which are no `Exception`; so code around a plugin catches BaseException after these two.
"""


class TooMuch(ValueError):
    """A file that may be whole, and holds more than is read of its kind."""


def excerpt(value: object, letters: int = EXCERPT_LETTERS) -> str:
    """A foreign value for a message: text cut to `letters` and escaped, an integer, or the name of any other type.

    Nothing else is printed: the text of a nested value can be longer than any memory.
    """
    if type(value) is int and value.bit_length() <= 64:
        return str(value)
    if not isinstance(value, str):
        return f"a value of type {type(value).__name__}"
    cut = value[:letters]
    return "".join(map(escaped, cut)) + ("..." if len(value) > letters else "")


def escaped(letter: str) -> str:
    """A letter as it is if a terminal only prints it, else its escape sequence, such as `\\x1b`."""
    return letter if letter.isprintable() else letter.encode("unicode_escape", "surrogatepass").decode("ascii")


def reason(error: BaseException) -> str:
    """What an exception says, short and escaped; its type where it carries values, whose text has no bounds."""
    if all(isinstance(part, str | int | None) for part in error.args) and error.args:
        return excerpt(str(error), 200)
    return type(error).__name__


def parse_json(raw: bytes, what: str, max_bytes: int = MAX_JSON_BYTES) -> Any:
    """The content of JSON bytes; `what` names them in messages.

    Raises ValueError for text that is not JSON, and for a name that stands twice in one object; `TooMuch`, which is a
    ValueError, for text that is too long, in too many parts or nested too deeply.
    """
    if len(raw) > max_bytes:
        raise TooMuch(f"{what} of {len(raw):,} bytes; at most {max_bytes:,} are read")
    parts = sum(raw.count(mark) for mark in (b"[", b"{", b",", b":"))
    if parts > max_bytes // BYTES_OF_A_PART:
        raise TooMuch(f"{what} of {parts:,} parts in its JSON; at most {max_bytes // BYTES_OF_A_PART:,} are read")
    try:
        return json.loads(raw.decode("utf-8"), object_pairs_hook=_unique)
    except RecursionError:
        raise TooMuch(f"{what} is nested too deeply") from None
    except UnicodeDecodeError as error:
        raise ValueError(f"{what} is not JSON: not UTF-8 at byte {error.start}") from None
    except _TwiceError as error:
        raise ValueError(f"{what} has {error}") from None
    except ValueError as error:
        raise ValueError(f"{what} is not JSON: {reason(error)}") from None


class _TwiceError(Exception):
    """A name that stands twice."""


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise _TwiceError("a name twice in its JSON")
    return made
