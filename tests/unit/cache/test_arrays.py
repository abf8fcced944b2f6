"""The cache of arrays: what is written is there for other processes, whoever was killed; what is damaged is not."""

import errno
import os
import subprocess
import sys
import textwrap

import numpy as np
import pytest

from pannsdist.cache.arrays import ArrayCache
from pannsdist.cache.keys import Identity, digest
from pannsdist.cache.pack import ARRAYS, ENTRY, INDEX, remove
from pannsdist.cache.pruning import check, packs, prune
from pannsdist.runtime import storage
from pannsdist.runtime.failed_writes import cannot_write

RECIPE = {"kind": "test", "weights": "abc"}
KEYS = [digest(number) for number in range(4)]
SETS = {
    KEYS[0]: np.arange(5, dtype=np.float32),
    KEYS[1]: np.arange(6, dtype=np.int16).reshape(2, 3),
    KEYS[2]: np.zeros(0, np.float32),
}


def filled(root, arrays=SETS, recipe=RECIPE, limit_gb=1.0):
    with ArrayCache(root, recipe, limit_gb) as cache:
        cache.write(arrays)
    return cache.folder


def found(root, keys=KEYS, recipe=RECIPE):
    return ArrayCache(root, recipe, 1.0).read(keys)


def test_arrays_of_any_length_and_type_come_back_in_few_files(tmp_path):
    folder = filled(tmp_path)
    read = found(tmp_path)
    assert read.keys() == SETS.keys()
    for key, array in SETS.items():
        assert read[key].dtype == array.dtype
        np.testing.assert_array_equal(read[key], array)
        assert not read[key].flags.writeable
    assert len(list(folder.iterdir())) == 3  # arrays, index, recipe


def test_another_recipe_and_another_key_have_nothing(tmp_path):
    filled(tmp_path)
    assert found(tmp_path, recipe={**RECIPE, "weights": "abd"}) == {}
    assert KEYS[3] not in found(tmp_path)


def test_what_another_process_writes_now_can_be_read_now(tmp_path):
    with ArrayCache(tmp_path, RECIPE, 1.0) as writing, ArrayCache(tmp_path, RECIPE, 1.0) as reading:
        writing.write({KEYS[0]: SETS[KEYS[0]]})
        assert reading.read(KEYS).keys() == {KEYS[0]}
        writing.write({KEYS[1]: SETS[KEYS[1]]})
        assert reading.read(KEYS).keys() == {KEYS[0], KEYS[1]}


BUILDER = textwrap.dedent("""
    import os, signal, sys
    from pathlib import Path
    import numpy as np
    from pannsdist.cache.arrays import ArrayCache
    from pannsdist.cache.keys import digest

    cache = ArrayCache(Path(sys.argv[1]), {"kind": "test", "weights": "abc"}, 1.0)
    for number in range(200):
        cache.write({digest(number): np.full(3, number, np.float32)})
    if sys.argv[2] == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    cache.close()
""")


def test_several_build_at_once_and_one_is_killed(tmp_path):
    ends = ("killed", "closed")
    builders = [subprocess.Popen([sys.executable, "-c", BUILDER, tmp_path, end]) for end in ends]
    assert [one.wait() for one in builders] == [-9, 0]
    read = found(tmp_path, [digest(number) for number in range(200)])
    assert len(read) == 200
    assert all((array == number).all() for number, array in enumerate(read.values()))
    assert sum(one.damaged for one in check(tmp_path)) == 0
    assert prune(tmp_path, 0) == 0  # the killed one holds nothing any more
    assert packs(tmp_path) == []


@pytest.mark.parametrize("lost", [1, 30, 69])
def test_a_torn_index_loses_its_last_entry_alone(tmp_path, lost):
    (index,) = filled(tmp_path).glob(f"*{INDEX}")
    index.write_bytes(index.read_bytes()[:-lost])
    assert KEYS[2] not in found(tmp_path)
    assert KEYS[0] in found(tmp_path)


@pytest.mark.parametrize("ending", [ARRAYS, INDEX])
def test_each_flipped_byte_is_noticed(tmp_path, ending):
    (path,) = filled(tmp_path).glob(f"*{ending}")
    whole = path.read_bytes()
    used = [*range(20), *range(64, 76)] if ending == ARRAYS else range(len(whole))
    for place in used:
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x40]) + whole[place + 1 :])
        for key, array in found(tmp_path).items():
            assert array.shape == SETS[key].shape
            np.testing.assert_array_equal(array, SETS[key])
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    assert sum(one.damaged for one in check(tmp_path)) == (ending == INDEX)


