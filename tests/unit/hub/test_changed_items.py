"""Datasets of a `hub.Trainer` that change between two sessions: refused, or gone on with on demand."""

import json
import shutil
from pathlib import Path

import hub_parts
import numpy as np
import paddle
import pytest
from paddle.io import ConcatDataset, Subset, TensorDataset

from pannsdist import hub
from pannsdist.hub import dataset_record
from pannsdist.run.data_record import changes
from pannsdist.runtime.errors import BadRunFolder, UserError

pytestmark = pytest.mark.slow


class Files(hub_parts.Features):
    """Features whose dataset names the files and the labels of its items, as those of PaddleHub and Paddle do."""

    def __init__(self, names, labels=None, folder="sounds"):
        super().__init__(len(names))
        self.files = [f"{folder}/{name}.wav" for name in names]
        self.labels = list(labels or [number % 3 for number in range(len(names))])
        for path in map(Path, self.files):
            path.parent.mkdir(exist_ok=True)
            if not path.exists():
                path.write_bytes(b"x" * 100)

    def __getitem__(self, index):
        return super().__getitem__(index)[0], self.labels[index]


TRAIN, VALID = "abcdef", "uvw"


def session(module, train, valid, epochs, checkpoint_dir="run", **options):
    model = module()
    optimizer = paddle.optimizer.AdamW(learning_rate=5e-3, parameters=model.parameters())
    trainer = hub.Trainer(model, optimizer, checkpoint_dir=checkpoint_dir, use_vdl=False)
    trainer.train(train, epochs=epochs, batch_size=3, eval_dataset=valid, **options)
    return trainer


def resized():
    Path("sounds/c.wav").write_bytes(b"x")
    return Files(TRAIN), Files(VALID)


