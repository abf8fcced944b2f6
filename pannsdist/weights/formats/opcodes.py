"""Writers of the pickle opcodes in weight files; Python's own pickling is not used."""

from __future__ import annotations

import struct

PROTO_2, PROTO_4, STOP = b"\x80\x02", b"\x80\x04", b"."
NONE, FALSE, TRUE, NO_ARGUMENTS = b"N", b"\x89", b"\x88", b")"
PERSISTENT = b"Q"


def text(value: str) -> bytes:
    """A string."""
    raw = value.encode("utf-8", "surrogatepass")
    return b"X" + struct.pack("<I", len(raw)) + raw


def number(value: int) -> bytes:
    """An integer."""
    if 0 <= value < 1 << 8:
        return b"K" + struct.pack("<B", value)
    if -(1 << 31) <= value < 1 << 31:
        return b"J" + struct.pack("<i", value)
    return b"\x8a\x09" + value.to_bytes(9, "little", signed=True)


def raw_bytes(value: bytes) -> bytes:
    """Bytes (not available in protocol 2)."""
    if len(value) < 1 << 32:
        return b"B" + struct.pack("<I", len(value)) + value
    return b"\x8e" + struct.pack("<Q", len(value)) + value


def sequence(*parts: bytes) -> bytes:
    """A tuple."""
    return b"(" + b"".join(parts) + b"t"


def numbers(values: tuple[int, ...]) -> bytes:
    """A tuple of integers."""
    return sequence(*map(number, values))


def named(module: str, name: str) -> bytes:
    """A class or function by name."""
    return f"c{module}\n{name}\n".encode("ascii")


def call(function: bytes, *arguments: bytes) -> bytes:
    """The result of a function call."""
    return function + sequence(*arguments) + b"R"


def with_state(made: bytes, *state: bytes) -> bytes:
    """An object with its state set."""
    return made + sequence(*state) + b"b"


def mapping(items: list[tuple[bytes, bytes]]) -> bytes:
    """A dict."""
    return b"}(" + b"".join(key + value for key, value in items) + b"u"