def test_a_data_file_that_is_cut_or_gone_is_a_cache_without_these_arrays(tmp_path):
    (path,) = filled(tmp_path).glob(f"*{ARRAYS}")
    path.write_bytes(path.read_bytes()[:64])
    assert found(tmp_path).keys() == {KEYS[0], KEYS[2]}
    path.unlink()
    assert found(tmp_path) == {}


def test_the_packs_that_were_used_longest_ago_go_first(tmp_path):
    array = np.zeros(1000, np.float32)
    for number in range(3):
        folder = filled(tmp_path, {KEYS[number]: array}, {"number": number})
        (index,) = folder.glob(f"*{INDEX}")
        os.utime(index, (number + 1, number + 1))
    assert found(tmp_path, recipe={"number": 0}).keys() == {KEYS[0]}  # which is a use
    prune(tmp_path, 9000)
    left = [bool(found(tmp_path, recipe={"number": number})) for number in range(3)]
    assert left == [True, False, True]


def test_the_limit_holds_while_writing_and_what_this_process_uses_stays(tmp_path, capsys):
    array = np.zeros(25_000, np.float32)
    filled(tmp_path, {KEYS[0]: array}, {"number": 0})
    with ArrayCache(tmp_path, RECIPE, 0.00025) as cache:
        for key in KEYS[1:]:
            cache.write({key: array})
        assert cache.read(KEYS).keys() == {KEYS[1], KEYS[2]}
    assert found(tmp_path, recipe={"number": 0}) == {}
    assert sum(pack.size for pack in packs(tmp_path)) <= 250_000
    assert capsys.readouterr().err.count("data.cache_limit_gb") == 1


def test_a_pack_that_is_being_written_is_not_removed(tmp_path):
    with ArrayCache(tmp_path, RECIPE, 1.0) as cache:
        cache.write(SETS)
        assert prune(tmp_path, 0) > 0
        assert found(tmp_path).keys() == SETS.keys()


def test_a_limit_of_zero_is_no_cache(tmp_path):
    filled(tmp_path, limit_gb=0.0)
    assert list(tmp_path.iterdir()) == []
    filled(tmp_path)
    assert ArrayCache(tmp_path, RECIPE, 0.0).read(KEYS) == {}


def test_a_full_disk_is_noted_once_and_what_was_there_stays(tmp_path, monkeypatch, capsys):
    filled(tmp_path)

    def full(*_):
        raise cannot_write(tmp_path, OSError(errno.ENOSPC, "No space left on device"))

    monkeypatch.setattr(storage, "opened", full)
    with ArrayCache(tmp_path, RECIPE, 1.0) as cache:
        cache.write({KEYS[3]: SETS[KEYS[0]]})
        cache.write({KEYS[3]: SETS[KEYS[0]]})
        assert cache.read(KEYS).keys() == SETS.keys()
    assert capsys.readouterr().err.count("No space left") == 1


def test_a_file_has_another_key_after_each_change(tmp_path):
    path = tmp_path / "a.wav"
    path.write_bytes(b"one")
    first = Identity.of_file(path)
    assert first == Identity.of_file(path)
    assert not first.is_settled  # just written
    times = path.stat()
    path.write_bytes(b"two")
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert Identity.of_file(path).key({}) != first.key({})
    assert first.key({"start_s": 0.0}) != first.key({"start_s": 1.0})
    assert Identity.of_file(tmp_path) is None
    assert Identity.of_file(tmp_path / "none") is None


def test_writers_one_after_another_continue_one_pack(tmp_path):
    for number, key in enumerate(KEYS):
        folder = filled(tmp_path, {key: np.full(number + 1, number, np.float32)})
    assert len(list(folder.glob(f"*{INDEX}"))) == 1
    assert [len(array) for array in found(tmp_path).values()] == [1, 2, 3, 4]
    with ArrayCache(tmp_path, RECIPE, 1.0) as one, ArrayCache(tmp_path, RECIPE, 1.0) as other:
        one.write({digest("one"): SETS[KEYS[0]]})
        other.write({digest("other"): SETS[KEYS[0]]})  # the pack is taken
    assert len(list(folder.glob(f"*{INDEX}"))) == 2
    assert len(found(tmp_path, [digest("one"), digest("other")])) == 2


def test_a_pack_that_was_torn_is_continued(tmp_path):
    folder = filled(tmp_path)
    (index,), (arrays,) = folder.glob(f"*{INDEX}"), folder.glob(f"*{ARRAYS}")
    index.write_bytes(index.read_bytes()[:-7])
    with arrays.open("ab") as file:
        file.write(b"half an array")
    filled(tmp_path, {KEYS[2]: SETS[KEYS[2]], KEYS[3]: SETS[KEYS[0]]})
    assert list(folder.glob(f"*{INDEX}")) == [index]
    read = found(tmp_path)
    assert read.keys() == set(KEYS)
    np.testing.assert_array_equal(read[KEYS[3]], SETS[KEYS[0]])
    assert sum(one.damaged for one in check(tmp_path)) == 0


