"""What a run leaves, and what can be done with it."""

import csv
import dataclasses
import json
import stat
import warnings

import calling
import launching
import numpy as np
import pytest
import soundfile

import pannsdist
from pannsdist.builtin.tones import Tones, TonesParams
from pannsdist.training.metrics import metrics_for
from pannsdist.weights import read_paddle

METRICS = tuple(metrics_for(multi_label=False, classes=3))
OVERRIDES = (*launching.TINY, *launching.CONSTANT, "name=tiny")


def test_a_run_leaves_these_files_and_no_others(run):
    found = set(launching.contents(run.folder))
    curves = {name for name in found if name.startswith("vdl/vdlrecords.")}
    assert len(curves) == 1
    assert found - curves == {
        "settings.yaml",
        "data.json",
        "history.json",
        "labels.json",
        "scores.jsonl",
        "class_scores.csv",
        *(f"checkpoints/step_00000003/{name}" for name in ("model.pdparams", "optimizer.pdopt", "progress.json")),
        "checkpoints/step_00000003/SHA256SUMS",
        "checkpoints/best",
        "checkpoints/last",
        "best_model/model.pdparams",
        "best_model/bundle.json",
        "best_predictions/record.json",
        "best_predictions/logits.npy",
        "best_predictions/targets.npy",
        "log",
    }


def test_a_run_prints_its_plan_and_its_result(run):
    said = run.launched.logs[0]
    for line in (
        f"model      panns_cnn6 (pannsdist {pannsdist.__version__}), random weights",
        f"data       tones (pannsdist {pannsdist.__version__}): 3 classes",
        "train      12 clips, 0.5 s of each",
        "batch      4 = 2 x 2",
        "length     1 epochs of 3 steps",
        "best by    valid/accuracy, higher is better",
        "starts from random weights",
        "  next: pannsdist predict --model runs/tiny/best_model FILE...",
    ):
        assert line in said.splitlines(), said
    assert f"best valid/accuracy {run.scores[0]['valid/accuracy']:.4f} in epoch 1 of 1: runs/tiny/best_model" in said


def test_only_rank_0_prints(run):
    assert "panns_cnn6" not in run.launched.logs[1]
    assert "epoch 1" not in run.launched.logs[1]


def test_scores_hold_one_line_for_each_epoch(run):
    assert [(line["epoch"], line["step"]) for line in run.scores] == [(1, 3)]
    names = {"epoch", "step", "seconds", "train/loss", *(f"valid/{metric}" for metric in METRICS)}
    assert set(run.scores[0]) == names


def test_the_links_point_at_the_only_checkpoint(run):
    links = [str((run.folder / "checkpoints" / name).readlink()) for name in ("last", "best")]
    assert links == ["step_00000003", "step_00000003"]


def test_the_log_of_the_launcher_is_at_hand_and_private(run):
    assert (run.folder / "log").resolve() == run.log_dir.resolve()
    assert stat.S_IMODE(run.log_dir.stat().st_mode) == 0o700
    assert (run.folder / "log" / "workerlog.1").is_file()


def test_the_best_model_is_the_best_checkpoint(run):
    best = read_paddle(run.folder / "checkpoints" / "best" / "model.pdparams")
    model = read_paddle(run.folder / "best_model" / "model.pdparams")
    assert best.keys() == model.keys()
    assert all(np.array_equal(best[name], model[name]) for name in best if isinstance(best[name], np.ndarray))


def test_the_best_model_says_what_it_is(run):
    record = json.loads((run.folder / "best_model" / "bundle.json").read_text())
    origin = {"distribution": "pannsdist", "version": pannsdist.__version__}
    params = {"spec_augment": False, "frame_stride": 8}
    assert record["model"] == {"name": "panns_cnn6", "params": params, "origin": origin}
    assert (record["feature"]["name"], record["feature"]["origin"]) == ("logmel", origin)
    assert (record["dataset"]["name"], record["dataset"]["params"]["classes"]) == ("tones", 3)
    assert record["labels"] == ["tone", "sweep", "noise"]
    assert (record["epoch"], record["crop_s"], record["metric"]) == (1, 0.5, "valid/accuracy")
    assert record["scores"]["valid/accuracy"] == run.scores[0]["valid/accuracy"]


