"""Runs that are stopped, run out of disk space, or whose loss is not finite: what is printed, and how they go on."""

import os
import re
import shutil
import signal
import time
from pathlib import Path

import calling
import launching
import psutil
import pytest
import small_disks

from pannsdist.runtime.errors import EXIT_STOPPED
from pannsdist.runtime.seeding import epoch_order
from pannsdist.training.checkpoint import MODEL_FILE, CheckpointStore
from pannsdist.training.run_length import RunLength

SETTINGS = """\
name: tiny
model: {name: tiny, params: {fragile: true}}
data: {name: noted, workers: 0}
train: {epochs: 20, batch_size: 4, crop_s: 0.3}
valid: {batch_size: 1}
optimizer: {learning_rate: 0.001}
save: {every_steps: 1}
log: {every_steps: 4}
"""
STEPS = 6
"""Of an epoch: 24 clips in batches of four."""


def settings_file(work):
    path = work / "settings.yaml"
    path.write_text(SETTINGS)
    return path


def start(work, env, *overrides, processes=2):
    arguments = ("-c", settings_file(work), *overrides)
    return launching.start(launching.TRAIN, *arguments, processes=processes, cwd=work, env=env)


def train(work, env, *overrides):
    return calling.train(settings_file(work), *overrides, cwd=work, env=env)


def training(work, *overrides):
    return launching.Command((launching.TRAIN, "-c", settings_file(work), *overrides), work)


def clips_after(steps):
    """The clips that the first epoch reads after so many steps."""
    names = [f"train/{label}/{number}" for label in ("high", "low") for number in range(12)]
    return [names[place] for place in epoch_order(len(names), seed=0, epoch=1)[4 * steps :]]


def one_silent_clip(work, _):
    return training(work, "data.params.silent=[train/high/3]", "train.epochs=2", "save.every_steps=null")


def all_silent(work, _):
    return training(work, f"data.params.silent=[{','.join(clips_after(0))}]", "train.max_bad_steps=3")


def silent_after_two_steps(work, _):
    return training(work, f"data.params.silent=[{','.join(clips_after(2))}]", "train.max_bad_steps=3")


def on_a_full_disk(work, fixture):
    fixture("disks").mount(work / "runs", "400k")
    return training(work, *ON_A_FULL_DISK)


ON_A_FULL_DISK = ("train.epochs=4", "save.keep=999")
IN_TURN = {
    "one silent clip": one_silent_clip,
    "all clips silent": all_silent,
    "all clips silent after two steps": silent_after_two_steps,
    "a full disk": on_a_full_disk,
}


def store(work):
    return CheckpointStore(work / "runs" / "tiny" / "checkpoints", keep=1)


def steps_of(work):
    return [int(path.name.removeprefix("step_")) for path in store(work).folders]


def wait_for_step(started, work, step):
    limit = time.monotonic() + launching.LIMIT_S
    while max(steps_of(work), default=0) < step:
        assert started.process.poll() is None, "it ended before it was stopped"
        assert time.monotonic() < limit, f"no checkpoint in {launching.LIMIT_S:.0f} s"
        time.sleep(0.01)


def clips_read(path):
    """The training clips that a process read, in order."""
    return [name for name in Path(path).read_text().splitlines() if name.startswith("train/")]


def test_a_run_of_two_processes_goes_on_in_one_with_the_same_clips_in_the_same_order(work, env, tmp_path):
    straight = tmp_path / "straight"
    straight.mkdir()
    launched = train(straight, {**env, "NOTE": "note"}, "train.epochs=5")
    assert launched.exit_code == 0, str(launched)
    expected = clips_read(straight / "note.0")
    assert len(expected) == 5 * STEPS * 4

    started = start(work, {**env, "NOTE": "two"}, "train.epochs=5")
    wait_for_step(started, work, 4)
    started.process.send_signal(signal.SIGTERM)
    launched = started.finish()
    assert launched.exit_codes == (EXIT_STOPPED, EXIT_STOPPED), str(launched)
    step = steps_of(work)[-1]
    where = f"in epoch {(step - 1) // STEPS + 1}, after step {(step - 1) % STEPS + 1} of {STEPS}"
    wheres = (where, f"after epoch {step // STEPS}")
    saved = f"as requested: saved in checkpoints/step_{step:08d}"
    assert re.search(rf"stopped ({'|'.join(wheres)})(, before its evaluation)?, {saved}", str(launched)), str(launched)
    assert "next: python -m paddle.distributed.launch --nproc_per_node 2 " in launched.logs[0]
    shards = [clips_read(work / f"two.{rank}") for rank in range(2)]
    together = [name for n in range(step) for shard in shards for name in shard[2 * n : 2 * n + 2]]
    assert together == expected[: 4 * step]

    launched = train(work, {**env, "NOTE": "one"}, "train.epochs=5")
    assert launched.exit_code == 0, str(launched)
    assert f"resumes {where}" in launched.output or f"resumes {wheres[1]}" in launched.output, str(launched)
    assert clips_read(work / "one.0") == expected[4 * step :]


