"""Checkpoints: folders that exist or do not, and links that point at whole ones."""

import json
import math

import numpy as np
import pytest

from pannsdist.errors import BadRunFolder
from pannsdist.training.checkpoint import MODEL_FILE, OPTIMIZER_FILE, PROGRESS_FILE, CheckpointStore, Progress, Snapshot


def snapshot(epoch, value=None):
    array = np.full((2, 3), epoch if value is None else value, np.float32)
    progress = Progress(epoch, 10 * epoch, {"valid/loss": 0.5, "valid/nan": math.nan}, {"value": 0.5, "epoch": epoch})
    return Snapshot(progress, {"a.weight": array}, {"a.weight/moment": -array, "a.weight/pow": np.ones(1, np.float32)})


@pytest.fixture
def store(tmp_path):
    return CheckpointStore(tmp_path, keep=1)


def names(store):
    return sorted(path.name for path in store.folder.iterdir())


def test_what_is_written_is_read_back(store):
    store.write(snapshot(3), is_best=True)
    for link in ("last", "best"):
        back = store.read(link)
        assert (back.progress.epoch, back.progress.step) == (3, 30)
        assert back.progress.scores["valid/loss"] == 0.5
        assert math.isnan(back.progress.scores["valid/nan"])
        assert back.progress.best == {"value": 0.5, "epoch": 3}
        for mine, theirs in ((snapshot(3).model, back.model), (snapshot(3).optimizer, back.optimizer)):
            assert mine.keys() == theirs.keys()
            for name in mine:
                np.testing.assert_array_equal(mine[name], theirs[name])


def test_an_optimizer_without_state_is_kept_too(store):
    store.write(Snapshot(Progress(1, 1), {"a": np.ones(2, np.float32)}, {}), is_best=False)
    assert store.read("last").optimizer == {}


def test_a_new_folder_has_no_checkpoint(store):
    assert store.read("last") is None
    assert store.read("best") is None


def test_last_follows_and_best_stays(store):
    for epoch, is_best in ((1, True), (2, True), (3, False), (4, False)):
        store.write(snapshot(epoch), is_best)
    assert store.read("last").progress.epoch == 4
    assert store.read("best").progress.epoch == 2


def test_only_the_newest_and_the_best_are_kept(store):
    for epoch in range(1, 5):
        store.write(snapshot(epoch), is_best=epoch == 2)
    assert names(store) == ["best", "epoch_0002", "epoch_0004", "last"]


def test_as_many_are_kept_as_asked_for(tmp_path):
    store = CheckpointStore(tmp_path, keep=3)
    for epoch in range(1, 7):
        store.write(snapshot(epoch), is_best=epoch == 1)
    assert names(store) == ["best", "epoch_0001", "epoch_0004", "epoch_0005", "epoch_0006", "last"]


def test_an_epoch_that_is_written_again_takes_the_place_of_the_older(store):
    store.write(snapshot(1), is_best=False)
    store.write(snapshot(1, value=9), is_best=False)
    assert store.read("last").model["a.weight"][0, 0] == 9
    assert names(store) == ["epoch_0001", "last"]


def test_a_checkpoint_that_cannot_be_written_leaves_the_links_on_the_last_whole_one(store):
    store.write(snapshot(1), is_best=True)
    unwritable = Snapshot(Progress(2, 20, {"valid/loss": object()}), snapshot(2).model, snapshot(2).optimizer)
    with pytest.raises(TypeError, match="not JSON serializable"):
        store.write(unwritable, is_best=True)
    assert store.read("last").progress.epoch == 1
    assert store.read("best").progress.epoch == 1
    store.write(snapshot(2), is_best=False)
    assert names(store) == ["best", "epoch_0001", "epoch_0002", "last"]


def test_a_run_that_goes_back_to_an_older_checkpoint_keeps_what_it_writes_next(store):
    for epoch in (1, 2, 3):
        store.write(snapshot(epoch), is_best=epoch == 1)
    (store.folder / "last").unlink()
    (store.folder / "last").symlink_to("epoch_0001")  # as the refusal of a damaged checkpoint advises
    store.write(snapshot(2, value=9), is_best=False)
    back = store.read("last")
    assert back is not None
    assert back.progress.epoch == 2


def test_a_link_to_a_checkpoint_that_is_gone_is_refused(store):
    store.write(snapshot(1), is_best=False)
    (store.folder / "epoch_0001").rename(store.folder.parent / "elsewhere")
    with pytest.raises(BadRunFolder):
        store.read("last")


@pytest.mark.parametrize("name", [MODEL_FILE, OPTIMIZER_FILE, PROGRESS_FILE])
@pytest.mark.parametrize("damage", ["cut", "empty", "gone"])
def test_a_damaged_file_is_refused_by_name(store, name, damage):
    path = store.write(snapshot(1), is_best=False) / name
    data = path.read_bytes()
    path.unlink()
    if damage != "gone":
        path.write_bytes(data[: len(data) // 2] if damage == "cut" else b"")
    with pytest.raises(BadRunFolder) as caught:
        store.read("last")
    said = str(caught.value)
    assert said.startswith(f"the checkpoint {store.folder}/last is damaged: ")
    assert name in said or name == PROGRESS_FILE
    assert f"point {store.folder}/last at another checkpoint in {store.folder}" in said


@pytest.mark.parametrize("text", ["[]", '{"epoch": 1, "stranger": 2}', "null"])
def test_a_progress_that_is_none_is_refused(store, text):
    (store.write(snapshot(1), is_best=False) / PROGRESS_FILE).write_text(text, encoding="utf-8")
    with pytest.raises(BadRunFolder, match="is damaged"):
        store.read("last")


def test_progress_can_be_read_by_a_person(store):
    folder = store.write(snapshot(2), is_best=False)
    assert json.loads((folder / PROGRESS_FILE).read_text(encoding="utf-8"))["step"] == 20
