"""A restricted unpickler that builds containers and calls only the functions of a given table.

It is not a subclass of `pickle.Unpickler`, which allocates whatever a damaged file requests: one wrong byte in
LONG_BINPUT makes CPython before 3.14 clear a memo of up to 64 GB. Here every size is checked against the remaining file
size, every object is paid from a `Budget` in proportion to the file, opcodes that weight files do not need are
rejected, and attributes are never set. Foreign values are never hashed, compared, copied or printed, except short text
and integers: for nested tuples each of these can overflow the C stack or take longer than any life. Supports protocols
2 to 4 and the strings of Python 2.
"""

from __future__ import annotations

import struct
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from pannsdist.runtime.foreign import excerpt
from pannsdist.weights.formats.errors import Damaged, ForbiddenName, Refused
from pannsdist.weights.formats.limits import MAX_LONG_BYTES, MAX_WIDE_TEXT_BYTES, Budget
from pannsdist.weights.formats.section import Section

ITEM_BYTES, PAIR_BYTES, PLACE_BYTES = 16, 100, 100
"""Memory of an item of a list, of a pair of a dict and of a place of the memo, at most."""
SKIPPED_FROM_BYTES = 4096


@dataclass(frozen=True)
class Global:
    """An allowed name; `call` is its replacement, or None for names that are never called."""

    name: str
    call: Callable[..., Any] | None = None


