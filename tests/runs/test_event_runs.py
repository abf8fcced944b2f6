"""Runs that learn sound events: killed and resumed, the best model by a score of events, and what it answers."""

import json
import random
import shutil
import warnings

import calling
import event_sounds
import killing
import launching
import pytest

from pannsdist.contracts import Event
from pannsdist.contracts.event_files import LabelFiles, read_label_files
from pannsdist.contracts.sound_labels import sound_labels

EVENTS = """\
name: killed
task: events
model: {name: tiny_by_frame}
data: {name: manifest, workers: 1, params: {path: sounds/clips.jsonl, multi_label: true, unlisted: unlabelled}}
augment: {time_roll: {}, gain: {}}
mixup: {alpha: 0.2, pairs: free}
train: {epochs: 5, batch_size: 4, crop_s: 1.5, ema_decay: 0.9, accumulate_steps: 2}
events: {consistency_weight: 1.0, consistency_ramp_epochs: 2}
valid: {batch_size: 2, crop_s: 2.0}
optimizer: {learning_rate: 0.03}
metrics: {event_f1: {threshold: 0.4, collar_s: 0.1}, psds1: {}}
select: {metric: valid/event_f1}
save: {every_steps: 1}
log: {every_steps: 4, worst_clips: 1}
"""
"""Ten steps in each epoch. The moving average is the teacher, and the model that is evaluated and saved."""
STEPS = 10
FOLDS = (
    EVENTS.replace("name: killed", "name: folds")
    .replace("epochs: 5", "epochs: 2")
    .replace("unlisted: unlabelled", "unlisted: unlabelled, folds: 2, valid_fold: 1")
)
OTHER = EVENTS.replace("events: {", "events: {pooling: linear_softmax, ").replace("pairs: free", "pairs: panns")
OTHER = OTHER.replace("epochs: 5,", "epochs: 10, freeze: [body], unfreeze_epoch: 4, recompute: true,")
"""Five steps in each epoch, since two clips become one; in three of them the head alone learns."""


def placed(work):
    """The working folder, with sounds in it."""
    work.mkdir(exist_ok=True)
    if not (work / "sounds").exists():
        event_sounds.write(work / "sounds")
    return work


def in_one_go(work, _):
    return launching.Command((launching.TRAIN, "-c", killing.settings_file(placed(work), EVENTS)), work)


IN_TURN = {"a run with events in one go": in_one_go}


def kill_within_an_epoch(work, env):
    """Kill both processes between two evaluations; again where the last checkpoint is that of an evaluation."""
    while killing.newest_step(work) % STEPS == 0:
        started = killing.start(work, env, EVENTS)
        killing.wait_for_steps(started, work, STEPS + 3)
        assert started.process.poll() is None, f"it ended by itself\n{started.finish()}"
        started.kill()


@pytest.fixture(scope="module")
def straight(together):
    found = together["a run with events in one go"]
    assert found.launched.exit_codes == (0, 0), str(found.launched)
    return found.work