@pytest.mark.parametrize("field, value", [("start", -64), ("start", 1 << 62), ("start", 64), ("axes", 9), ("kind", 7)])
def test_an_index_that_lies_is_not_believed(tmp_path, field, value):
    (index,) = filled(tmp_path).glob(f"*{INDEX}")
    entries = np.frombuffer(index.read_bytes(), ENTRY).copy()
    entries[field][0] = value
    entries["shape"][1] = 1 << 61, 8
    index.write_bytes(entries.tobytes())
    assert found(tmp_path).keys() == {KEYS[2]}
    assert sum(one.damaged for one in check(tmp_path)) == 2
    filled(tmp_path)  # what is computed again replaces it
    assert found(tmp_path).keys() == SETS.keys()
    assert sum(one.damaged for one in check(tmp_path)) == 0


def test_one_object_finds_what_was_written_again_behind_a_damaged_array(tmp_path):
    (path,) = filled(tmp_path).glob(f"*{ARRAYS}")
    path.write_bytes(b"\x01" + path.read_bytes()[1:])
    with ArrayCache(tmp_path, RECIPE, 1.0) as cache:
        assert cache.read(KEYS[:1]) == {}
        cache.write({KEYS[0]: SETS[KEYS[0]]})
        np.testing.assert_array_equal(cache.get(KEYS[0]), SETS[KEYS[0]])
        np.testing.assert_array_equal(cache.read(KEYS[:1])[KEYS[0]], SETS[KEYS[0]])


def test_what_else_lies_in_the_folder_of_a_cache_stays(tmp_path):
    folder = filled(tmp_path)
    others = [tmp_path / "words" / f"a{ending}" for ending in (INDEX, ARRAYS)]
    others += [folder / f"mine{ending}" for ending in (INDEX, ARRAYS)]
    for path in others:
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"something else")
        os.utime(path, (1, 1))
    assert prune(tmp_path, 0) == 0
    assert packs(tmp_path) == []
    assert all(path.exists() for path in others)


def test_arrays_of_another_version_are_neither_read_nor_damaged_and_make_room(tmp_path, monkeypatch):
    with monkeypatch.context() as older:
        older.setattr("pannsdist.cache.arrays.FORMAT", 1)
        older.setattr("pannsdist.cache.arrays.RECIPE_FILE", "recipe.json")
        filled(tmp_path)
    assert found(tmp_path) == {}
    assert [(one.readable, one.damaged) for one in check(tmp_path)] == [(False, 0)]
    assert prune(tmp_path, 0) == 0


def test_two_writers_stay_within_one_limit(tmp_path, capsys):
    array, limit = np.zeros(2500, np.float32), 0.001
    with ArrayCache(tmp_path, RECIPE, limit) as one, ArrayCache(tmp_path, RECIPE, limit) as other:
        for number in range(200):
            (one, other)[number % 2].write({digest(number): array})
        assert one.is_full and other.is_full
        assert len(one.read(digest(number) for number in range(200))) > 90
    assert 900_000 < sum(pack.size for pack in packs(tmp_path)) <= 1_020_000
    assert capsys.readouterr().err.count("data.cache_limit_gb") == 2


def test_a_new_cache_is_private_and_an_existing_folder_stays_as_it_is(tmp_path):
    filled(tmp_path / "new")
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o700
    (tmp_path / "shared").mkdir(mode=0o775)
    (tmp_path / "shared").chmod(0o775)
    (tmp_path / "link").symlink_to("shared")
    filled(tmp_path / "link")
    assert (tmp_path / "shared").stat().st_mode & 0o777 == 0o775
    assert found(tmp_path / "shared").keys() == SETS.keys()


def test_without_locks_each_writer_begins_a_pack_and_a_new_one_stays(tmp_path, monkeypatch):
    def refused(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("pannsdist.cache.pack.fcntl.flock", refused)
    for key in KEYS[:2]:
        folder = filled(tmp_path, {key: SETS[key]})
    assert found(tmp_path).keys() == set(KEYS[:2])
    assert prune(tmp_path, 0) > 0
    first, *_ = sorted(folder.glob(f"*{INDEX}"))
    os.utime(first, (1, 1))
    prune(tmp_path, 0)
    assert len(packs(tmp_path)) == 1


def test_pruning_and_reading_do_not_disturb_each_other(tmp_path):
    folder = filled(tmp_path)
    cache = ArrayCache(tmp_path, RECIPE, 1.0)
    held = cache.read(KEYS)
    for index in folder.glob(f"*{INDEX}"):
        remove(index)
    np.testing.assert_array_equal(held[KEYS[0]], SETS[KEYS[0]])
    assert found(tmp_path) == {}