def test_ctrl_c_in_a_terminal_reaches_workers_too_and_leaves_nothing_behind(work, env):
    started = start(work, env, "data.workers=2", processes=0)
    wait_for_step(started, work, 2)
    workers = psutil.Process(started.process.pid).children(recursive=True)
    assert len(workers) >= 2
    for _ in range(2):
        os.killpg(started.process.pid, signal.SIGINT)
        time.sleep(0.05)
    launched = started.finish()
    assert launched.exit_code == EXIT_STOPPED, str(launched)
    assert "Traceback" not in launched.output, str(launched)
    assert f"next: python {launching.TRAIN}" in launched.output
    _, alive = psutil.wait_procs(workers, timeout=60)
    assert alive == []


def test_the_workers_of_a_process_that_is_killed_do_not_outlive_it(work, env):
    started = start(work, env, "data.workers=2", processes=0)
    wait_for_step(started, work, 2)
    workers = psutil.Process(started.process.pid).children(recursive=True)
    started.process.kill()
    started.process.wait()
    _, alive = psutil.wait_procs(workers, timeout=60)
    assert alive == []


def test_a_damaged_checkpoint_is_named_and_the_one_before_it_is_used(work, env):
    launched = train(work, env, "train.max_steps=8", "save.keep=9")
    assert launched.exit_code == 0, str(launched)
    *_, before, _ = steps_of(work)
    (store(work).folder / "step_00000008" / MODEL_FILE).write_bytes(b"no weights")
    again = train(work, env, "train.max_steps=8", "save.keep=9")
    assert again.exit_code == 0, str(again)
    place = "runs/tiny/checkpoints/step_00000008"
    said = f"not used: {place} is damaged: {MODEL_FILE} was changed: its SHA-256 is not the one in SHA256SUMS"
    assert f"{said}; it is now step_00000008.damaged" in again.output
    assert (
        f"resumes {'after epoch 1' if before == STEPS else f'in epoch 2, after step {before - STEPS} of {STEPS}'}\n"
        in again.output
    )
    for path in store(work).folders:
        shutil.rmtree(path)
    shutil.copytree(store(work).folder / "step_00000008.damaged", store(work).folder / "step_00000008")
    none = train(work, env, "train.max_steps=8", "save.keep=9")
    assert none.exit_code == 2, str(none)
    assert "error: every checkpoint in runs/tiny/checkpoints is damaged" in none.output
    assert "to start again, remove that folder, or give the run another name, as name=NAME" in none.output


def test_steps_that_are_not_finite_are_skipped_by_both_and_their_clips_are_named(together):
    work, launched = together["one silent clip"].work, together["one silent clip"].launched
    assert launched.exit_codes == (0, 0), str(launched)
    lines = (work / "runs" / "tiny" / "bad_steps.txt").read_text().splitlines()
    assert len(lines) == 2, "once an epoch"
    for line in lines:
        assert "was skipped, its loss or gradient is not finite; its clips: " in line
        names = line.partition("its clips: ")[2].split(", ")
        assert len(names) == 4 and "train/high/3" in names
        assert line in launched.logs[0]
    assert "2 steps were skipped: runs/tiny/bad_steps.txt" in launched.logs[0]


@pytest.mark.parametrize(
    ("name", "steps"), [("all clips silent", "1 to 3"), ("all clips silent after two steps", "3 to 5")]
)
def test_too_many_of_them_stop_both_and_name_the_last_good_checkpoint(together, name, steps):
    work, launched = together[name].work, together[name].launched
    assert launched.exit_codes == (2, 2), str(launched)
    wrong = f"error: the loss or the gradient was not finite in steps {steps}; all of them were skipped"
    assert wrong in launched.logs[0]
    assert not any("Traceback" in log for log in launched.logs), str(launched)
    named = re.search(r"the last good weights are in (checkpoints/step_0000000\d/model.pdparams)", launched.logs[0])
    if name == "all clips silent":
        assert named is None
        assert "no checkpoint was written before" in launched.logs[0]
    else:
        assert (work / "runs" / "tiny" / named[1]).is_file()


def test_a_full_disk_stops_both_and_the_run_goes_on_where_there_is_room(together, env):
    work, launched = together["a full disk"].work, together["a full disk"].launched
    if not os.path.ismount(work / "runs"):
        pytest.skip("needs the right to mount a disk; what the store does on a full one is tested without")
    assert launched.exit_codes == (2, 2), str(launched)
    assert re.search(r"error: cannot write runs/tiny/\S+: No space left on device", launched.logs[0]), str(launched)
    assert re.search(r"next: df -h runs/tiny", launched.logs[0]), str(launched)
    assert not any("Traceback" in log for log in launched.logs), str(launched)
    before = store(work).load_latest()
    assert before.snapshot is not None and before.damaged == {}
    small_disks.enlarge(work / "runs")
    again = train(work, env, *ON_A_FULL_DISK)
    assert again.exit_code == 0, str(again)
    progress = before.snapshot.progress
    assert f"resumes {RunLength(4, STEPS, 0, 1).position(progress.step, progress.evaluated_step)}\n" in again.output
    assert store(work).load_latest().snapshot.progress.step == 4 * STEPS
