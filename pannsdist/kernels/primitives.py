"""Layouts and primitives of oneDNN: created once per shape, kept in a bounded cache, executed on pointers."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping
from ctypes import Structure, c_int, c_void_p
from dataclasses import dataclass
from typing import Any

from pannsdist.kernels import codes
from pannsdist.kernels.library import Handle, Library, dims

CAPACITY = 1024
"""Primitives that are kept per thread; the least recently used is dropped. A network of 50 layers needs about 400."""


@dataclass(frozen=True)
class Layout:
    """A dense array: logical sizes, their strides in elements, and the type. `strides` None: the library chooses."""

    sizes: tuple[int, ...]
    strides: tuple[int, ...] | None
    dtype: str


def image(sizes: tuple[int, ...], dtype: str) -> Layout:
    """An image of sizes (B, C, H, W) whose channels lie next to each other: stored as (B, H, W, C)."""
    _, channels, height, width = sizes
    return Layout(sizes, (height * width * channels, 1, width * channels, channels), dtype)


def planes(sizes: tuple[int, ...], dtype: str = "float32") -> Layout:
    """An array in C order, as Paddle stores it."""
    strides, step = [], 1
    for size in reversed(sizes):
        strides.append(step)
        step *= size
    return Layout(sizes, tuple(reversed(strides)), dtype)


def any_layout(sizes: tuple[int, ...], dtype: str) -> Layout:
    """An array whose layout the library chooses."""
    return Layout(sizes, None, dtype)


class _Argument(Structure):
    _fields_ = (("number", c_int), ("memory", c_void_p))


class Primitive:
    """An operator for fixed shapes. Call it with the pointer of each argument, by its number in `codes`."""

    def __init__(self, library: Library, description: Handle, numbers: tuple[int, ...]) -> None:
        self._library, self._numbers, self.description = library, numbers, description
        self._primitive = library.new("primitive_create", description)
        self._memories = [library.new("memory_create", self.layout(number), library.engine, None) for number in numbers]
        pairs = zip(numbers, self._memories, strict=True)
        self._arguments = (_Argument * len(numbers))(*(_Argument(*pair) for pair in pairs))

    def layout(self, number: int) -> Handle:
        """The layout of an argument, owned by this primitive."""
        found: Handle = self._library.primitive_desc_query_md(self.description, codes.QUERY_LAYOUT, number)
        return found

    def size(self, number: int) -> int:
        """The bytes of an argument."""
        return int(self._library.memory_desc_get_size(self.layout(number)))

    def __call__(self, pointers: Mapping[int, int]) -> None:
        """Compute. The arrays must stay alive until this returns, and it returns when everything is written."""
        library = self._library
        for number, memory in zip(self._numbers, self._memories, strict=True):
            library.call("memory_set_data_handle", memory, pointers[number])
        count = len(self._numbers)
        library.call("primitive_execute", self._primitive, library.stream, count, self._arguments)
        library.call("stream_wait", library.stream)

    def __del__(self) -> None:
        for memory in getattr(self, "_memories", ()):
            self._library.call("memory_destroy", memory)
        if hasattr(self, "_primitive"):
            self._library.call("primitive_destroy", self._primitive)
        self._library.call("primitive_desc_destroy", self.description)


class Primitives(threading.local):
    """The primitives of a thread: the library's scratch memory belongs to the thread that created them."""

    def __init__(self) -> None:
        self._kept: OrderedDict[Hashable, Any] = OrderedDict()

    def get(self, key: Hashable, create: Callable[[], Any]) -> Any:
        """What was created for a key, or what `create` gives now."""
        found = self._kept.get(key)
        if found is None:
            found = self._kept[key] = create()
            while len(self._kept) > CAPACITY:
                self._kept.popitem(last=False)
        else:
            self._kept.move_to_end(key)
        return found

    def __len__(self) -> int:
        return len(self._kept)


KEPT = Primitives()


class Descriptions:
    """Descriptors of layouts while a primitive is created; they are destroyed at the end of the block."""

    def __init__(self, library: Library) -> None:
        self._library, self._made = library, list[Handle]()

    def __enter__(self) -> Descriptions:
        return self

    def __exit__(self, *_: object) -> None:
        for made in self._made:
            self._library.call("memory_desc_destroy", made)

    def of(self, layout: Layout) -> Handle:
        """The descriptor of a layout."""
        sizes, count, dtype = dims(*layout.sizes), len(layout.sizes), codes.DTYPES[layout.dtype]
        if layout.strides is None:
            made = self._library.new("memory_desc_create_with_tag", count, sizes, dtype, codes.ANY_LAYOUT)
        else:
            made = self._library.new("memory_desc_create_with_strides", count, sizes, dtype, dims(*layout.strides))
        self._made.append(made)
        return made


def copies(library: Library, source: Handle, target: Handle) -> Primitive:
    """Copies an array between two layouts and types. The descriptors are used only while this runs."""
    description = library.new("reorder_primitive_desc_create", source, library.engine, target, library.engine, None)
    return Primitive(library, description, (codes.SRC, codes.DST))
