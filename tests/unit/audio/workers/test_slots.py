"""Memory that processes share grows, leaves nothing behind, and says so where there is no room."""

import os
import tempfile

import numpy as np
import pytest
import small_disks

from pannsdist.audio.workers.slots import GRANULE, SPAN, Slot, create_shared_file
from pannsdist.runtime.errors import UserError


@pytest.fixture
def shared_file():
    file = create_shared_file()
    yield file
    os.close(file)


def test_two_views_of_a_slot_see_the_same_bytes_also_after_it_has_grown(shared_file):
    one, other = Slot(shared_file, 3), Slot(shared_file, 3)
    one.reserve(10)
    first = one.memory()
    first[:10] = 7
    one.reserve(GRANULE + 1)
    one.memory()[GRANULE] = 9
    other.follow(one.size)
    assert other.size == 2 * GRANULE
    assert other.memory()[9] == 7 and other.memory()[GRANULE] == 9
    other.memory()[0] = 8
    assert first[0] == 8


def test_slots_do_not_touch_each_other_and_take_memory_for_what_is_reserved_alone(shared_file):
    slots = [Slot(shared_file, number) for number in range(3)]
    for slot in slots:
        slot.reserve(GRANULE)
        slot.memory()[:] = slot.number + 1
    assert [np.unique(slot.memory()).tolist() for slot in slots] == [[1], [2], [3]]
    assert os.fstat(shared_file).st_blocks * 512 == 3 * GRANULE


def test_a_slot_has_an_end(shared_file):
    with pytest.raises(UserError, match=r"no room for a batch of 16384 MiB .* more than 16 GiB") as caught:
        Slot(shared_file, 0).reserve(SPAN + 1)
    assert "fewer data.workers" in caught.value.right


def test_without_memfd_the_memory_is_a_file_without_a_name_in_the_temporary_folder(tmp_path, monkeypatch, capsys):
    """And a disk that is full is an error, where writing to it would end the process by SIGBUS."""

    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "memfd_create", refuse)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    is_small = small_disks.mount(tmp_path, "3M")
    try:
        file = create_shared_file()
        slot = Slot(file, 1)
        slot.reserve(2 * GRANULE)
        slot.memory()[:] = 1
        assert list(tmp_path.iterdir()) == []
        said = f"workers share a file in {tmp_path} in place of memory, since there is no memfd: Permission denied"
        assert said in capsys.readouterr().err.replace("\n", " ")
        if is_small:
            with pytest.raises(UserError, match=r"no room for a batch of 4 MiB .* No space left on device"):
                slot.reserve(4 * GRANULE)
        slot.memory()[:] = 2
        os.close(file)
    finally:
        if is_small:
            small_disks.unmount(tmp_path)


def test_without_any_memory_to_share_the_message_names_both_ways(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr(os, "memfd_create", refuse)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "absent"))
    with pytest.raises(UserError, match=r"neither a memfd .* nor a file in .*absent") as caught:
        create_shared_file()
    assert "TMPDIR" in caught.value.right
