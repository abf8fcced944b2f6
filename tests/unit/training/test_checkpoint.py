"""Checkpoints: atomic writes, checksums, and the fallback from a damaged one."""

import errno
import hashlib
import json
import math
import os
import subprocess
import sys
import textwrap

import faulty_disk
import numpy as np
import pytest

from pannsdist.runtime.errors import BadRunFolder, CannotRead, CannotWrite
from pannsdist.training.checkpoint import (
    MODEL_FILE,
    OPTIMIZER_FILE,
    PROGRESS_FILE,
    STATISTICS_FILE,
    SUMS_FILE,
    CheckpointStore,
    Progress,
    Snapshot,
)

FILES = (MODEL_FILE, OPTIMIZER_FILE, STATISTICS_FILE, PROGRESS_FILE, SUMS_FILE)


def snapshot(step, best=(), value=None):
    """A snapshot after `step`; `best` are the steps of the best epochs so far."""
    array = np.full((2, 3), step if value is None else value, np.float32)
    best_epochs = [{"value": 0.5, "epoch": other, "step": other} for other in best]
    scores = {"valid/loss": 0.1 + 0.2, "valid/nan": math.nan, "valid/inf": math.inf}
    window = [[0.1, 3.0], [float(np.float32(0.7)), 2.0]]
    progress = Progress(step // 10, step, 0, scores, {"best_epochs": best_epochs}, [0.3, 4.0], window, 2, 1, 1)
    model = {"a.weight": array}
    optimizer = {"a.weight/moment": -array, "a.weight/pow": np.ones(1, np.float32)}
    return Snapshot(progress, model, optimizer, {"0/a._mean": array, "1/a._mean": 2 * array})


@pytest.fixture
def store(tmp_path):
    return CheckpointStore(tmp_path / "checkpoints", keep=1)


def names(store):
    return sorted(path.name for path in store.folder.iterdir())


def newest_step(store):
    return store.load_latest().snapshot.progress.step


def test_a_checkpoint_is_read_back_bit_equal(store):
    store.write(snapshot(30))
    found = store.load_latest()
    assert found.damaged == {}
    mine, theirs = snapshot(30), found.snapshot
    assert repr(theirs.progress) == repr(mine.progress)
    for part in ("model", "optimizer", "statistics"):
        left, right = getattr(mine, part), getattr(theirs, part)
        assert left.keys() == right.keys()
        for name in left:
            np.testing.assert_array_equal(left[name], right[name])


def test_an_optimizer_without_state_is_saved(store):
    store.write(Snapshot(Progress(1, 1), {"a": np.ones(2, np.float32)}, {}))
    assert store.load_latest().snapshot.optimizer == {}


def test_a_new_folder_has_no_checkpoint(store):
    store.folder.mkdir()
    assert store.load_latest().snapshot is None


def test_the_links_last_and_best_point_at_the_right_checkpoints(store):
    for step, best in ((10, [10]), (15, [10]), (20, [20]), (25, [20])):
        store.write(snapshot(step, best))
    assert (store.folder / "last").readlink().name == "step_00000025"
    assert (store.folder / "best").readlink().name == "step_00000020"


def test_only_the_newest_and_the_best_are_kept(store):
    for step in (10, 20, 30, 40):
        store.write(snapshot(step, [20] if step >= 20 else [10]))
    assert names(store) == ["best", "last", "step_00000020", "step_00000040"]


def test_keep_sets_the_number_of_kept_checkpoints(store):
    store.keep = 3
    for step in range(10, 70, 10):
        store.write(snapshot(step, [10]))
    assert names(store) == ["best", "last", "step_00000010", "step_00000040", "step_00000050", "step_00000060"]


def test_the_best_few_are_kept_under_names_of_their_own(store):
    for step, best in ((10, [10]), (20, [10, 20]), (30, [30, 10]), (40, [30, 10])):
        store.write(snapshot(step, best))
    links = {name: (store.folder / name).readlink().name for name in ("best", "best_2", "last")}
    assert links == {"best": "step_00000030", "best_2": "step_00000010", "last": "step_00000040"}
    store.write(snapshot(50, [30]))  # fewer are asked for now
    assert names(store) == ["best", "last", "step_00000030", "step_00000050"]


def test_a_step_that_is_written_again_replaces_the_older_checkpoint(store):
    store.write(snapshot(10))
    store.write(snapshot(10, value=9))
    assert store.load_latest().snapshot.model["a.weight"][0, 0] == 9
    assert names(store) == ["last", "step_00000010"]


def test_a_process_killed_between_the_two_renames_leaves_the_older_checkpoint(store):
    folder = store.write(snapshot(10))
    folder.rename(folder.with_name(f".{folder.name}.older"))
    (store.folder / f".{folder.name}.writing").mkdir()
    assert newest_step(store) == 10
    assert names(store) == ["last", "step_00000010"]


def test_a_failed_write_leaves_the_last_intact_checkpoint(store):
    store.write(snapshot(10, [10]))
    (store.folder / ".step_00000020.writing").write_text("in the way")
    with pytest.raises(CannotWrite, match=r"cannot write .*step_00000020: "):
        store.write(snapshot(20, [20]))
    assert newest_step(store) == 10
    assert (store.folder / "last").readlink().name == "step_00000010"


def cut(data):
    return data[: len(data) // 2]


def flipped(data):
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("damage", [cut, flipped, lambda _: b"", None], ids=["cut", "flipped", "emptied", "removed"])
def test_a_damaged_checkpoint_is_named_and_the_one_before_it_is_used(store, name, damage):
    store.keep = 2
    store.write(snapshot(10))
    newer = store.write(snapshot(20))
    data = (newer / name).read_bytes()
    (newer / name).unlink()
    if damage:
        (newer / name).write_bytes(damage(data))
    found = store.load_latest()
    assert found.snapshot.progress.step == 10
    assert list(found.damaged) == [newer]
    assert (SUMS_FILE if name == SUMS_FILE else name) in found.damaged[newer]


def test_a_change_of_any_byte_is_detected(store):
    store.keep = 2
    store.write(snapshot(10))
    newer = store.write(snapshot(20))
    for name in FILES:
        data = (newer / name).read_bytes()
        for place in range(0, len(data), max(1, len(data) // 40)):
            (newer / name).write_bytes(data[:place] + bytes([data[place] ^ 0x10]) + data[place + 1 :])
            assert newest_step(store) == 10, (name, place)
        (newer / name).write_bytes(data)
    assert newest_step(store) == 20


def test_damaged_checkpoints_are_renamed_and_not_read_again(store):
    store.keep = 2
    store.write(snapshot(10))
    newer = store.write(snapshot(20))
    (newer / MODEL_FILE).unlink()
    store.rename_damaged(list(store.load_latest().damaged))
    assert names(store) == ["last", "step_00000010", "step_00000020.damaged"]
    store.keep = 1
    store.write(snapshot(15))
    assert newest_step(store) == 15
    assert names(store) == ["last", "step_00000015", "step_00000020.damaged"]


def test_a_run_with_only_damaged_checkpoints_is_refused_with_all_of_them_listed(store):
    store.keep = 2
    for step in (10, 20):
        (store.write(snapshot(step)) / MODEL_FILE).write_bytes(b"")
    for _ in range(2):  # and again
        with pytest.raises(BadRunFolder) as caught:
            store.load_latest()
        said = str(caught.value)
        assert said.startswith(f"every checkpoint in {store.folder} is damaged")
        assert f"step_00000010: {MODEL_FILE} was changed" in said
        assert f"step_00000020: {MODEL_FILE} was changed" in said
        assert "to start again, remove that folder, or give the run another name, as name=NAME" in said


def test_progress_is_readable_json_and_sha256sum_verifies_the_files(store):
    folder = store.write(snapshot(20))
    assert json.loads((folder / PROGRESS_FILE).read_text(encoding="utf-8"))["step"] == 20
    done = subprocess.run(["sha256sum", "-c", SUMS_FILE], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert done.stdout.count(": OK") == len(FILES) - 1


def test_a_full_disk_leaves_the_last_intact_checkpoint(store):
    """With a real limit: the kernel refuses to let a file grow beyond a size."""
    store.write(snapshot(10))
    code = f"""
        import resource, sys
        from pathlib import Path
        import numpy as np
        from pannsdist.runtime.errors import CannotWrite
        from pannsdist.training.checkpoint import CheckpointStore, Progress, Snapshot

        resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))
        store = CheckpointStore(Path({str(store.folder)!r}), keep=1)
        try:
            store.write(Snapshot(Progress(2, 20), {{"a": np.zeros(10_000, np.float32)}}, {{}}))
        except CannotWrite as error:
            print(error)"""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", textwrap.dedent(code)], capture_output=True, text=True, check=False
    )
    assert done.stdout.startswith(f"cannot write {store.folder}/step_00000020: File too large\n"), done.stderr
    assert names(store) == ["last", "step_00000010"]
    assert newest_step(store) == 10


@pytest.mark.parametrize("number", [errno.ESTALE, errno.EIO, errno.ENOMEM, errno.EACCES], ids=errno.errorcode.get)
@pytest.mark.parametrize("name", [*FILES, "checkpoints"])
def test_a_checkpoint_that_cannot_be_read_is_not_taken_for_damaged(store, name, number):
    store.keep = 2
    for step in (10, 20):
        store.write(snapshot(step))
    place = store.folder if name == "checkpoints" else store.folder / "step_00000020" / name
    with faulty_disk.failing(place, number), pytest.raises(CannotRead) as caught:
        store.load_latest()
    assert f"{place} cannot be read: {os.strerror(number)}" in str(caught.value)
    assert "repeat the command" in str(caught.value)
    assert names(store) == ["last", "step_00000010", "step_00000020"]
    assert newest_step(store) == 20


@pytest.mark.parametrize(
    ("events", "ending", "said"),
    [
        (faulty_disk.REMOVAL, "step_00000010", "cannot remove {0}/step_00000010: Input/output error"),
        (faulty_disk.REMOVAL, "best_2", "cannot remove {0}/best_2: Input/output error"),
        (faulty_disk.RENAMING, ".last.writing", "cannot write {0}/last: Input/output error"),
        (faulty_disk.RENAMING, ".step_00000040.writing", "cannot write {0}/step_00000040: Input/output error"),
        (faulty_disk.EVENTS, "checkpoints", "cannot write {0}/step_00000040: Input/output error"),
    ],
    ids=["prune", "unlink", "link", "rename", "list"],
)
def test_a_fault_while_checkpoints_are_replaced_is_a_message_and_the_newest_stays(store, events, ending, said):
    store.keep = 2
    for step, best in ((10, [10]), (20, [10, 20]), (30, [20, 10])):
        store.write(snapshot(step, best))
    with faulty_disk.failing(ending, errno.EIO, events=events), pytest.raises((CannotWrite, CannotRead)) as caught:
        store.write(snapshot(40, [40]))
    assert str(caught.value).startswith(said.format(store.folder))
    assert newest_step(store) in (30, 40)
    store.write(snapshot(40, [40]))
    assert newest_step(store) == 40
    assert "best_2" not in names(store) and "step_00000010" not in names(store)


@pytest.mark.parametrize("ending", ["step_00000020", "step_00000020.damaged"])
def test_a_damaged_checkpoint_that_cannot_be_renamed_is_a_message_and_stays(store, ending):
    store.keep = 2
    for step in (10, 20):
        store.write(snapshot(step))
    (store.folder / "step_00000020" / MODEL_FILE).unlink()
    (store.folder / "step_00000020.damaged").mkdir()
    damaged = list(store.load_latest().damaged)
    events = faulty_disk.RENAMING if ending == "step_00000020" else faulty_disk.REMOVAL
    with (
        faulty_disk.failing(ending, errno.EACCES, events=events),
        pytest.raises(CannotWrite, match="Permission denied"),
    ):
        store.rename_damaged(damaged)
    assert "step_00000020" in names(store)
    assert newest_step(store) == 10
    store.rename_damaged(damaged)
    assert names(store) == ["last", "step_00000010", "step_00000020.damaged"]


@pytest.mark.parametrize("name", [*FILES, "checkpoints"])
def test_a_passing_fault_of_the_disk_is_retried(store, name):
    store.write(snapshot(20))
    place = store.folder if name == "checkpoints" else store.folder / "step_00000020" / name
    with faulty_disk.failing(place, errno.ESTALE, times=1):
        assert newest_step(store) == 20


def rewrite_progress(folder, **changes):
    """Change the record and its checksum, as another version of the package would have written it."""
    path = folder / PROGRESS_FILE
    record = {**json.loads(path.read_text(encoding="utf-8")), **changes}
    old = hashlib.sha256(path.read_bytes()).hexdigest()
    path.write_text(json.dumps({key: value for key, value in record.items() if value is not None}), encoding="utf-8")
    sums = (folder / SUMS_FILE).read_text(encoding="utf-8")
    new = hashlib.sha256(path.read_bytes()).hexdigest()
    (folder / SUMS_FILE).write_text(sums.replace(old, new), encoding="utf-8")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"format": 3}, "was written by a newer pannsdist: its format is 3, this one reads format 2"),
        ({"format": None}, "its format is None, but this pannsdist reads format 2"),
        ({"format": True}, "its format is True"),
        ({"colour": "red"}, "is intact by its checksums, but this pannsdist cannot read it"),
    ],
)
def test_a_checkpoint_of_another_version_is_refused_and_left_alone(store, changes, said):
    store.keep = 2
    for step in (10, 20):
        store.write(snapshot(step))
    rewrite_progress(store.folder / "step_00000020", **changes)
    with pytest.raises(BadRunFolder) as caught:
        store.load_latest()
    assert said in str(caught.value)
    assert names(store) == ["last", "step_00000010", "step_00000020"]


def test_the_newest_checkpoint_is_the_one_of_the_latest_step_whatever_the_file_times(store):
    store.keep = 3
    for step in (10, 20, 30):
        store.write(snapshot(step))
    for age, step in enumerate((30, 20, 10)):
        os.utime(store.folder / f"step_{step:08d}", (1e9 + age, 1e9 + age))
    assert newest_step(store) == 30
    store.keep = 1
    store.write(snapshot(40))
    assert names(store) == ["last", "step_00000040"]


def test_older_checkpoints_are_removed_by_step_and_not_by_file_time(store):
    store.keep = 3
    for step in (10, 20, 30):
        store.write(snapshot(step))
    os.utime(store.folder / "step_00000010", (4e9, 4e9))
    store.keep = 2
    store.write(snapshot(40))
    assert names(store) == ["last", "step_00000030", "step_00000040"]


def test_a_checkpoint_that_is_written_alone_replaces_all_others_whatever_their_steps(store):
    store.keep = 3
    for step in (10, 20, 30):
        store.write(snapshot(step, [20]))
    store.write_alone(snapshot(20, value=7))
    assert [folder.name for folder in store.folders] == ["step_00000020"]
    assert store.load_latest().snapshot.model["a.weight"][0, 0] == 7
