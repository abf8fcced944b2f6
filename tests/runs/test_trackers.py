"""Runs of two processes that are watched in several places, stopped, and gone on with; and trackers that fail."""

import json
import warnings

import calling
import launching
import pytest

from pannsdist.runtime.errors import EXIT_USER_ERROR
from pannsdist.training.checkpoint import CheckpointStore

SETTINGS = """\
name: watched
model: {name: tiny}
data: {name: noted, workers: 0}
train: {epochs: 12, batch_size: 4, crop_s: 0.3}
optimizer: {learning_rate: 0.001}
save: {every_steps: 1}
log: {every_steps: 2, worst_clips: 1}
"""
LAST = 12 * 6
"""Step of the killed run: 24 clips in batches of four make an epoch."""
LOSS = "train/loss"


def settings_file(work):
    path = work / "settings.yaml"
    path.write_text(SETTINGS)
    return path


def planned(*overrides):
    return lambda work, _: launching.Command((launching.TRAIN, "-c", settings_file(work), *overrides), work)


IN_TURN = {
    "a tracker that cannot be opened": planned("trackers.faulty.fault=open"),
    "a tracker that fails on the way": planned("trackers.faulty.fault=steps", "train.epochs=2"),
}


def steps_of(work):
    store = CheckpointStore(work / "runs" / "watched" / "checkpoints", keep=1)
    return [int(path.name.removeprefix("step_")) for path in store.folders]


def in_visualdl(folder, tag):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # VisualDL 2.5.3, at import
        from visualdl import LogReader
    (path,) = (folder / "vdl").iterdir()
    return [(point.id, point.value) for point in LogReader(file_path=str(path)).get_data("scalar", tag)]


def in_tensorboard(folder, tag):
    from pannsdist_tensorboard.events import read_events

    (path,) = (folder / "tensorboard").iterdir()
    values = [(event.step, value) for event in read_events(path) for value in event.summary.value]
    return [(step, value.simple_value) for step, value in values if value.tag == tag]


def in_wandb(folder, tag):
    from wandb_file import history

    return [(step, values[tag]) for step, values in history(folder) if tag in values]


def test_a_run_that_is_stopped_and_killed_stands_in_every_tracker_once(killed):
    for name in ("pannsdist_tensorboard", "pannsdist_wandb"):
        pytest.importorskip(name, reason=f"pip install -e plugins/{name.replace('_', '-')}")
    launched = killed.launched
    assert launched.exit_codes == (0, 0), str(launched)
    folder = killed.work / "runs" / "killed"
    curves = [sorted(read(folder, LOSS)) for read in (in_visualdl, in_tensorboard, in_wandb)]
    for curve in curves:
        steps = [step for step, _ in curve]
        assert len(set(steps)) == len(steps)
        assert set(range(2, LAST + 1, 2)) <= set(steps)
        assert [value for _, value in curve] == [pytest.approx(value) for _, value in curves[0]]
    lines = [json.loads(line) for line in (folder / "scores.jsonl").read_text().splitlines()]
    scores = [(line["step"], pytest.approx(line["valid/loss"], rel=1e-6)) for line in lines]
    for read in (in_visualdl, in_tensorboard, in_wandb):
        assert read(folder, "valid/loss") == scores
    said = launched.logs[0].splitlines()
    for look in (
        "visualdl --logdir {}/vdl",
        "tensorboard --logdir {}/tensorboard",
        "wandb sync {}/wandb/offline-run-*",
    ):
        assert f"        {look.format('runs/killed')}" in said
    assert "tracker" not in launched.logs[1]


@pytest.mark.any_paddle
def test_a_tracker_that_cannot_be_opened_ends_every_process_before_the_first_step(together):
    work, launched = (
        together["a tracker that cannot be opened"].work,
        together["a tracker that cannot be opened"].launched,
    )
    assert launched.exit_codes == (EXIT_USER_ERROR, EXIT_USER_ERROR), str(launched)
    said = launched.logs[0]
    wrong = "tracker plugin 'faulty' of faulty-trackers 1.0 cannot be opened: ZeroDivisionError: division by zero"
    assert wrong in said
    assert "trackers.faulty=null disables it" in said
    assert "Traceback" not in str(launched)
    assert "step 2/6" not in said
    assert steps_of(work) == []


@pytest.mark.any_paddle
def test_a_tracker_that_fails_on_the_way_is_named_and_the_run_comes_to_its_end(together):
    work, launched = (
        together["a tracker that fails on the way"].work,
        together["a tracker that fails on the way"].launched,
    )
    assert launched.exit_codes == (0, 0), str(launched)
    named = "faulty (faulty-trackers 1.0) failed at step 4: OSError: the server is gone"
    assert f"tracker {named}" in launched.logs[0]
    assert f"  {named}" in launched.logs[0].splitlines()[-2:][0] + launched.logs[0].splitlines()[-1]
    folder = work / "runs" / "watched"
    assert [step for step, _ in in_visualdl(folder, LOSS)] == [2, 4, 6, 8, 10, 12]
    assert steps_of(work)[-1] == 12


@pytest.mark.any_paddle
def test_a_run_that_nobody_watches_has_its_own_files(work, env):
    launched = calling.train(settings_file(work), "trackers.visualdl=null", "train.epochs=1", cwd=work, env=env)
    assert launched.exit_code == 0, str(launched)
    assert "trackers   none; scores are in the run folder" in launched.output
    assert not (work / "runs" / "watched" / "vdl").exists()
    assert (work / "runs" / "watched" / "scores.jsonl").exists()


@pytest.mark.any_paddle
def test_an_unknown_tracker_is_refused_with_the_nearest_name(work, env):
    launched = calling.train(settings_file(work), "trackers.visualdll={}", cwd=work, env=env)
    assert launched.exit_code == EXIT_USER_ERROR, str(launched)
    assert "unknown tracker 'visualdll' (trackers on the command line)" in launched.output
    assert "closest: visualdl." in launched.output
