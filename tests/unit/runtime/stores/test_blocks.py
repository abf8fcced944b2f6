"""Blocks of objects kept on this machine: verified, bounded, shared, and never an obstacle."""

import os
import threading
import time

import pytest

from pannsdist.runtime.stores.blocks import BLOCK_BYTES, LEFT_OVER_S, BlockCache, block_key
from pannsdist.runtime.stores.store import ObjectState
from pannsdist.runtime.stores.urls import parsed

STATE = ObjectState(5, '"tag"')


def key(number, url="https://host/a.wav?token=one", state=STATE):
    return block_key(parsed(url), state, number)


def files(folder):
    return sorted(path for path in folder.rglob("*") if path.is_file())


def test_what_is_written_is_read_by_every_process_of_this_user(tmp_path):
    BlockCache(tmp_path, 1 << 30).write(key(0), b"hello")
    other = BlockCache(tmp_path, 1 << 30)
    assert other.read(key(0)) == b"hello"
    assert other.read(key(1)) is None


def test_the_key_holds_version_size_and_place_and_no_credentials():
    assert key(0) == key(0, url="https://host/a.wav?token=two")
    others = [
        key(1),
        key(0, url="https://host/b.wav"),
        key(0, state=ObjectState(5, '"x"')),
        key(0, state=ObjectState(6, '"tag"')),
    ]
    assert len({key(0), *others}) == 5


@pytest.mark.parametrize(
    "damage", [lambda raw: raw[:-1], lambda raw: raw[:-1] + b"x", lambda raw: raw[:0], lambda raw: raw[:2]]
)
def test_a_damaged_block_is_none_and_goes(tmp_path, damage):
    cache = BlockCache(tmp_path, 1 << 30)
    cache.write(key(0), b"hello")
    (path,) = files(tmp_path)
    path.write_bytes(damage(path.read_bytes()))
    assert cache.read(key(0)) is None
    assert files(tmp_path) == []


def test_a_block_in_the_place_of_another_one_is_damaged(tmp_path):
    cache = BlockCache(tmp_path, 1 << 30)
    cache.write(key(0), b"hello")
    cache.write(key(1), b"world")
    one, other = (cache._path(key(number)) for number in (0, 1))
    one.write_bytes(other.read_bytes())
    assert cache.read(key(0)) is None


def test_above_the_limit_the_longest_unused_goes(tmp_path):
    cache, block = BlockCache(tmp_path, 10 * BLOCK_BYTES), bytes(BLOCK_BYTES)
    for number in range(8):
        cache.write(key(number), block)
        os.utime(cache._path(key(number)), (number + 1, number + 1))
    assert cache.read(key(0)) is not None, "it is marked as used"
    for number in range(8, 30):
        cache.write(key(number), block)
    assert sum(path.stat().st_size for path in files(tmp_path)) <= 11.1 * BLOCK_BYTES
    assert cache.read(key(1)) is None
    assert cache.read(key(29)) is not None


def test_what_killed_processes_left_goes_and_what_is_being_written_stays(tmp_path):
    folder = tmp_path / "ab"
    folder.mkdir()
    old, new = folder / "old.writing", folder / "new.writing"
    old.touch()
    new.touch()
    os.utime(old, (1, time.time() - 2 * LEFT_OVER_S))
    BlockCache(tmp_path, 1 << 30).write(key(0), b"hello")
    assert not old.exists()
    assert new.exists()


def test_a_cache_that_cannot_be_written_is_noted_once_and_no_obstacle(tmp_path, capsys):
    (tmp_path / "blocks").write_text("a file in the place of the folder")
    cache = BlockCache(tmp_path / "blocks", 1 << 30)
    for number in range(3):
        cache.write(key(number), b"hello")
        assert cache.read(key(number)) is None
    assert capsys.readouterr().err.count("is not kept on this machine") == 1


def test_a_limit_of_0_keeps_nothing(tmp_path):
    cache = BlockCache(tmp_path / "blocks", 0)
    cache.write(key(0), b"hello")
    assert cache.read(key(0)) is None
    assert not (tmp_path / "blocks").exists()


def test_many_writers_of_one_block_leave_one(tmp_path):
    caches = [BlockCache(tmp_path, 1 << 30) for _ in range(8)]
    threads = [threading.Thread(target=cache.write, args=(key(0), b"hello" * 1000)) for cache in caches]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(files(tmp_path)) == 1
    assert caches[0].read(key(0)) == b"hello" * 1000
