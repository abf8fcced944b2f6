"""Runs of two processes that are stopped or killed at seeded moments, and compared with one that was not."""

import importlib.util
import json
import random
import signal
import time
import warnings
from dataclasses import dataclass
from pathlib import Path

import launching
import numpy as np
import psutil

from pannsdist.runtime.errors import EXIT_STOPPED
from pannsdist.training.checkpoint import CheckpointStore
from pannsdist.weights import read_paddle

COMMON = """\
name: killed
model: {name: tiny}
data: {name: tones, workers: 1, params: {classes: 3, clips_per_class: 8, valid_clips_per_class: 4, duration_s: 0.4,
  sample_rate_hz: 8000}}
augment: {gain: {}}
mixup: {alpha: 1.0, pairs: free}
valid: {batch_size: 2}
save: {every_steps: 1}
"""
LONG = (
    COMMON
    + """\
train: {epochs: 32, batch_size: 4, crop_s: 0.3, ema_decay: 0.9, freeze: [body], unfreeze_epoch: 4}
optimizer: {learning_rate: 0.01}
log: {every_steps: 4}
"""
)
SHORT = (
    COMMON
    + """\
train: {epochs: 12, batch_size: 4, crop_s: 0.3, ema_decay: 0.9, freeze: [body], unfreeze_epoch: 2, clip_norm: 1.0}
metrics: {margin: {}}
select: {metric: valid/margin}
optimizer: {name: nudge, learning_rate: 0.05, params: {keep: 0.7}, layer_decay: 0.5}
schedule: {name: saw, params: {low: 0.1}, warmup_steps: 3}
log: {every_steps: 2, worst_clips: 1}
"""
)
"""With the optimizer, the schedule and the metric of another distribution, `tiny_training_plugins`."""
STEPS_AHEAD, LONGEST_WAIT_S = 5, 0.3
"""A run is killed up to so many checkpoints after its first new one, and then up to so much later."""


def settings_file(work: Path, text: str) -> Path:
    work.mkdir(exist_ok=True)
    path = work / "settings.yaml"
    path.write_text(text)
    return path


def in_one_go(work: Path, _) -> launching.Command:
    """The short form when nobody kills it: a command for IN_TURN."""
    return launching.Command((launching.TRAIN, "-c", settings_file(work, SHORT)), work)


def start(work: Path, env, text: str, *overrides: str, processes=2) -> launching.Started:
    arguments = ("-c", settings_file(work, text), *overrides)
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


def ranks_of(started: launching.Started) -> dict[str, psutil.Process]:
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
    ranks = ranks_of(started)
    if ranks:
        ranks[dice.choice(sorted(ranks))].kill()


def terminate(started: launching.Started, _: random.Random) -> None:
    started.process.send_signal(signal.SIGTERM)


def terminate_one(started: launching.Started, dice: random.Random) -> None:
    ranks = ranks_of(started)
    ranks[dice.choice(sorted(ranks))].terminate()


def interrupt(started: launching.Started, _: random.Random) -> None:
    started.process.send_signal(signal.SIGINT)


STOPPING = (terminate, terminate_one, interrupt)


@dataclass(frozen=True)
class Killed:
    """The working folder, the command's outcome where it was asked to stop, where it lost a process, and at last."""

    work: Path
    stopped: list[launching.Launched]
    lost: launching.Launched
    launched: launching.Launched


def killed_run(work: Path, env) -> Killed:
    """The short form: stopped in one process, killed in one, killed as a whole. Every installed tracker watches."""
    plugins = {name: f"pannsdist_{name}" for name in ("tensorboard", "wandb")}
    trackers = [f"trackers.{name}={{}}" for name, module in plugins.items() if importlib.util.find_spec(module)]
    dice = random.Random(4)
    ways = (terminate_one, kill_one, kill_all)
    stopped, lost, _ = (end(start(work, env, SHORT, *trackers), work, way, dice) for way in ways)
    return Killed(work, [stopped], lost, start(work, env, SHORT, *trackers).finish())


def end(started: launching.Started, work: Path, way, dice: random.Random, is_early: bool = False) -> launching.Launched:
    """End a run at a moment that the dice choose: soon after its start, or in the middle of it."""
    if not is_early:
        wait_for_steps(started, work, 1 + dice.randrange(STEPS_AHEAD))
    time.sleep(dice.uniform(0, 5 if is_early else LONGEST_WAIT_S))
    assert started.process.poll() is None, f"it ended by itself\n{started.finish()}"
    way(started, dice)
    return started.finish()


def assert_stopped(launched: launching.Launched) -> None:
    assert launched.exit_codes == (EXIT_STOPPED, EXIT_STOPPED), str(launched)
    assert "saved in checkpoints/step_" in launched.logs[0], str(launched)


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
