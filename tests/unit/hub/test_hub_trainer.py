"""hub.Trainer in one process: the same trainer as every run, under PaddleHub's names."""

import json
import re
import shutil
from contextlib import nullcontext
from functools import partial
from pathlib import Path

import hub_parts
import numpy as np
import paddle
import pytest
from holding import holder

from pannsdist import hub
from pannsdist.audio.reader import Recording
from pannsdist.inference.bundle import load_bundle
from pannsdist.inference.predictor import Predictor
from pannsdist.registry import Catalog
from pannsdist.runtime.errors import BadRunFolder, CannotWrite, UserError

pytestmark = pytest.mark.slow
RATE = 5e-3


def trainer_of(model, checkpoint_dir="run", learning_rate=RATE, **options):
    optimizer = paddle.optimizer.AdamW(learning_rate=learning_rate, parameters=model.parameters())
    return hub.Trainer(model, optimizer, checkpoint_dir=checkpoint_dir, **options)


@pytest.fixture
def trained(module):
    """A trainer, made of nothing but its checkpoint_dir, after `train` with these options."""

    def made(checkpoint_dir="run", learning_rate=RATE, trainer=None, **options):
        trainer = trainer_of(module(), checkpoint_dir, learning_rate, **(trainer or {}))
        chosen = {"epochs": 2, "batch_size": 4, "eval_dataset": hub_parts.Features(9), **options}
        trainer.train(hub_parts.Features(), **chosen)
        return trainer

    return made


def arrays(trainer):
    return {name: tensor.numpy() for name, tensor in trainer.model.state_dict().items()}


def equal(left, right):
    return left.keys() == right.keys() and all(np.array_equal(left[name], right[name]) for name in left)


def points(folder, tag):
    """(step, value) of a curve, over all files of the folder."""
    from visualdl import LogReader

    found = []
    for path in sorted(folder.glob("vdlrecords.*.log")):
        reader = LogReader(file_path=str(path))
        found += [(record.id, record.value) for record in reader.get_data("scalar", tag)]
    return found


def test_training_lowers_the_loss_and_finds_the_classes(trained):
    result = trained(epochs=40).evaluate(hub_parts.Features(9), batch_size=2)
    assert result["metrics"]["acc"] == 1.0
    assert result["loss"] == result["metrics"]["loss"] < 0.7
    assert next(iter(result["metrics"])) == "acc"


def test_the_last_epoch_is_evaluated_and_saved_whatever_the_save_interval(trained):
    trained(epochs=5, save_interval=2)
    saved = sorted(path.name for path in Path("run/checkpoints").glob("step_*"))
    assert saved == ["step_00000006", "step_00000012", "step_00000015"]
    assert json.loads(Path("run/checkpoints/last/progress.json").read_text())["scores"]["valid/accuracy"] <= 1.0
    assert sorted(path.name for path in Path("run/best_model").iterdir()) == ["bundle.json", "model.pdparams"]


def test_the_best_model_is_looked_for_at_every_epoch(trained, capsys):
    trainer = trained(epochs=3, save_interval=10)
    said = [line for line in capsys.readouterr().out.splitlines() if re.match(r"epoch \d/3", line)]
    assert len(said) == 3
    best = next(line for line in reversed(said) if line.endswith("best valid/accuracy"))
    assert json.loads(Path("run/best_model/bundle.json").read_text())["epoch"] == int(best[6])
    assert trainer.best_metrics["acc"] == pytest.approx(float(re.search(r"valid/accuracy (\S+)", best)[1]), abs=1e-4)


