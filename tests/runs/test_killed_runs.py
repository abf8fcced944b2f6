"""A run that is killed again and again, and comes to what it would have come to."""

import json
import random
import signal
import time
import warnings
from pathlib import Path

import launching
import numpy as np
import paddle
import psutil
import pytest
import tiny

from pannsdist.runtime.errors import EXIT_STOPPED
from pannsdist.training.checkpoint import CheckpointStore
from pannsdist.weights import read_paddle

SETTINGS = """\
name: killed
model: {name: tiny}
data: {name: tones, workers: 1, params: {classes: 3, clips_per_class: 8, valid_clips_per_class: 4, duration_s: 0.4,
  sample_rate_hz: 8000}}
train: {epochs: 32, batch_size: 4, crop_s: 0.3, ema_decay: 0.9, freeze: [body], unfreeze_epoch: 4}
augment: {gain: {}}
mixup: {alpha: 1.0, pairs: free}
valid: {batch_size: 2}
optimizer: {learning_rate: 0.01}
save: {every_steps: 1}
log: {every_steps: 4}
"""
MOMENTS = 20 if int(paddle.__version__.split(".")[0]) >= 3 else 5
STEPS_AHEAD, LONGEST_WAIT_S = 5, 0.3
"""A run is killed up to so many checkpoints after its first new one, and then up to so much later."""


def settings_file(work: Path) -> Path:
    path = work / "settings.yaml"
    path.write_text(SETTINGS)
    return path


def start(work: Path, env, processes=2) -> launching.Started:
    arguments = ("-c", settings_file(work))
    return launching.start(launching.TRAIN, *arguments, processes=processes, cwd=work, env=env)


def store(work: Path) -> CheckpointStore:
    return CheckpointStore(work / "runs" / "killed" / "checkpoints", keep=1)


def newest_step(work: Path) -> int:
    return max((int(path.name.removeprefix("step_")) for path in store(work).folders), default=0)


def wait_for_steps(started: launching.Started, work: Path, steps: int) -> None:
    """Return when there is a checkpoint of so many steps more, or the run has ended."""
    aim, limit = newest_step(work) + steps, time.monotonic() + launching.LIMIT_S
    while newest_step(work) < aim and started.process.poll() is None:
        assert time.monotonic() < limit, f"no checkpoint in {launching.LIMIT_S:.0f} s"
        time.sleep(0.01)


def trainings(started: launching.Started) -> dict[str, psutil.Process]:
    """The processes that train, by rank."""
    found = {}
    for process in psutil.Process(started.process.pid).children(recursive=True):
        try:
            if process.cmdline()[1:2] == [str(launching.TRAIN)]:
                found[process.environ()["PADDLE_TRAINER_ID"]] = process
        except (psutil.NoSuchProcess, psutil.ZombieProcess):
            continue
    return found


def kill_all(started: launching.Started, _: random.Random) -> None:
    started.kill()


def kill_one(started: launching.Started, dice: random.Random) -> None:
    ranks = trainings(started)
    if ranks:
        ranks[dice.choice(sorted(ranks))].kill()


def terminate(started: launching.Started, _: random.Random) -> None:
    started.process.send_signal(signal.SIGTERM)


def interrupt(started: launching.Started, _: random.Random) -> None:
    started.process.send_signal(signal.SIGINT)


def curves(work: Path) -> dict[str, dict[int, set[float]]]:
    """What VisualDL shows by tag and step; a set, since no step may have two values."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # VisualDL 2.5.3, at import
        from visualdl import LogReader
    found = {}
    for path in sorted((work / "runs" / "killed" / "vdl").iterdir()):
        reader = LogReader(file_path=str(path))
        for tag in reader.get_tags().get("scalar", ()):
            if tag.startswith("valid/") or tag in ("train/loss", "train/learning_rate"):
                for point in reader.get_data("scalar", tag):
                    found.setdefault(tag, {}).setdefault(point.id, set()).add(point.value)
    return found


def scores(work: Path) -> list[dict]:
    lines = (work / "runs" / "killed" / "scores.jsonl").read_text().splitlines()
    return [{**json.loads(line), "seconds": 0} for line in lines]


def assert_equal(left, right):
    assert left.keys() == right.keys()
    for name, value in left.items():
        np.testing.assert_array_equal(value, right[name], err_msg=name)


def assert_same(work: Path, straight: Path) -> None:
    """Whether two runs ended with the same: to the last bit, but for times."""
    one, other = (store(folder).load_latest().snapshot for folder in (work, straight))
    assert repr(one.progress) == repr(other.progress)
    assert_equal(one.model, other.model)
    assert_equal(one.optimizer, other.optimizer)
    assert scores(work) == scores(straight)
    assert curves(work) == curves(straight)
    names = [[path.name for path in store(folder).folders] for folder in (work, straight)]
    assert names[0] == names[1]
    models = [folder / "runs" / "killed" / "best_model" for folder in (work, straight)]
    assert_equal(*(read_paddle(folder / "model.pdparams") for folder in models))
    records = [json.loads((folder / "bundle.json").read_text()) for folder in models]
    assert records[0]["scores"] == records[1]["scores"]
    assert records[0]["epoch"] == records[1]["epoch"] == one.progress.best["epoch"]


@pytest.fixture(scope="module")
def env(tmp_path_factory):
    return tiny.install(tmp_path_factory.mktemp("tiny") / "site")


@pytest.fixture(scope="module")
def straight(tmp_path_factory, env):
    """The run as it is when nobody kills it."""
    work = tmp_path_factory.mktemp("straight") / "work"
    work.mkdir()
    launched = start(work, env).finish()
    assert launched.exit_codes == (0, 0), str(launched)
    return work


@pytest.mark.long
def test_a_run_that_is_killed_at_random_moments_ends_as_one_that_was_not(straight, env, tmp_path):
    """A seed decides the moments: soon after the start, or in the middle of it."""
    work = tmp_path / "work"
    work.mkdir()
    dice = random.Random(4)
    stopped = 0
    for moment in range(MOMENTS):
        way = (kill_all, kill_one, terminate, kill_all, interrupt)[moment % 5]
        is_early = moment % 5 == 3 and moment > 5
        started = start(work, env)
        if not is_early:
            wait_for_steps(started, work, 1 + dice.randrange(STEPS_AHEAD))
        time.sleep(dice.uniform(0, 5 if is_early else LONGEST_WAIT_S))
        assert started.process.poll() is None, f"it ended before it was killed for the {moment + 1}. time"
        way(started, dice)
        launched = started.finish()
        if way in (terminate, interrupt):
            assert launched.exit_codes == (EXIT_STOPPED, EXIT_STOPPED), str(launched)
            assert "as requested: saved in checkpoints/step_" in launched.logs[0], str(launched)
            stopped += 1
    assert stopped >= MOMENTS // 5
    launched = start(work, env).finish()
    assert launched.exit_codes == (0, 0), str(launched)
    assert "goes on after" in launched.logs[0]
    assert_same(work, straight)
