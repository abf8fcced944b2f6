"""Any object in shared memory: its pickle, and beside it the arrays in it, which are not pickled."""

from __future__ import annotations

import math
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np

from pannsdist.audio.workers.slots import Slot

ALIGNMENT = 64
Span = tuple[int, int]
"""(first, count) in bytes, within a slot."""


class Arena:
    """Fills a slot from its start. One for each object."""

    def __init__(self, slot: Slot) -> None:
        self._slot, self._end = slot, 0
        self._given: list[tuple[int, np.ndarray]] = []

    def empty(self, shape: tuple[int, ...], dtype: Any = np.float32) -> np.ndarray:
        """An uninitialised array in the slot, which `pack` does not copy. Raises UserError where there is no room."""
        kind = np.dtype(dtype)
        count = math.prod(shape) * kind.itemsize
        first = self._reserved(count)
        memory = self._slot.memory()[first : first + count]
        self._given.append((first, memory))
        made: np.ndarray = memory.view(kind).reshape(shape)
        return made

    def pack(self, content: Any) -> Span:
        """Put an object into the slot; returns where the list of its parts is: of a pickle, then of each array in it.

        Raises what pickling raises, and UserError where there is no room.
        """
        data, buffers = pickled(content)
        arrays = [np.frombuffer(buffer.raw(), np.uint8) for buffer in buffers]
        spans = [self._copied(np.frombuffer(data, np.uint8)), *map(self._placed, arrays)]
        return self._copied(np.frombuffer(pickle.dumps(spans), np.uint8))

    def _placed(self, array: np.ndarray) -> Span:
        """Where the bytes of an array are: a part of what `empty` gave, or a copy."""
        address = _address(array)
        for first, memory in self._given:
            offset = address - _address(memory)
            if 0 <= offset <= len(memory) - len(array):
                return first + offset, len(array)
        return self._copied(array)

    def _copied(self, array: np.ndarray) -> Span:
        first = self._reserved(len(array))
        self._slot.memory()[first : first + len(array)] = array
        return first, len(array)

    def _reserved(self, count: int) -> int:
        first = -(-self._end // ALIGNMENT) * ALIGNMENT
        self._slot.reserve(first + count)
        self._end = first + count
        return first


def pickled(content: Any) -> tuple[bytes, list[pickle.PickleBuffer]]:
    """The pickle of an object, and the memory of each array in it. Classes of a notebook go with the pickle."""
    buffers: list[pickle.PickleBuffer] = []
    try:
        data = pickle.dumps(content, 5, buffer_callback=buffers.append)
        if b"__main__" not in data:
            return data, buffers
    except (pickle.PicklingError, AttributeError, TypeError):
        pass  # a function or a class that only its definition describes
    import cloudpickle

    buffers = []
    return cloudpickle.dumps(content, 5, buffer_callback=buffers.append), buffers


def unpacked(memory: np.ndarray, span: Span, kept: Callable[[np.ndarray], Any] = bytearray) -> Any:
    """What `pack` put into a slot's memory. `kept` returns what an array is to be made of, by default a copy."""

    def part(first: int, count: int) -> np.ndarray:
        return memory[first : first + count]

    data, *arrays = pickle.loads(part(*span).data)  # noqa: S301 - of a process of this run
    return pickle.loads(part(*data).data, buffers=(kept(part(*one)) for one in arrays))  # noqa: S301


def _address(array: np.ndarray) -> int:
    return int(array.__array_interface__["data"][0])
