"""A restricted unpickler that builds containers and calls only the functions of a given table.

It is not a subclass of `pickle.Unpickler`, which allocates whatever a damaged file requests: one wrong byte in
LONG_BINPUT makes CPython before 3.14 clear a memo of up to 64 GB. Here every size is checked against the remaining file
size, opcodes that weight files do not need are rejected, and attributes are never set. Supports protocols 2 to 4 and
the strings of Python 2.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from pannsdist.weights.formats.errors import ForbiddenName

MAX_STEPS = 5_000_000
"""Maximum opcodes per pickle; CNN14's weights need 2,000."""
MAX_DEPTH = 100
MAX_LONG_BYTES = 1024


@dataclass(frozen=True)
class Global:
    """An allowed name; `call` is its replacement, or None for names that are never called."""

    name: str
    call: Callable[..., Any] | None = None


class Pending:
    """An object that a pickle describes in several steps; `finish` returns its final value."""

    def build(self, state: object) -> None:
        """Set the state from the pickle. Raises ValueError for types without state."""
        raise ValueError(f"state of type {type(state).__name__} for {type(self).__name__}, which has none")

    def finish(self) -> object:
        """The final value."""
        raise NotImplementedError


def table(calls: Mapping[str, Callable[..., Any] | None]) -> dict[str, Global]:
    """Table of the allowed names of a file format and their replacements."""
    return {name: Global(name, call) for name, call in calls.items()}


def new_dict(*pairs: Any) -> dict[Any, Any]:
    """Replacement for OrderedDict: a dict, which is ordered too."""
    made: dict[Any, Any] = {}
    for key, value in pairs[0] if pairs else ():
        put_item(made, key, value)
    return made


def put_item(target: Any, key: Any, value: Any) -> None:
    """Set a key of a dict; keys are text or integers, since hashing a deeply nested tuple overflows the C stack."""
    if type(target) is not dict or type(key) not in (str, int):
        raise ValueError("a key that is neither text nor number")
    target[key] = value


def long_number(raw: bytes) -> int:
    """An integer of up to MAX_LONG_BYTES."""
    if len(raw) > MAX_LONG_BYTES:
        raise ValueError(f"a number of {len(raw)} bytes")
    return int.from_bytes(raw, "little", signed=True)


def unicode_text(raw: bytes) -> str:
    """Text as encoded by pickle: UTF-8 with lone surrogates."""
    return str(raw, "utf-8", "surrogatepass")