def curves(run):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # VisualDL 2.5.3, at import
        from visualdl import LogReader
    found = {}
    for path in sorted((run.folder / "vdl").iterdir()):
        reader = LogReader(file_path=str(path))
        for tag in reader.get_tags().get("scalar", ()):
            found.setdefault(tag, []).extend((point.id, point.value) for point in reader.get_data("scalar", tag))
    return found


def test_visualdl_reads_every_curve_back(run):
    found = curves(run)
    train = ("loss", "learning_rate", "clips_per_s", "data_wait_fraction", "memory_mib")
    assert {f"train/{name}" for name in train} | {f"valid/{name}" for name in METRICS} <= set(found)
    assert found["train/learning_rate"] == [(3, pytest.approx(1e-3))]
    for name in ("train/loss", *(f"valid/{metric}" for metric in METRICS)):
        assert found[name] == [(3, pytest.approx(run.scores[0][name], rel=1e-6))]


def test_evaluate_gives_the_scores_of_the_run_to_the_last_digit(run):
    model, config = "runs/tiny/best_model", "runs/tiny/settings.yaml"
    arguments = ("--per-class", "-o", "scores.json")
    launched = calling.pannsdist("evaluate", "--model", model, "-c", config, *arguments, cwd=run.work)
    assert launched.exit_code == 0, str(launched)
    said = json.loads((run.work / "scores.json").read_text(encoding="utf-8"))
    scores = {name: value for name, value in run.scores[0].items() if name.startswith("valid/")}
    assert set(METRICS) <= {name.removeprefix("valid/") for name in scores}
    assert {name: one["value"] for name, one in said["scores"].items()} == scores
    with (run.folder / "class_scores.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row.pop("epoch") for row in rows] == ["1", "1", "1"]
    classes = [{key: "" if value is None else str(value) for key, value in one.items()} for one in said["classes"]]
    assert rows == [{key: one[key] for key in rows[0]} for one in classes]  # without intervals


def test_a_report_is_one_page_that_shows_the_run_with_its_sounds(run, tmp_path):
    launched = calling.pannsdist("report", "runs/tiny", "-o", tmp_path / "page.html", cwd=run.work)
    assert launched.exit_code == 0, str(launched)
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert f"<b>{run.scores[0]['valid/accuracy']:.4f}</b>" in page
    assert "pannsdist predict --model runs/tiny/best_model FILE..." in page
    mistakes = round(6 * (1 - run.scores[0]["valid/accuracy"]))
    assert page.count("<audio ") == mistakes
    assert f"{mistakes} clips\n" in launched.output


@pytest.fixture
def sounds(work):
    """A folder with a generated sound of each class, and a file that is no sound."""
    folder = work / "sounds"
    folder.mkdir()
    for clip in Tones(TonesParams(valid_clips_per_class=1, classes=3, seed=1)).clips("valid"):
        samples, rate_hz = clip.source.samples()
        soundfile.write(folder / f"{clip.labels[0]}.wav", samples, rate_hz)
    (folder / "void.wav").write_bytes(b"")
    return folder


def test_predict_answers_for_every_file_that_can_be_read_and_names_the_others(run, sounds):
    model = run.folder / "best_model"
    launched = calling.pannsdist("predict", "--model", model, sounds, "--format", "json", cwd=sounds.parent)
    assert launched.exit_code == 2
    assert f"error: clip 'void.wav' ({sounds / 'void.wav'}): the file is empty" in launched.output
    assert "Traceback" not in launched.output
    answers = json.loads(launched.output[launched.output.index("[") : launched.output.rindex("]") + 1])
    assert [answer["path"] for answer in answers] == [
        str(sounds / f"{name}.wav") for name in ("noise", "sweep", "tone")
    ]
    for answer in answers:
        assert set(answer["scores"]) == {"tone", "sweep", "noise"}
        assert sum(answer["scores"].values()) == pytest.approx(1.0, abs=1e-5)
        assert list(answer["scores"].values()) == sorted(answer["scores"].values(), reverse=True)


def test_predict_is_the_same_for_one_file_and_gives_the_first_labels_alone(run, sounds):
    launched = calling.pannsdist(
        "predict", "--model", run.folder / "best_model", sounds / "tone.wav", "--topk", "1", cwd=sounds.parent
    )
    assert launched.exit_code == 0, str(launched)
    path, label, score = launched.output.splitlines()[-1].split()
    assert path == str(sounds / "tone.wav")
    assert label in ("tone", "sweep", "noise")
    assert 1 / 3 <= float(score) <= 1


def test_a_finished_run_that_is_started_again_says_so_and_changes_nothing(run, work):
    again = run.copied(work)
    kept = ("checkpoints", "best_model")
    before = [launching.contents(again.folder / name) for name in kept]
    scores = again.scores
    launched = calling.train("tones_cnn6.yaml", *OVERRIDES, cwd=work)
    assert launched.exit_code == 0, str(launched)
    assert "is finished" in launched.output
    assert "in epoch 1 of 1: runs/tiny/best_model" in launched.output
    assert "step" not in launched.output.partition("resumes")[2]
    assert [launching.contents(again.folder / name) for name in kept] == before
    assert again.scores == scores


def more_epochs(work, fixture):
    fixture("run").copied(work)
    return launching.training("tones_cnn6.yaml", *OVERRIDES, "train.epochs=2", cwd=work)


def all_epochs(work, _):
    return launching.training("tones_cnn6.yaml", *OVERRIDES, "train.epochs=2", cwd=work)


IN_TURN = {"more epochs": more_epochs, "all epochs": all_epochs}


def test_a_finished_run_with_more_epochs_becomes_what_it_would_have_become_in_one_go(run, together):
    for name, said in (("more epochs", "resumes after epoch 1"), ("all epochs", "starts from random weights")):
        launched = together[name].launched
        assert launched.exit_codes == (0, 0), str(launched)
        assert said in launched.logs[0]
    work, straight = together["more epochs"].work, together["all epochs"].work
    extended = dataclasses.replace(run, work=work, folder=work / "runs" / "tiny")
    for name in ("checkpoints/last/model.pdparams", "checkpoints/last/optimizer.pdopt", "best_model/model.pdparams"):
        left, right = (read_paddle(folder / "runs" / "tiny" / name) for folder in (work, straight))
        assert left.keys() == right.keys()
        for key, value in left.items():
            assert np.array_equal(value, right[key]), (name, key)
    uninterrupted = [json.loads(line) for line in (straight / "runs/tiny/scores.jsonl").read_text().splitlines()]
    for left, right in zip(extended.scores, uninterrupted, strict=True):
        assert {**left, "seconds": 0} == {**right, "seconds": 0}
    assert [step for step, _ in curves(extended)["valid/accuracy"]] == [3, 6]
    assert len(list((extended.folder / "vdl").iterdir())) == 1, "VisualDL shows only one file of a folder"


def test_a_dry_run_prints_the_plan_and_writes_nothing(work):
    launched = calling.train("tones_cnn6.yaml", *OVERRIDES, "--dry-run", cwd=work)
    assert launched.exit_code == 0, str(launched)
    assert "run        runs/tiny" in launched.output
    assert "length     1 epochs of 3 steps" in launched.output
    assert list(work.iterdir()) == []


def test_a_dry_run_refuses_a_stage_that_the_network_lacks(work):
    launched = calling.train("tones_cnn6.yaml", *OVERRIDES, "--dry-run", "train.freeze=[conv_block9]", cwd=work)
    assert launched.exit_code == 2, str(launched)
    assert "unknown stage 'conv_block9' in train.freeze\n  closest: conv_block" in launched.output
    assert "Traceback" not in launched.output


def test_an_evaluation_skips_the_clips_that_training_would_skip(run, work):
    tones = Tones(TonesParams(clips_per_class=2, classes=3))
    rows = ["path,label,split"]
    for number, clip in enumerate(tones.clips("train")):
        samples, rate_hz = clip.source.samples()
        soundfile.write(work / f"{number}.wav", samples[:2000] if number == 0 else samples, rate_hz)
        rows.append(f"{number}.wav,{clip.labels[0]},{'train' if number == 5 else 'valid'}")
    (work / "clips.csv").write_text("\n".join(rows))
    (work / "labels.txt").write_text("\n".join(tones.labels))
    order = ["evaluate", "--model", run.folder / "best_model", "-c", launching.CONFIGS / "tones_cnn6.yaml"]
    manifest = ["data.name=manifest", "data.params.path=clips.csv", "data.params.labels=labels.txt"]
    launched = calling.pannsdist(*order, *manifest, "data.on_bad_clip=skip", cwd=work)
    assert launched.exit_code == 0, str(launched)
    assert "0.wav): it lasts 0.062 s, less than the minimum of 0.150 s" in str(launched)
