"""The lock of a folder: who has it, and what frees it."""

import errno
import fcntl
import json
import os
import shutil
import socket
import threading
import time
from pathlib import Path

import pytest
from holding import CODE, holder

from pannsdist.runtime import folder_lock
from pannsdist.runtime.errors import BadRunFolder, CannotWrite
from pannsdist.runtime.folder_lock import LOCK_FILE, FolderLock, refuse_held

WITH_FORK = CODE.replace("print(", "child = __import__('os').fork()\nif not child:\n    sys.stdin.read()\nprint(")


def test_a_folder_in_use_is_refused_by_name_and_a_killed_holder_frees_it(tmp_path):
    folder = tmp_path / "runs" / "a"
    with holder(folder) as other:
        for attempt in (FolderLock.acquire, refuse_held):
            with pytest.raises(BadRunFolder) as caught:
                attempt(folder)
            said = str(caught.value)
            assert said.startswith(f"process {other.pid} on {socket.gethostname()}, which started 20")
            assert f"is running in {folder}" in said
            assert said.endswith(f"next: ps -fp {other.pid}")
        other.kill()
        other.wait()
        refuse_held(folder)
        lock = FolderLock.acquire(folder)
    assert json.loads((folder / LOCK_FILE).read_text())["pid"] == os.getpid()
    lock.close()
    assert list(folder.iterdir()) == []


def test_a_forked_child_that_outlives_its_parent_does_not_keep_the_lock(tmp_path):
    with holder(tmp_path / "a", WITH_FORK) as other:
        os.kill(other.pid, 9)
        other.wait()
        FolderLock.acquire(tmp_path / "a").close()


def test_the_same_process_may_lock_again_and_frees_the_folder_at_last(tmp_path):
    first, second = FolderLock.acquire(tmp_path), FolderLock.acquire(tmp_path)
    refuse_held(tmp_path)
    first.close()
    with (tmp_path / LOCK_FILE).open("r+") as file:
        with pytest.raises(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        second.close()
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        assert FolderLock.acquire(tmp_path).is_in_place  # that file is gone: it is nobody's lock
        folder_lock._held[0].close()


def test_no_thread_is_left_of_a_closed_lock(tmp_path):
    for _ in range(100):
        FolderLock.acquire(tmp_path / "run").close()
        assert "folder lock" not in {thread.name for thread in threading.enumerate()}


def test_only_looking_leaves_nothing_and_takes_nothing(tmp_path):
    refuse_held(tmp_path / "nowhere")
    refuse_held(tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("way", ["removed", "moved", "replaced"])
def test_a_folder_that_went_away_is_noticed(tmp_path, way):
    folder = tmp_path / "a"
    lock = FolderLock.acquire(folder)
    lock.check()
    if way == "removed":
        shutil.rmtree(folder)
    else:
        folder.rename(tmp_path / "b")
    if way == "replaced":
        folder.mkdir()
        (folder / LOCK_FILE).touch()
    with pytest.raises(CannotWrite, match="was removed, moved or replaced while"):
        lock.check()
    lock.close()
    assert (folder / LOCK_FILE).exists() is (way == "replaced"), "the lock of another process is not removed"


def test_a_lock_whose_file_its_holder_removes_meanwhile_is_taken_anew(tmp_path, monkeypatch):
    real, removed = fcntl.flock, []

    def flock(handle, kind):
        if not removed:
            removed.append((tmp_path / LOCK_FILE).unlink())
        real(handle, kind)

    monkeypatch.setattr(fcntl, "flock", flock)
    lock = FolderLock.acquire(tmp_path)
    lock.check()
    lock.close()
    assert list(tmp_path.iterdir()) == []


def test_the_record_of_a_killed_holder_is_replaced_whole(tmp_path):
    (tmp_path / LOCK_FILE).write_text(json.dumps({"host": "h" * 999, "pid": 7}))
    lock = FolderLock.acquire(tmp_path)
    assert json.loads((tmp_path / LOCK_FILE).read_text())["pid"] == os.getpid()
    lock.close()


@pytest.fixture
def _no_locks(monkeypatch):
    """A file system without `flock`."""

    def flock(*_):
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr(fcntl, "flock", flock)


@pytest.mark.usefixtures("_no_locks")
def test_without_locks_a_process_of_this_host_is_known_by_its_number(tmp_path):
    with holder(tmp_path) as other:
        for attempt in (FolderLock.acquire, refuse_held):
            with pytest.raises(BadRunFolder, match=f"process {other.pid} on .*is running in"):
                attempt(tmp_path)
    lock = FolderLock.acquire(tmp_path)
    with pytest.raises(BadRunFolder, match=f"process {os.getpid()} on .*is running in"):
        FolderLock.acquire(tmp_path, again=False)
    lock.close()
    with holder(tmp_path):
        found = json.loads((tmp_path / LOCK_FILE).read_text())
        (tmp_path / LOCK_FILE).write_text(json.dumps({**found, "beat": 1, "ticks": 1}))
        refuse_held(tmp_path)  # another process has got that id meanwhile


@pytest.mark.parametrize("has_locks", [True, False])
def test_a_killed_holder_that_its_parent_has_not_collected_yet_has_lost_the_folder(tmp_path, request, has_locks):
    """As in a container whose first process collects nobody."""
    if not has_locks:
        request.getfixturevalue("_no_locks")
    with holder(tmp_path) as other:
        other.kill()
        stat = Path(f"/proc/{other.pid}/stat")
        while " Z " not in stat.read_text():
            time.sleep(0.01)
        refuse_held(tmp_path)
        FolderLock.acquire(tmp_path).close()
        assert stat.exists()


def test_a_record_that_is_none_names_nobody(tmp_path):
    with holder(tmp_path):
        (tmp_path / LOCK_FILE).write_text("[]")
        with pytest.raises(BadRunFolder, match="another process is running in"):
            refuse_held(tmp_path)


def test_what_is_locked_is_the_file_system_not_the_name(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").symlink_to("a")
    with holder(tmp_path / "a"), pytest.raises(BadRunFolder):
        FolderLock.acquire(tmp_path / "b")
    assert not folder_lock._held