def test_the_best_model_predicts_what_the_model_did(trained, module):
    trainer = trained(trainer={"compare_metrics": lambda *_: True})
    data = [np.random.default_rng(3).normal(0.0, 0.1, 4000).astype(np.float32)]
    loaded = module(load_checkpoint="run/best_model/model.pdparams")
    assert loaded.predict(data, 8000) == trainer.model.predict(data, 8000)
    bundle = load_bundle(Path("run/best_model"), Catalog.installed())
    assert bundle.record.labels == ("low", "middle", "high")
    assert bundle.record.crop_s == pytest.approx(8 * 128 / 8000)
    sounds = [np.random.default_rng(n).normal(0.0, 0.1, n).astype(np.float32) for n in (1, 300, 1023, 1024, 1025, 9000)]
    expected = Predictor(bundle.inference_model).predict([Recording("a", sound, 8000) for sound in sounds])
    for answer, one in zip(loaded.predict(sounds, 8000, batch_size=3), expected, strict=True):
        assert answer == pytest.approx(dict(one.scores), abs=1e-6)
    trainer.model.eval()
    noise = np.random.default_rng(4).normal(0.0, 0.1, (1, 2000)).astype(np.float32)
    assert np.array_equal(
        bundle.network(paddle.to_tensor(noise)).numpy(),
        trainer.model.network(trainer.model.feature(paddle.to_tensor(noise))).numpy(),
    )


@pytest.mark.parametrize("pads_to_crop", [True, False])
def test_a_module_pads_a_short_sound_as_predictions_from_its_model_folder_do(trained, module, pads_to_crop):
    trained()
    path = Path("run/best_model/bundle.json")
    path.write_text(json.dumps({**json.loads(path.read_text()), "pads_to_crop": pads_to_crop}))
    wave = np.random.default_rng(0).normal(0, 0.1, 600).astype(np.float32)
    found = module(load_checkpoint="run/best_model/model.pdparams").predict([wave], 8000)[0]
    model = load_bundle(Path("run/best_model"), Catalog.installed()).inference_model
    assert model.pad_to_s == pytest.approx(8 * 128 / 8000 if pads_to_crop else 512 / 8000)
    (expected,) = Predictor(model).predict([Recording("wave", wave, 8000)])
    assert found == pytest.approx(dict(expected.scores), abs=1e-6)


def test_without_a_label_map_the_labels_are_the_datasets(module):
    trainer = trainer_of(module(label_map=None, num_class=3))
    trainer.train(hub_parts.Features(), batch_size=4)
    assert json.loads(Path("run/best_model/bundle.json").read_text())["labels"] == ["low", "middle", "high"]


def test_epochs_are_those_of_all_sessions_and_a_second_trainer_in_the_process_goes_on(trained, capsys):
    whole = arrays(trained("whole", epochs=4, log_interval=1))
    trained("parts", epochs=2, log_interval=1)
    capsys.readouterr()
    trainer = trained("parts", epochs=4, log_interval=1)
    said = capsys.readouterr().out
    assert "parts after epoch 2\n" in said
    assert [line[:9] for line in said.splitlines() if re.match(r"epoch \d/", line)] == ["epoch 3/4", "epoch 4/4"]
    assert trainer.current_epoch == 4
    assert equal(arrays(trainer), whole)
    curves = [points(Path(name, "visualization"), "train/loss") for name in ("whole", "parts")]
    assert [step for step, _ in curves[0]] == list(range(1, 13))
    assert sorted(curves[1]) == curves[0]


def test_what_is_done_is_not_done_again(trained):
    before = arrays(trained(epochs=2))
    assert equal(arrays(trained(epochs=2)), before)


def test_two_calls_of_train_are_one_longer_one(trained):
    whole = arrays(trained("whole", epochs=3))
    trainer = trained("parts", epochs=1)
    trainer.train(hub_parts.Features(), epochs=3, batch_size=4, eval_dataset=hub_parts.Features(9))
    assert equal(arrays(trainer), whole)


def test_a_checkpoint_of_another_model_is_refused(trained, module):
    trained()
    with pytest.raises(BadRunFolder, match="run: the checkpoint does not fit the model"):
        trainer_of(module(label_map=None, num_class=4))