class Pending:
    """An object that a pickle describes in several steps; `finish` returns its final value."""

    __slots__ = ()

    def build(self, state: object) -> None:  # noqa: ARG002 - for types without state
        """Set the state from the pickle. Raises Refused for types without state."""
        raise Refused("state for an object that has none")

    def finish(self) -> object:
        """The final value."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class Skipped:
    """Bytes that were passed over, because only shapes are read."""

    size: int


def table(calls: Mapping[str, Callable[..., Any] | None]) -> dict[str, Global]:
    """Table of the allowed names of a file format and their replacements."""
    return {name: Global(name, call) for name, call in calls.items()}


def put_item(target: Any, key: Any, value: Any) -> None:
    """Set a key of a dict; keys are text or integers, since hashing a deeply nested tuple overflows the C stack."""
    if type(target) is not dict:
        raise Refused("items for something that is not a dict")
    if type(key) not in (str, int):
        raise Refused(f"a key that is neither text nor a number, but {excerpt(key)}")
    target[key] = value


class Unpickler:
    """Reader of one pickle in `source`, which afterwards stands behind the pickle.

    With `skips_values` bytes from SKIPPED_FROM_BYTES on are not read; the pickle holds `Skipped` in their place.
    """

    def __init__(
        self,
        source: Section,
        allowed: Mapping[str, Global],
        budget: Budget,
        *,
        storage: Callable[[Any], Any] | None = None,
        skips_values: bool = False,
    ) -> None:
        self.source, self.allowed, self.budget, self.storage = source, allowed, budget, storage
        self.skips_values = skips_values
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}

    def load(self) -> Any:
        """Load the tree of the pickle; `finished` resolves the pending objects in it."""
        while True:
            self.budget.step()
            code = self.source.take(1)
            if code == b".":
                return self.pop()
            step = OPCODES.get(code)
            if step is None:
                raise Refused(f"pickle instruction {code!r} at byte {self.source.position - 1} is not supported")
            step(self)

    def push(self, value: Any) -> None:
        """Push a new object, and pay for it."""
        self.budget.spend(sys.getsizeof(value))
        self.stack.append(value)

    @property
    def top(self) -> Any:
        """The object on top of the stack."""
        if not self.stack:
            raise Damaged("its pickle reads from an empty stack")
        return self.stack[-1]

    def pop(self) -> Any:
        """Pop one object."""
        return self.pop_from(len(self.stack) - 1)[0]

    def pop_from(self, start: int) -> tuple[Any, ...]:
        """Pop all items from index `start` on."""
        if start < 0:
            raise Damaged("its pickle pops from an empty stack")
        items = tuple(self.stack[start:])
        del self.stack[start:]
        return items

    def pop_to_mark(self) -> tuple[Any, ...]:
        """Pop all items above the last mark."""
        if not self.marks:
            raise Damaged("its pickle pops from an empty stack of marks")
        return self.pop_from(self.marks.pop())

    def push_global(self, module: object, name: object) -> None:
        """Look up a name in the table; nothing is ever imported."""
        if type(module) is not str or type(name) is not str:
            raise Refused("a global whose name is not text")
        known = self.allowed.get(f"{module}.{name}")
        if known is None:
            raise ForbiddenName(f"{module[:100]}.{name[:100]}")
        self.stack.append(known)

    def remember(self, place: int) -> None:
        """Store the object on top of the stack in the memo."""
        self.budget.spend(PLACE_BYTES)
        self.memo[place] = self.top

    def recall(self, place: int) -> None:
        """Push an object of the memo."""
        if place not in self.memo:
            raise Damaged("its pickle reads a place of its memo that it never wrote")
        self.stack.append(self.memo[place])

    def reduce(self) -> None:
        """Call the replacement of a name."""
        called, arguments = self.pop_from(len(self.stack) - 2)
        if type(called) is not Global or called.call is None or type(arguments) is not tuple:
            raise Refused("a call of something that is not callable")
        self.push(called.call(*arguments))

    def build(self) -> None:
        """Set the state of a pending object; attributes of a dict (PyTorch's `_metadata`) are ignored."""
        state, target = self.pop(), self.top
        if isinstance(target, Pending):
            target.build(state)
        elif type(target) is not dict:
            raise Refused("state for an object that has none")

    def append(self, items: tuple[Any, ...]) -> None:
        """Append items to the list on top of the stack."""
        target = self.top
        if type(target) is not list:
            raise Refused("items for something that is not a list")
        self.budget.spend(ITEM_BYTES * len(items))
        target.extend(items)

    def put_items(self, items: tuple[Any, ...]) -> None:
        """Add keys and values to the dict on top of the stack."""
        if len(items) % 2:
            raise Damaged("a key without a value")
        self.budget.spend(PAIR_BYTES * len(items) // 2)
        target = self.top
        for key, value in zip(items[::2], items[1::2], strict=True):
            put_item(target, key, value)

    def persistent(self) -> None:
        """Push the storage of a persistent id."""
        if self.storage is None:
            raise ForbiddenName("a persistent object")
        self.push(self.storage(self.pop()))


Step = Callable[[Unpickler], Any]


def number(layout: str) -> Step:
    """Push a number in a `struct` format."""
    packed = struct.Struct(layout)
    return lambda machine: machine.push(packed.unpack(machine.source.take(packed.size))[0])


def sized(layout: str, convert: Callable[[bytes], Any], *, is_bytes: bool = False) -> Step:
    """Push what `convert` makes of bytes whose length comes first."""
    packed = struct.Struct(layout)

    def step(machine: Unpickler) -> None:
        size = packed.unpack(machine.source.take(packed.size))[0]
        if is_bytes and machine.skips_values and size >= SKIPPED_FROM_BYTES:
            machine.source.skip(size)
            machine.push(Skipped(size))
        else:
            machine.push(convert(machine.source.take(size)))

    return step


def memo(layout: str, use: Callable[[Unpickler, int], None]) -> Step:
    """Use a place of the memo, whose number comes next."""
    packed = struct.Struct(layout)
    return lambda machine: use(machine, packed.unpack(machine.source.take(packed.size))[0])


def constant(value: Any) -> Step:
    """Push a constant."""
    return lambda machine: machine.stack.append(value)


def last(count: int) -> Step:
    """Push a tuple of the last items."""
    return lambda machine: machine.push(machine.pop_from(len(machine.stack) - count))


def long_number(raw: bytes) -> int:
    """An integer of up to MAX_LONG_BYTES."""
    if len(raw) > MAX_LONG_BYTES:
        raise Refused(f"a number of {len(raw)} bytes")
    return int.from_bytes(raw, "little", signed=True)


def unicode_text(raw: bytes) -> str:
    """Text as encoded by pickle: UTF-8 with lone surrogates; long text is within Latin-1, one byte for a letter."""
    if len(raw) > MAX_WIDE_TEXT_BYTES and np.frombuffer(raw, np.uint8).max() > 0xC3:  # the first byte of two for U+00FF
        raise Refused(f"text of {len(raw)} bytes outside of Latin-1")
    return str(raw, "utf-8", "surrogatepass")


def latin_text(raw: bytes) -> str:
    """Text of Python 2."""
    return str(raw, "latin-1")


OPCODES: dict[bytes, Step] = {
    b"K": number("<B"),
    b"M": number("<H"),
    b"J": number("<i"),
    b"G": number(">d"),
    b"N": constant(None),
    b"\x88": constant(True),
    b"\x89": constant(False),
    b")": constant(()),
    b"X": sized("<I", unicode_text),
    b"\x8c": sized("<B", unicode_text),
    b"\x8d": sized("<Q", unicode_text),
    b"U": sized("<B", latin_text),
    b"T": sized("<i", latin_text),
    b"C": sized("<B", bytes, is_bytes=True),
    b"B": sized("<I", bytes, is_bytes=True),
    b"\x8e": sized("<Q", bytes, is_bytes=True),
    b"\x8a": sized("<B", long_number),
    b"\x8b": sized("<i", long_number),
    b"h": memo("<B", Unpickler.recall),
    b"j": memo("<I", Unpickler.recall),
    b"q": memo("<B", Unpickler.remember),
    b"r": memo("<I", Unpickler.remember),
    b"\x94": lambda machine: machine.remember(len(machine.memo)),  # MEMOIZE
    b"\x85": last(1),
    b"\x86": last(2),
    b"\x87": last(3),
    b"\x80": lambda machine: machine.source.take(1),  # PROTO
    b"\x95": lambda machine: machine.source.take(8),  # FRAME
    b"(": lambda machine: machine.marks.append(len(machine.stack)),
    b"t": lambda machine: machine.push(machine.pop_to_mark()),
    b"]": lambda machine: machine.push([]),
    b"}": lambda machine: machine.push({}),
    b"a": lambda machine: machine.append((machine.pop(),)),
    b"e": lambda machine: machine.append(machine.pop_to_mark()),
    b"s": lambda machine: machine.put_items(machine.pop_from(len(machine.stack) - 2)),
    b"u": lambda machine: machine.put_items(machine.pop_to_mark()),
    b"c": lambda machine: machine.push_global(machine.source.line(), machine.source.line()),
    b"\x93": lambda machine: machine.push_global(*machine.pop_from(len(machine.stack) - 2)),
    b"R": Unpickler.reduce,
    b"b": Unpickler.build,
    b"Q": Unpickler.persistent,
}
"""The instructions that are followed, by their byte."""