CHANGES = {
    "added": (lambda: (Files(f"{TRAIN}gh"), Files(VALID)), "2 clips added to train: '../sounds/g.wav', '../sounds/h"),
    "removed": (lambda: (Files(TRAIN[:-1]), Files(VALID)), "1 clip removed from train: '../sounds/f.wav'"),
    "relabelled": (lambda: (Files(TRAIN, [1, 1, 2, 0, 1, 2]), Files(VALID)), "1 clip relabelled in train: '../sounds/"),
    "resized": (resized, "1 clip of another size in train: '../sounds/c.wav'"),
    "reordered": (lambda: (Files(TRAIN[::-1], [2, 1, 0] * 2), Files(VALID)), "the order of the clips of train"),
    "moved": (lambda: (Files(TRAIN[:-1]), Files("uvwf")), "1 clip moved from train to valid: '../sounds/f.wav'"),
    "evaluated": (lambda: (Files(TRAIN), Files(VALID, [0, 1, 1])), "1 clip relabelled in valid: '../sounds/w.wav'"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_is_refused_with_what_it_is_and_gone_on_with_where_that_is_said(module, change):
    session(module, Files(TRAIN), Files(VALID), 2)
    before = sorted(path.name for path in Path("run/checkpoints").iterdir())
    changed, said = CHANGES[change]
    train, valid = changed()
    forgets = change in {"moved", "evaluated"}
    for _ in range(2):
        with pytest.raises(BadRunFolder) as caught:
            session(module, train, valid, 4)
        assert caught.value.wrong == "the data has changed since the checkpoint after epoch 2 in run"
        assert said in caught.value.right
        assert "on_data_change='continue'" in caught.value.right
        assert "another checkpoint_dir" in caught.value.right
        assert ("the best score so far is forgotten" in caught.value.right) is forgets
        assert sorted(path.name for path in Path("run/checkpoints").iterdir()) == before
    assert session(module, train, valid, 4, on_data_change="continue").current_epoch == 4
    assert session(module, train, valid, 5).current_epoch == 5


def test_the_same_data_go_on_and_so_do_files_that_are_found_from_another_folder(module, tmp_path, monkeypatch):
    session(module, Files(TRAIN), Files(VALID), 1)
    assert session(module, Files(TRAIN), Files(VALID), 2).current_epoch == 2
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    folder = str(tmp_path / "sounds")
    train, valid = Files(TRAIN, folder=folder), Files(VALID, folder=folder)
    assert session(module, train, valid, 3, tmp_path / "run").current_epoch == 3
    assert str(tmp_path) not in (tmp_path / "run/data.json").read_text(encoding="utf-8")


def test_the_best_score_of_other_items_is_forgotten_and_the_best_model_replaced(module, capsys):
    """An accuracy of 1.0 that no later epoch can exceed."""
    first = session(module, Files(TRAIN), Files(VALID), 40)
    assert first.best_metrics["acc"] == 1.0
    capsys.readouterr()
    second = session(module, Files(TRAIN), Files("uv"), 41, on_data_change="continue")
    printed = capsys.readouterr().out
    assert "the data has changed:\n  1 clip removed from valid: '../sounds/w.wav'" in printed
    assert "the best score so far is forgotten, since it is of other clips" in printed
    assert second._best.epoch == 41
    assert json.loads(Path("run/best_model/bundle.json").read_text(encoding="utf-8"))["epoch"] == 41


def test_the_best_score_stays_where_all_epochs_are_done_and_nothing_replaces_it(module):
    first = session(module, Files(TRAIN), Files(VALID), 4)
    again = session(module, Files(TRAIN), Files("uv"), 4, on_data_change="continue")
    assert again.best_metrics == first.best_metrics != {}


def test_the_best_score_stays_where_only_the_items_to_train_on_changed(module):
    first = session(module, Files(TRAIN), Files(VALID), 40)
    second = session(module, Files(TRAIN[:-1]), Files(VALID), 41, on_data_change="continue")
    assert second._best.epoch == first._best.epoch <= 40


def test_a_training_without_evaluation_is_no_change_and_the_items_of_the_best_score_are_remembered(module):
    session(module, Files(TRAIN), Files(VALID), 1)
    session(module, Files(TRAIN), None, 2)
    with pytest.raises(BadRunFolder, match="the data has changed since the checkpoint after epoch 2"):
        session(module, Files(TRAIN), Files("uv"), 3)
    assert session(module, Files(TRAIN), Files(VALID), 3).current_epoch == 3


def test_a_first_evaluation_is_no_change(module):
    session(module, Files(TRAIN), None, 1)
    assert session(module, Files(TRAIN), Files(VALID), 2).best_metrics


def test_a_second_call_of_one_trainer_is_treated_as_a_restart_is(module):
    trainer = session(module, Files(TRAIN), Files(VALID), 1)
    options = {"epochs": 2, "batch_size": 3, "eval_dataset": Files(VALID)}
    with pytest.raises(BadRunFolder, match="the data has changed"):
        trainer.train(Files(TRAIN[:-1]), **options)
    trainer.train(Files(TRAIN[:-1]), on_data_change="continue", **options)
    assert trainer.current_epoch == 2


def test_of_items_without_files_the_number_counts(module):
    session(module, hub_parts.Features(12), hub_parts.Features(6), 1)
    with pytest.raises(BadRunFolder, match="the data has changed") as caught:
        session(module, hub_parts.Features(13), hub_parts.Features(5), 2)
    assert "1 clip added to train: 'item 12'" in caught.value.right
    assert "1 clip removed from valid: 'item 5'" in caught.value.right
    session(module, hub_parts.Features(12), hub_parts.Features(6), 2)


def test_other_names_of_the_labels_are_another_dataset(module):
    session(module, Files(TRAIN), Files(VALID), 1)
    other = Files(TRAIN)
    other.label_list = ("high", "middle", "low")
    with pytest.raises(BadRunFolder, match="the data has changed") as caught:
        session(module, other, Files(VALID), 2)
    assert "the list of labels" in caught.value.right


def test_without_the_record_it_is_not_known_what_changed(module):
    session(module, Files(TRAIN), Files(VALID), 1)
    Path("run/data.json").unlink()
    with pytest.raises(BadRunFolder) as caught:
        session(module, Files(TRAIN[:-1]), Files(VALID), 2)
    assert "what changed is not known: run/data.json is missing or of other data" in caught.value.right
    assert session(module, Files(TRAIN), Files(VALID), 2).current_epoch == 2
    assert Path("run/data.json").is_file()


def test_a_new_training_has_nothing_to_compare_with(module):
    session(module, Files(TRAIN), Files(VALID), 1)
    shutil.rmtree("run/checkpoints")
    assert session(module, Files(TRAIN[:-1]), Files(VALID), 1).current_epoch == 1


def test_another_value_of_the_argument_is_refused(module):
    with pytest.raises(UserError, match="on_data_change is 'go'"):
        session(module, Files(TRAIN), Files(VALID), 1, on_data_change="go")


def difference(before, now):
    """The changes from one training dataset to another."""
    one, other = (dataset_record.record_of({"train": dataset}, Path("run")) for dataset in (before, now))
    found = changes(one, other).lines
    assert bool(found) is (one.digest != other.digest)
    return list(found)


def tensors(*labels):
    return TensorDataset([paddle.to_tensor(np.zeros((len(labels), 9, 16), np.float32)), paddle.to_tensor(labels)])


def test_datasets_that_wrap_others_are_looked_into():
    whole = Files(TRAIN)
    assert difference(Subset(whole, [0, 1, 2]), Subset(whole, np.array([0, 1, 2]))) == []
    assert difference(Subset(whole, [0, 1, 2]), Subset(whole, [0, 1, 3])) == [
        "1 clip added to train: '../sounds/d.wav'",
        "1 clip removed from train: '../sounds/c.wav'",
    ]
    unnamed = hub_parts.Features(9)
    assert difference(Subset(unnamed, [0, 1]), Subset(unnamed, [0, 4])) == [
        "1 clip added to train: 'item 4'",
        "1 clip removed from train: 'item 1'",
    ]
    assert difference(ConcatDataset([whole, Files("xy")]), ConcatDataset([whole, Files("xz")])) == [
        "1 clip added to train: '../sounds/z.wav'",
        "1 clip removed from train: '../sounds/y.wav'",
    ]
    assert difference(ConcatDataset([unnamed, unnamed]), ConcatDataset([unnamed, hub_parts.Features(8)])) == [
        "1 clip removed from train: 'item 8 (2)'"
    ]
    assert difference(tensors(0, 1, 2), tensors(0, 1, 1)) == ["1 clip relabelled in train: 'item 2'"]


def test_a_file_that_is_listed_several_times_counts_each_time():
    assert difference(Files("aab"), Files("ab")) == [
        "1 clip removed from train: '../sounds/a.wav (2)'",
        "1 clip relabelled in train: '../sounds/b.wav'",
    ]


def test_what_does_not_belong_to_the_items_is_not_taken_for_their_files_and_labels():
    class Other(hub_parts.Features):
        files = ("index.csv",)
        labels = ("low", "middle", "high")

    assert difference(Other(9), hub_parts.Features(9)) == []