def test_the_comparison_of_the_user_chooses(trained):
    seen = []

    def lower_loss(old, new):
        seen.append((old, new))
        return new["loss"] < old["loss"]

    trainer = trained(epochs=4, trainer={"compare_metrics": lower_loss})
    assert len(seen) == 3
    assert all(next(iter(metrics)) == "acc" for pair in seen for metrics in pair)
    assert trainer.best_metrics["loss"] == min(metrics["loss"] for pair in seen for metrics in pair)
    trainer = trained(epochs=5, trainer={"compare_metrics": lower_loss})
    assert seen[-1][0]["loss"] == min(metrics["loss"] for pair in seen[:-1] for metrics in pair), "it outlives a stop"


def test_a_comparison_that_never_agrees_keeps_the_first_epoch(trained):
    trained(epochs=3, trainer={"compare_metrics": lambda *_: False})
    assert json.loads(Path("run/best_model/bundle.json").read_text())["epoch"] == 1


def test_without_a_dataset_to_evaluate_the_newest_model_is_kept(trained):
    trainer = trained(epochs=3, eval_dataset=None)
    record = json.loads(Path("run/best_model/bundle.json").read_text())
    assert record["epoch"] == 3 and set(record["scores"]) == {"train/loss"}
    assert trainer.best_metrics == {}


