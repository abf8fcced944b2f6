"""Objects go into shared memory without their arrays being pickled."""

import os
from dataclasses import dataclass

import numpy as np
import pytest

from pannsdist.audio.workers.packing import Arena, pickled, unpacked
from pannsdist.audio.workers.slots import Slot, create_shared_file
from pannsdist.contracts.batch import Batch


@pytest.fixture
def slot():
    file = create_shared_file()
    yield Slot(file, 0)
    os.close(file)


def batch(empty):
    waveforms = empty((16, 40000), np.float32)
    waveforms[:] = np.arange(40000)
    targets = np.ones((16, 527), np.float32)
    return Batch(tuple(f"clip{n}" for n in range(16)), waveforms[:15], targets, (), waveforms[:, :7].copy())


def test_no_byte_of_an_array_is_pickled():
    data, buffers = pickled(batch(np.empty))
    assert len(data) < 1000
    assert [len(buffer.raw()) for buffer in buffers] == [15 * 40000 * 4, 16 * 527 * 4, 16 * 7 * 4]


def test_what_was_made_in_the_memory_is_not_copied(slot):
    """The memory of a batch is its arrays once, and little more."""
    arena = Arena(slot)
    made = batch(arena.empty)
    first, count = arena.pack(made)
    arrays = 16 * 40000 * 4 + made.targets.nbytes + made.augment_noise.nbytes
    assert arrays < first + count < arrays + 2000
    found = unpacked(slot.memory(), (first, count), lambda array: array)
    assert np.shares_memory(found.waveforms, slot.memory())
    made.waveforms[3, 3] = -1
    assert found.waveforms[3, 3] == -1
    for name in ("waveforms", "targets", "augment_noise"):
        assert getattr(found, name).tobytes() == getattr(made, name).tobytes()
    assert found.ids == made.ids


def test_arrays_made_before_the_memory_grew_are_found_in_it(slot):
    arena = Arena(slot)
    early = arena.empty((1000,), np.int64)
    early[:] = 5
    late = arena.empty((1 << 20,), np.float32)
    late[:] = 6
    found = unpacked(slot.memory(), arena.pack([early, late, early[10:20]]), lambda array: array)
    assert [np.unique(array).tolist() for array in found] == [[5], [6], [5]]
    assert np.shares_memory(found[0], found[2])


def test_copies_are_not_tied_to_the_memory(slot):
    span = Arena(slot).pack(np.arange(9))
    found = unpacked(slot.memory(), span)
    slot.memory()[:] = 0
    assert found.tolist() == list(range(9))
    found[0] = 1  # and they can be written


@pytest.mark.parametrize("content", [np.zeros((0, 4), np.float32), np.zeros((), np.int64), np.arange(8)[::2], None])
def test_arrays_of_any_kind_survive(slot, content):
    span = Arena(slot).pack((content, "text"))
    found, text = unpacked(slot.memory(), span)
    assert text == "text"
    assert np.array_equal(found, content) if content is not None else found is None


def test_what_only_its_definition_describes_goes_with_it():
    @dataclass
    class Local:
        array: np.ndarray

    data, buffers = pickled(Local(np.zeros(1000)))
    assert len(buffers) == 1 and len(data) < 4000