@pytest.fixture(scope="module")
def scores(straight):
    lines = (straight / "runs" / "killed" / "scores.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


@pytest.fixture(scope="module")
def best(straight):
    """The folder of the best model."""
    return straight / "runs" / "killed" / "best_model"


@pytest.fixture(scope="module")
def record(best):
    return json.loads((best / "bundle.json").read_text())


def test_a_run_with_events_that_is_killed_within_an_epoch_ends_as_one_that_was_not(straight, all_plugins, tmp_path):
    """With clips of all kinds, mixup, a shift in time, accumulation and a mean teacher."""
    work = placed(tmp_path / "work")
    kill_within_an_epoch(work, all_plugins)
    launched = killing.start(work, all_plugins, EVENTS).finish()
    assert launched.exit_codes == (0, 0), str(launched)
    assert "resumes " in launched.logs[0]
    killing.assert_same(work, straight)


@pytest.mark.long
def test_a_run_with_events_that_is_killed_in_every_way_ends_as_one_that_was_not(all_plugins, tmp_path):
    """With the other pooling, the other kind of mixup, recomputation, and a body that is frozen at first."""
    work, straight, dice = placed(tmp_path / "work"), placed(tmp_path / "straight"), random.Random(2)
    for way in (killing.kill_one, killing.terminate_one, killing.kill_all, killing.kill_one):
        killing.end(killing.start(work, all_plugins, OTHER), work, way, dice)
    for folder in (work, straight):
        launched = killing.start(folder, all_plugins, OTHER).finish()
        assert launched.exit_codes == (0, 0), str(launched)
    killing.assert_same(work, straight)


def test_the_best_model_is_that_of_the_highest_score_of_events(scores, record):
    found = [line["valid/event_f1"] for line in scores]
    assert len(found) == 5 and len(set(found)) > 2, found
    assert record["epoch"] == found.index(max(found)) + 1
    assert record["scores"]["valid/event_f1"] == max(found)


def test_evaluate_gives_every_score_of_the_best_epoch_again(straight, best, record, all_plugins):
    settings = best.parent / "settings.yaml"
    done = calling.pannsdist(
        "evaluate", "--model", best, "-c", settings, "--format", "json", cwd=straight, env=all_plugins
    )
    assert done.exit_code == 0, done.output
    again = json.loads(done.output[done.output.index("{") :])["scores"]
    written = {name: score for name, score in record["scores"].items() if name.startswith("valid/")}
    assert {name: again[name]["value"] for name in written} == written
    assert written["valid/event_f1"] > 0 and 0 <= written["valid/psds1"] <= 1


def test_what_detect_writes_has_the_score_of_events_that_the_run_wrote(straight, best, record, all_plugins, tmp_path):
    truth, found = detected(straight, best, all_plugins, tmp_path / "found.tsv", "--threshold", "0.4")
    assert event_f1(truth, found) == record["scores"]["valid/event_f1"]


def test_calibrate_fits_thresholds_and_filters_of_frames_and_detect_decides_by_them(straight, all_plugins, tmp_path):
    work, called = tmp_path / "work", {"env": all_plugins, "cwd": tmp_path / "work"}
    shutil.copytree(straight, work)
    done = calling.pannsdist("calibrate", "--model", "runs/killed", **called)
    assert done.exit_code == 0 and "threshold and median filter of each class" in done.output, done.output
    assert len(decisions(work / "runs" / "killed")["frame_thresholds"]) == 3
    args = ("--model", "runs/killed/best_model", "-c", "runs/killed/settings.yaml", "--format", "json")
    done = calling.pannsdist("evaluate", *args, **called)
    scores = json.loads(done.output[done.output.index("{") :])["scores"]
    truth, found = detected(work, work / "runs" / "killed" / "best_model", all_plugins, tmp_path / "found.tsv")
    assert scores["valid/decided_event_f1"]["value"] == pytest.approx(event_f1(truth, found, 0.2))
    assert scores["valid/decided_event_f1"]["value"] > 0


def test_each_fold_has_decisions_on_frames_of_the_other_folds(all_plugins, tmp_path):
    work = placed(tmp_path / "work")
    (work / "events.yaml").write_text(FOLDS, encoding="utf-8")
    done = calling.pannsdist("crossval", "-c", "events.yaml", "--final", cwd=work, env=all_plugins)
    assert done.exit_code == 0, done.output
    assert "next: pannsdist detect --model runs/folds/final/best_model" in done.output
    assert "event_f1 decided" in done.output
    found = decisions(work / "runs" / "folds" / "fold_1")
    assert (found["fitted_on"], len(found["frame_thresholds"])) == ("other folds: fold_2", 3)
    assert len(decisions(work / "runs" / "folds" / "final")["frame_thresholds"]) == 3


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (("--split", "train"), "--split train has the clips that the model trained on"),
        (("data.params.folds=2", "data.params.valid_fold=1"), "clips of valid, such as"),
    ],
)
def test_thresholds_are_not_fitted_on_clips_of_the_training(straight, best, all_plugins, changes, said):
    before = launching.contents(best)
    done = calling.pannsdist("calibrate", "--model", best.parent, *changes, cwd=straight, env=all_plugins)
    assert done.exit_code == 2 and said in done.output, done.output
    assert "Traceback" not in done.output
    assert launching.contents(best) == before


def detected(work, model, env, table, *args):
    """The events of each strongly labelled clip of `valid`, by its name: those in the manifest, and those of detect."""
    rows = [json.loads(line) for line in (work / "sounds" / "clips.jsonl").read_text().splitlines()]
    strong = {row["path"]: row["events"] for row in rows if row["split"] == "valid" and "events" in row}
    files = [work / "sounds" / name for name in strong]
    done = calling.pannsdist(
        "detect", "--model", model, *args, "--format", "dcase", "-o", table, *files, cwd=work, env=env
    )
    assert done.exit_code == 0, done.output
    labels = sound_labels(read_label_files(LabelFiles([table])))
    assert len(labels) == len(strong)
    names = [name.rpartition("/")[2] for name in labels.names]
    found = {name: labels.events.row(row, labels.label_names) for row, name in enumerate(names)}
    return {name: [Event(**event) for event in events] for name, events in strong.items()}, found


def decisions(run):
    return json.loads((run / "best_model" / "bundle.json").read_text())["decisions"]


def event_f1(truth, found, collar_s=0.1):
    """The mean over classes of the F1 of events with a collar, by sed_eval alone."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import sed_eval
    labels = sorted({event.label for events in truth.values() for event in events})
    scorer = sed_eval.sound_event.EventBasedMetrics(
        event_label_list=labels, t_collar=collar_s, percentage_of_length=0.2, empty_system_output_handling="zero_score"
    )
    for name in sorted(truth):
        pair = [
            [{"onset": one.onset_s, "offset": one.offset_s, "event_label": one.label} for one in events]
            for events in (truth[name], found[name])
        ]
        if any(pair):
            scorer.evaluate(*pair)
    return scorer.results_class_wise_average_metrics()["f_measure"]["f_measure"]