class Unpickler:
    """Reader of one pickle in `data` at `position`, which afterwards is the end of the pickle."""

    numbers: ClassVar[dict[str, str]] = {"K": "<B", "M": "<H", "J": "<i", "G": ">d"}
    constants: ClassVar[dict[str, Any]] = {"N": None, "\x88": True, "\x89": False, ")": ()}
    sized: ClassVar[dict[str, tuple[str, Callable[[bytes], Any]]]] = {
        "X": ("<I", unicode_text),
        "\x8c": ("<B", unicode_text),
        "\x8d": ("<Q", unicode_text),
        "U": ("<B", lambda raw: str(raw, "latin-1")),
        "T": ("<i", lambda raw: str(raw, "latin-1")),
        "C": ("<B", bytes),
        "B": ("<I", bytes),
        "\x8e": ("<Q", bytes),
        "\x8a": ("<B", long_number),
        "\x8b": ("<i", long_number),
    }
    memo_reads: ClassVar[dict[str, str]] = {"h": "<B", "j": "<I"}
    memo_writes: ClassVar[dict[str, str]] = {"q": "<B", "r": "<I"}
    tuples: ClassVar[dict[str, int]] = {"\x85": 1, "\x86": 2, "\x87": 3}

    def __init__(
        self,
        data: bytes,
        allowed: Mapping[str, Global],
        storage: Callable[[Any], Any] | None = None,
        position: int = 0,
    ) -> None:
        self.data, self.allowed, self.storage, self.position = data, allowed, storage, position
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}

    def load(self) -> Any:
        """Load the tree of the pickle; `finished` resolves the pending objects in it."""
        for _ in range(MAX_STEPS):
            code = chr(self.take(1)[0])
            if code == ".":
                return self.stack.pop()
            self.step(code)
        raise ValueError(f"its pickle has more than {MAX_STEPS} instructions")

    def take(self, size: int) -> bytes:
        """The next `size` bytes."""
        end = self.position + size
        if size < 0 or end > len(self.data):
            raise ValueError(f"it is truncated: {size} bytes needed, {len(self.data) - self.position} left")
        self.position, start = end, self.position
        return self.data[start:end]

    def number(self, layout: str) -> Any:
        """The next number, in a `struct` format."""
        return struct.unpack(layout, self.take(struct.calcsize(layout)))[0]

    def line(self) -> str:
        """The text up to the next line feed."""
        end = self.data.find(b"\n", self.position, self.position + 1000)
        if end < 0:
            raise ValueError("a name without an end")
        text = str(self.take(end - self.position), "utf-8")
        self.position += 1
        return text

    def step(self, code: str) -> None:
        """Execute one opcode."""
        if code in self.numbers:
            self.stack.append(self.number(self.numbers[code]))
        elif code in self.constants:
            self.stack.append(self.constants[code])
        elif code in self.sized:
            layout, convert = self.sized[code]
            self.stack.append(convert(self.take(self.number(layout))))
        elif code in self.memo_reads:
            self.stack.append(self.memo[self.number(self.memo_reads[code])])
        elif code in self.memo_writes:
            self.memo[self.number(self.memo_writes[code])] = self.stack[-1]
        elif code in self.tuples:
            self.stack.append(self.pop_from(len(self.stack) - self.tuples[code]))
        elif code in STRUCTURE:
            STRUCTURE[code](self)
        else:
            raise ValueError(f"pickle instruction {code!r} at byte {self.position - 1} is not supported")

    def pop_from(self, start: int) -> tuple[Any, ...]:
        """Pop all items from index `start` on."""
        if start < 0:
            raise ValueError("its pickle pops from an empty stack")
        items = tuple(self.stack[start:])
        del self.stack[start:]
        return items

    def push_global(self, module: object, name: object) -> None:
        """Look up a name in the table; nothing is ever imported."""
        if not isinstance(module, str) or not isinstance(name, str):
            raise ValueError("a global whose name is not text")
        known = self.allowed.get(f"{module}.{name}")
        if known is None:
            raise ForbiddenName(f"{module}.{name}"[:200])
        self.stack.append(known)

    def reduce(self) -> None:
        """Call the replacement of a name."""
        called, arguments = self.pop_from(len(self.stack) - 2)
        if not isinstance(called, Global) or called.call is None or type(arguments) is not tuple:
            raise ValueError("a call of something that is not callable")
        self.stack.append(called.call(*arguments))

    def build(self) -> None:
        """Set the state of a pending object; attributes of a dict (PyTorch's `_metadata`) are ignored."""
        state = self.stack.pop()
        target = self.stack[-1]
        if isinstance(target, Pending):
            target.build(state)
        elif type(target) is not dict:
            raise ValueError("state for an object that has none")

    def append(self, items: tuple[Any, ...]) -> None:
        """Append items to the list on top of the stack."""
        if type(self.stack[-1]) is not list:
            raise ValueError("items for something that is not a list")
        self.stack[-1].extend(items)

    def put_items(self, items: tuple[Any, ...]) -> None:
        """Add keys and values to the dict on top of the stack."""
        for key, value in zip(items[::2], items[1::2], strict=True):
            put_item(self.stack[-1], key, value)

    def persistent(self) -> None:
        """Push the storage of a persistent id."""
        if self.storage is None:
            raise ForbiddenName("a persistent object")
        self.stack.append(self.storage(self.stack.pop()))


STRUCTURE: dict[str, Callable[[Unpickler], Any]] = {
    "\x80": lambda machine: machine.take(1),  # PROTO
    "\x95": lambda machine: machine.take(8),  # FRAME
    "\x94": lambda machine: machine.memo.__setitem__(len(machine.memo), machine.stack[-1]),  # MEMOIZE
    "(": lambda machine: machine.marks.append(len(machine.stack)),
    "t": lambda machine: machine.stack.append(machine.pop_from(machine.marks.pop())),
    "]": lambda machine: machine.stack.append([]),
    "}": lambda machine: machine.stack.append({}),
    "a": lambda machine: machine.append((machine.stack.pop(),)),
    "e": lambda machine: machine.append(machine.pop_from(machine.marks.pop())),
    "s": lambda machine: machine.put_items(machine.pop_from(len(machine.stack) - 2)),
    "u": lambda machine: machine.put_items(machine.pop_from(machine.marks.pop())),
    "c": lambda machine: machine.push_global(machine.line(), machine.line()),
    "\x93": lambda machine: machine.push_global(*machine.pop_from(len(machine.stack) - 2)),
    "R": Unpickler.reduce,
    "b": Unpickler.build,
    "Q": Unpickler.persistent,
}


def finished(tree: Any) -> Any:
    """Resolve all pending objects of a tree, shared ones once. Raises ValueError for cycles."""
    return finish(tree, {}, 0)


def finish(tree: Any, done: dict[int, Any], depth: int) -> Any:
    """Resolve one node of a tree; `done` caches results by the id of their source."""
    if depth > MAX_DEPTH:
        raise ValueError("its contents are nested too deeply, or contain a cycle")
    if isinstance(tree, Global):
        raise ValueError(f"'{tree.name}' where a value should be")
    if not isinstance(tree, Pending | dict | list | tuple):
        return tree
    if id(tree) not in done:
        if isinstance(tree, Pending):
            done[id(tree)] = tree.finish()
        elif isinstance(tree, dict):
            done[id(tree)] = {key: finish(value, done, depth + 1) for key, value in tree.items()}
        else:
            done[id(tree)] = type(tree)(finish(value, done, depth + 1) for value in tree)
    return done[id(tree)]
