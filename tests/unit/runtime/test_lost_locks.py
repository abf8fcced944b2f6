"""The lock of a folder where other hosts do not see locks: the beats of its holder, and a holder that has lost it."""

import errno
import fcntl
import json
import os
import threading
from contextlib import contextmanager

import pytest

from pannsdist.runtime import shared_locks, storage
from pannsdist.runtime.errors import BadRunFolder
from pannsdist.runtime.folder_lock import LOCK_FILE, Beats, FolderLock, is_held, refuse_held

SHORT = Beats(every_s=0.02, lost_s=0.4)
PATIENT = Beats(every_s=0.02, lost_s=20.0)
"""For a holder that beats: as soon as a beat is seen, nothing is waited for."""
AT_ONCE = Beats(every_s=600, lost_s=0.0)
"""Trusts no beat, so that it looks before each write, and writes none by itself."""
ELSEWHERE = {"host": "other", "pid": 7, "started": "yesterday", "ticks": 1, "boot": "b", "space": "s", "token": "t"}


@pytest.fixture
def _no_locks(monkeypatch):
    """A file system without `flock`."""

    def flock(*_):
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr(fcntl, "flock", flock)


def record(folder, beat=1, **changed):
    """What a process of another host has written, in place and at once, as a holder does: never half of it."""
    handle = os.open(folder / LOCK_FILE, os.O_RDWR | os.O_CREAT, 0o644)
    os.ftruncate(handle, os.pwrite(handle, json.dumps({**ELSEWHERE, "beat": beat, **changed}).encode(), 0))
    os.close(handle)


@contextmanager
def beating(folder, clock_off_s=0.0):
    """A process of another host, with a clock of its own, that has the folder."""
    ended = threading.Event()

    def beat():
        for number in range(10**6):
            record(folder, number)
            os.utime(folder / LOCK_FILE, (at := 1e9 + clock_off_s, at))
            if ended.wait(0.02):
                return

    record(folder)
    thread = threading.Thread(target=beat)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


@pytest.mark.usefixtures("_no_locks")
@pytest.mark.parametrize("clock_off_s", [-3600.0, 3600.0])
def test_one_of_another_host_that_beats_is_refused_whatever_its_clock_says(tmp_path, clock_off_s, capsys):
    with beating(tmp_path, clock_off_s), pytest.raises(BadRunFolder) as caught:
        FolderLock.acquire(tmp_path, beats=PATIENT)
    assert str(caught.value).startswith("process 7 on other, which started yesterday, is running in ")
    assert caught.value.command == "ssh other ps -fp 7"
    assert "waiting 20 s whether it still runs" in capsys.readouterr().out


@pytest.mark.usefixtures("_no_locks")
@pytest.mark.parametrize("content", [json.dumps(ELSEWHERE), '{"host": "oth', "[]", ""])
def test_one_of_another_host_that_does_not_beat_has_lost_the_folder(tmp_path, content):
    (tmp_path / LOCK_FILE).write_text(content)
    lock = FolderLock.acquire(tmp_path, beats=SHORT)
    assert json.loads((tmp_path / LOCK_FILE).read_text())["pid"] == os.getpid()
    lock.close()
    assert not (tmp_path / LOCK_FILE).exists()


def test_where_locks_are_seen_by_all_a_record_that_is_left_is_not_waited_for(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(shared_locks, "are_shared_in", lambda *_: True)  # whatever this machine has its folders on
    record(tmp_path)
    assert not is_held(tmp_path)
    FolderLock.acquire(tmp_path).close()
    assert capsys.readouterr().out == ""


@pytest.mark.usefixtures("_no_locks")
def test_looking_does_not_wait_and_says_who_may_have_it(tmp_path):
    record(tmp_path)
    refuse_held(tmp_path)
    assert is_held(tmp_path)
    assert json.loads((tmp_path / LOCK_FILE).read_text()) == {**ELSEWHERE, "beat": 1}


def test_a_process_number_of_another_container_of_the_same_name_is_not_looked_up(tmp_path):
    lock = FolderLock.acquire(tmp_path)
    mine = json.loads((tmp_path / LOCK_FILE).read_text())
    lock.close()
    record(tmp_path, **{**mine, "space": "pid:[1]", "pid": 2**22})
    assert is_held(tmp_path) is not shared_locks.are_shared(tmp_path)


def test_beats_are_written_and_only_they_change(tmp_path):
    lock = FolderLock.acquire(tmp_path, beats=SHORT)
    seen = {}
    while len(seen) < 3:
        found = json.loads((tmp_path / LOCK_FILE).read_text())
        seen[found.pop("beat")] = found
    first, *others = seen.values()
    assert others == [first, first]
    lock.close()


def test_a_holder_that_has_lost_the_folder_writes_nothing_more_there(tmp_path):
    folder, other = tmp_path / "run", tmp_path / "other"
    lock = FolderLock.acquire(folder, beats=AT_ONCE)
    storage.write_atomic(folder / "a", "before")
    record(folder)
    attempts = (
        lock.check,
        lambda: storage.write_atomic(folder / "a", "after"),
        lambda: storage.append_line(folder / "b", "after"),
        lambda: storage.remove(folder / "a"),
        lambda: storage.write_folder_atomic(folder / "c", lambda path: path.mkdir()),
    )
    for attempt in attempts:
        with pytest.raises(BadRunFolder, match=r"process 7 on other, .* is running in .*, which it has taken over"):
            attempt()
    storage.write_atomic(other, "elsewhere")
    lock.close()
    assert sorted(path.name for path in folder.iterdir()) == [LOCK_FILE, "a"]
    assert (folder / "a").read_text() == "before"
    assert json.loads((folder / LOCK_FILE).read_text())["host"] == "other"


def test_the_thread_finds_it_by_itself(tmp_path):
    lock = FolderLock.acquire(tmp_path, beats=Beats(every_s=0.02, lost_s=1e6))
    record(tmp_path)
    while lock._lost_to is None:
        pass
    with pytest.raises(BadRunFolder, match="has taken over"):
        storage.write_atomic(tmp_path / "a", "")
    lock.close()


MOUNTS = """\
1 0 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
2 1 0:50 / /nfs rw - nfs4 server:/home rw,vers=4.2,local_lock=none
3 1 0:51 / /old\\040data rw - nfs server:/data rw,nolock,local_lock=all
4 1 0:52 / /fuse rw - fuse.sshfs host: rw,user_id=0
5 1 0:53 / /lustre rw - lustre a@tcp:/fs rw,flock,lazystatfs
6 1 0:54 / /lustre/one rw - lustre a@tcp:/fs rw,localflock
7 4 0:55 / /fuse rw - xfs /dev/sdb rw
8 1 0:57 / /remote rw - fuse.sshfs host: rw,user_id=0
9 1 0:56 / /layers rw - overlay overlay rw,lowerdir=/a
"""


@pytest.mark.parametrize(
    ("path", "shared"),
    [
        ("/srv/runs", True),
        ("/nfs/me/runs", True),
        ("/nfs-old", True),
        ("/old data/runs", False),
        ("/lustre/runs", True),
        ("/lustre/one", False),
        ("/fuse", True),
        ("/fuse/runs", True),
        ("/remote/me", False),
        ("/layers/runs", False),
    ],
)
def test_which_file_systems_show_locks_to_all(path, shared):
    assert shared_locks.are_shared_in(MOUNTS, path) is shared