def best(folder="run"):
    """The record of the best model of a training."""
    return json.loads(Path(folder, "best_model/bundle.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("compare", [None, lambda old, new: new["loss"] < old["loss"]], ids=["accuracy", "own"])
@pytest.mark.parametrize("restart", [False, True])
def test_an_evaluation_finds_the_best_model_after_a_training_without_one(trained, compare, restart):
    options = {"trainer": {"compare_metrics": compare}}
    trainer = trained(epochs=3, eval_dataset=None, **options)
    best_of_checkpoint = json.loads(Path("run/checkpoints/last/progress.json").read_text())["best"]
    assert (best_of_checkpoint["value"], best_of_checkpoint["epoch"]) == (None, 0)
    if restart:
        trainer = trained(epochs=4, **options)
    else:
        trainer.train(hub_parts.Features(), epochs=4, batch_size=4, eval_dataset=hub_parts.Features(9))
    assert best()["epoch"] == 4 and "valid/accuracy" in best()["scores"]
    assert trainer.best_metrics["acc"] == best()["scores"]["valid/accuracy"]


def test_a_training_without_evaluation_keeps_a_best_model_that_was_evaluated(trained, capsys):
    trained(epochs=4)
    before = best()
    capsys.readouterr()
    trainer = trained(epochs=6, eval_dataset=None)
    printed = capsys.readouterr().out
    assert "best valid/accuracy" not in printed and f"best model from epoch {before['epoch']}: " in printed
    assert best() == before and trainer.best_metrics["acc"] == before["scores"]["valid/accuracy"]
    assert trained(epochs=8).best_metrics["acc"] >= trainer.best_metrics["acc"]


@pytest.mark.parametrize(("first", "second"), [(2, 6), (6, 2), (4, 12)])
def test_steps_count_on_where_a_training_goes_on_with_another_batch_size(trained, capsys, first, second):
    before, after = 12 // first, 12 // second
    trained(epochs=2, batch_size=first, save_interval=1, log_interval=1)
    trainer = trained(epochs=4, batch_size=second, save_interval=1, log_interval=1)
    steps = [before, 2 * before, 2 * before + after, 2 * before + 2 * after]
    assert [path.name for path in sorted(Path("run/checkpoints").glob("step_*"))] == [f"step_{n:08d}" for n in steps]
    assert [step for step, _ in sorted(points(Path("run/visualization"), "train/loss"))] == list(
        range(1, steps[-1] + 1)
    )
    assert [step for step, _ in sorted(points(Path("run/visualization"), "valid/accuracy"))] == steps
    assert re.findall(rf"epoch 4  step (\d+)/{after} ", capsys.readouterr().out) == [str(n + 1) for n in range(after)]
    weights = arrays(trainer)
    resumed = trained(epochs=4, batch_size=first)
    assert resumed.current_epoch == 4 and equal(arrays(resumed), weights)


def test_a_best_model_that_a_kill_between_two_renames_moved_aside_is_there_again(trained):
    trained()
    before = best()
    Path("run/best_model").rename("run/.best_model.older")
    Path("run/.best_model.writing").mkdir()
    Path("run/.mine.writing").touch()
    trained(epochs=2)
    assert best() == before
    assert sorted(path.name for path in Path("run").glob(".*")) == [".mine.writing"]


@pytest.mark.parametrize("restart", [False, True])
def test_a_saved_model_has_the_labels_and_the_clip_length_of_the_best_model(module, restart):
    trainer = trainer_of(module(label_map=None, num_class=3))
    trainer.train(hub_parts.Features(), epochs=2, batch_size=4, eval_dataset=hub_parts.Features(9))
    if restart:
        trainer = trainer_of(module(label_map=None, num_class=3))
    trainer.save_model("kept")
    saved = json.loads(Path("kept/bundle.json").read_text(encoding="utf-8"))
    assert saved["labels"] == best()["labels"] == ["low", "middle", "high"]
    assert saved["crop_s"] == best()["crop_s"] == pytest.approx(8 * 128 / 8000)
    other = trainer_of(module(label_map=None, num_class=3), "other")
    other.load_model("kept")
    assert other.model.labels == ("low", "middle", "high")


def test_a_label_map_stays_whatever_a_dataset_or_a_folder_says(module):
    own = {0: "bass", 1: "tenor", 2: "soprano"}
    trainer = trainer_of(module(label_map=own))
    trainer.train(hub_parts.Features(), batch_size=4)
    trainer.save_model("kept")
    assert best()["labels"] == list(own.values()) == json.loads(Path("kept/bundle.json").read_text())["labels"]
    loaded = module(load_checkpoint="kept/model.pdparams")
    assert loaded.labels == ("low", "middle", "high")


def test_a_damaged_best_model_is_named_and_the_training_goes_on(trained, capsys):
    trained()
    Path("run/best_model/model.pdparams").write_bytes(b"no weights")
    assert trained(epochs=3).current_epoch == 3
    assert "not used: run/best_model/model.pdparams is missing or damaged" in capsys.readouterr().out


@pytest.mark.parametrize("frozen", ["nothing", "a part", "everything"])
@pytest.mark.parametrize("fails", [False, True])
def test_training_evaluation_and_prediction_keep_every_mode(module, frozen, fails):
    model, seen = module(), []
    {"nothing": paddle.nn.Identity(), "a part": model.network.hidden, "everything": model}[frozen].eval()
    before = [part.training for part in model.sublayers(include_self=True)]
    model.network.hidden.register_forward_pre_hook(lambda layer, _: seen.append(layer.training))
    trainer = trainer_of(model)
    dataset = Odd("nan") if fails else hub_parts.Features()
    for run in (
        lambda: trainer.train(dataset, batch_size=12),
        lambda: trainer.evaluate(dataset),
        lambda: model.predict([np.full(2000, np.nan if fails else 0.1)], 8000),
    ):
        with pytest.raises(UserError) if fails else nullcontext():
            run()
        assert [part.training for part in model.sublayers(include_self=True)] == before
    if not fails:
        assert seen[0] is (frozen != "a part") and not any(seen[1:])


def test_curves_are_left_out_where_they_are_not_wanted(trained):
    trained("with")
    trained("without", trainer={"use_vdl": False})
    assert Path("with/visualization").is_dir() and not Path("without/visualization").exists()


def test_steps_are_told_as_often_as_was_asked(trained, capsys):
    trained(epochs=1, batch_size=2, log_interval=4)
    told = re.findall(r"step (\d)/6", capsys.readouterr().out)
    assert told == ["4", "6"]


def test_workers_change_nothing(trained):
    alone = arrays(trained("alone"))
    assert equal(arrays(trained("together", num_workers=2)), alone)


def test_a_folder_is_made_where_none_is_named(trained):
    trainer = trained(checkpoint_dir=None)
    assert re.fullmatch(r"ckpt_\d+\.\d+", str(trainer.checkpoint_dir)) and trainer.checkpoint_dir.is_dir()


def test_a_scheduler_is_stepped_once_a_batch_and_goes_on_after_a_stop(module, capsys):
    def rates(folder, epochs):
        capsys.readouterr()
        scheduler = paddle.optimizer.lr.StepDecay(0.1, step_size=2, gamma=0.5)
        trainer = trainer_of(module(), folder, scheduler)
        trainer.train(hub_parts.Features(), epochs=epochs, batch_size=4, log_interval=1)
        return re.findall(r"lr (\S+)", capsys.readouterr().out)

    whole = rates("whole", 2)
    assert whole == ["1.00e-01", "1.00e-01", "5.00e-02", "5.00e-02", "2.50e-02", "2.50e-02"]
    assert rates("parts", 1) + rates("parts", 2) == whole


def test_a_scheduler_that_asks_for_scores_is_refused(module):
    with pytest.raises(UserError, match="ReduceOnPlateau"):
        trainer_of(module(), learning_rate=paddle.optimizer.lr.ReduceOnPlateau(0.1))


def test_a_model_is_saved_and_loaded_with_the_optimizers_state(trained, module):
    trainer = trained("first")
    trainer.save_model("kept")
    assert sorted(path.name for path in Path("kept").iterdir()) == ["bundle.json", "model.pdopt", "model.pdparams"]
    other = trainer_of(module(), "second")
    assert not equal(arrays(other), arrays(trainer))
    other.load_model("kept")
    assert equal(arrays(other), arrays(trainer))
    for one in (trainer, other):
        one._learner.optimizer.clear_grad()
    assert equal(trainer._learner.state(), other._learner.state())
    trainer.save_model("kept")


def test_a_folder_with_other_files_is_not_written_over(trained):
    Path("mine").mkdir()
    Path("mine/notes.txt").write_text("keep me")
    with pytest.raises(UserError, match=r"mine contains other files, such as notes\.txt"):
        trained().save_model("mine")
    assert Path("mine/notes.txt").read_text() == "keep me"


class Waveforms(paddle.io.Dataset):
    """Tones of three pitches, at a rate of its own."""

    sample_rate = 16000

    def __init__(self, samples=(3200,)):
        self.samples = samples

    def __len__(self):
        return 9

    def __getitem__(self, index):
        time_s = np.arange(self.samples[index % len(self.samples)]) / 16000
        return 0.5 * np.sin(2 * np.pi * (300, 1000, 3000)[index % 3] * time_s), index % 3


def test_waveforms_are_trained_on_at_the_rate_of_the_network(module):
    trainer = trainer_of(module())
    trainer.train(Waveforms(), epochs=60, batch_size=9, log_interval=100)
    assert trainer.evaluate(Waveforms(), batch_size=4)["metrics"]["acc"] == 1.0
    predicted = trainer.model.predict([Waveforms()[row][0] for row in range(3)], sample_rate=16000)
    assert [next(iter(answer)) for answer in predicted] == ["low", "middle", "high"]


def shortest(samples, items):
    """A collate_fn: waveforms cut to one length."""
    return np.stack([heard[:samples] for heard, _ in items]), [label for _, label in items]


def test_a_collate_fn_makes_batches_of_what_differs_in_length(module):
    dataset = Waveforms(samples=(3200, 4800))
    trainer = trainer_of(module())
    with pytest.raises(UserError) as caught:
        trainer.train(dataset, batch_size=9)
    assert "items of one batch differ in shape, such as (1600,) and (2400,)" in str(caught.value)
    trainer.train(dataset, batch_size=9, eval_dataset=dataset, collate_fn=partial(shortest, 1600))
    assert trainer.evaluate(dataset, batch_size=2, collate_fn=partial(shortest, 1600))["loss"] > 0.0


def test_a_collate_fn_that_loses_items_is_refused(module):
    with pytest.raises(UserError, match="collate_fn returned 1 features and 1 labels for 3 items"):
        trainer_of(module()).train(Waveforms(), batch_size=3, collate_fn=lambda items: ([items[0][0]], [0]))


class Odd(hub_parts.Features):
    """Features with one fault."""

    def __init__(self, fault):
        super().__init__()
        self.fault = fault

    def __getitem__(self, index):
        features, label = super().__getitem__(index)
        faults = {
            "label": (features, np.int64(3)),
            "share": (features, 0.5),
            "bins": (features[:, :10], label),
            "frames": (features[:2], label),
            "nan": (features * np.nan, label),
            "rate": (features[:, 0].repeat(100), label),
        }
        return faults[self.fault]


@pytest.mark.parametrize(
    ("fault", "wrong", "right"),
    [
        ("label", "has the label 3", "an integer from 0 to 2"),
        ("share", "has the label 0.5", "an integer from 0 to 2"),
        ("bins", "has the shape (9, 10)", "the network takes features (frames, 16), or a waveform"),
        ("frames", "has 2 frames", "the network needs at least 5"),
        ("nan", "is empty or has NaN or infinite values", ""),
        ("rate", "is a waveform of unknown sample rate", "add an attribute `sample_rate` in Hz to the dataset"),
    ],
)
def test_an_item_that_does_not_suit_the_network_is_refused(module, fault, wrong, right):
    with pytest.raises(UserError) as caught:
        trainer_of(module()).train(Odd(fault), batch_size=2)
    said = str(caught.value).replace("labelled 3", "labelled np.int64(3)")  # numpy 1 says it so
    assert re.match(r"item \d+ of Odd ", said) and wrong in said and right in said


@pytest.mark.parametrize(
    ("change", "wrong"),
    [
        ({"epochs": 0}, "epochs is 0"),
        ({"batch_size": 0}, "batch_size is 0"),
        ({"save_interval": 0}, "save_interval is 0"),
        ({"log_interval": -1}, "log_interval is -1"),
        ({"num_workers": -1}, "num_workers is -1"),
        pytest.param({"eval_dataset": hub_parts.Features(0)}, "the evaluation set has 0 items", id="no items"),
    ],
    ids=str,
)
def test_numbers_out_of_range_are_refused(trained, change, wrong):
    with pytest.raises(UserError) as caught:
        trained(**change)
    assert str(caught.value).startswith(wrong)


def test_what_cannot_be_trained_is_refused(module):
    optimizer = paddle.optimizer.SGD(parameters=module().parameters())
    with pytest.raises(TypeError, match=r"not a paddle\.nn\.Layer"):
        hub.Trainer("panns_cnn14", optimizer)
    with pytest.raises(TypeError, match=r"hub\.Trainer has no arguments use_npu"):
        hub.Trainer(module(), optimizer, use_npu=True)
    with pytest.raises(UserError, match=r"hub\.Trainer trains instances of hub\.Module"):
        hub.Trainer(paddle.nn.Linear(2, 2), optimizer)
    with pytest.raises(UserError, match="training needs task='sound-cls'"):
        hub.Trainer(hub.Module(name="plain"), optimizer)
    with pytest.raises(UserError, match=r"hub\.Trainer does not call optimizer_step"):
        type("Own", (hub.Trainer,), {"optimizer_step": lambda *_: None})


def test_a_checkpoint_folder_of_another_process_is_refused_and_left_as_it_is(trained, module):
    first = trained(epochs=1)
    assert trainer_of(module()).current_epoch == 1  # in this process: a cell of a notebook that is run again
    del first
    Path("other/checkpoints/.step_00000006.writing").mkdir(parents=True)
    with holder(Path("other").resolve()) as process:
        with pytest.raises(BadRunFolder, match=f"process {process.pid} on .* is running in other"):
            trainer_of(module(), "other")
        assert Path("other/checkpoints/.step_00000006.writing").is_dir()
    Path("file").touch()
    with pytest.raises(CannotWrite, match="cannot write checkpoint_dir file/deep: Not a directory"):
        trainer_of(module(), "file/deep")


def test_a_checkpoint_folder_that_is_removed_meanwhile_is_not_made_again(trained):
    trainer = trained(epochs=1)
    shutil.rmtree("run")
    with pytest.raises(CannotWrite, match="run was removed, moved or replaced while"):
        trainer.train(hub_parts.Features(), epochs=2, batch_size=4)
    assert not Path("run/best_model").exists()
