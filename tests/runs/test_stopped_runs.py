"""Runs that are stopped, run out of disk or out of numbers: what is said, and how they go on."""

import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import launching
import psutil
import pytest
import tiny

from pannsdist.runtime.errors import EXIT_STOPPED
from pannsdist.training.checkpoint import MODEL_FILE, CheckpointStore

SETTINGS = """\
name: tiny
model: {name: tiny, params: {fragile: true}}
data: {name: heard, workers: 0}
train: {epochs: 20, batch_size: 4, crop_s: 0.3}
valid: {batch_size: 1}
optimizer: {learning_rate: 0.001}
save: {every_steps: 1}
log: {every_steps: 4}
"""
STEPS = 6
"""Of an epoch: 24 clips in batches of four."""


@pytest.fixture(scope="module")
def env(tmp_path_factory):
    return tiny.install(tmp_path_factory.mktemp("tiny") / "site")


def start(work, env, *overrides, processes=2):
    (work / "settings.yaml").write_text(SETTINGS)
    arguments = ("-c", work / "settings.yaml", *overrides)
    return launching.start(launching.TRAIN, *arguments, processes=processes, cwd=work, env=env)


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


def trainings(started):
    """The processes that train, by rank."""
    found = {}
    for process in psutil.Process(started.process.pid).children(recursive=True):
        if process.cmdline()[1:2] == [str(launching.TRAIN)]:
            found[int(process.environ()["PADDLE_TRAINER_ID"])] = process
    return found


def heard(path):
    """The training clips that a process heard, in order."""
    return [name for name in Path(path).read_text().splitlines() if name.startswith("train/")]


def test_a_run_of_two_processes_goes_on_in_one_with_the_same_clips_in_the_same_order(work, env, tmp_path):
    straight = tmp_path / "straight"
    straight.mkdir()
    launched = start(straight, {**env, "NOTE": "note"}, "train.epochs=5", processes=0).finish()
    assert launched.exit_code == 0, str(launched)
    expected = heard(straight / "note.0")
    assert len(expected) == 5 * STEPS * 4

    started = start(work, {**env, "NOTE": "two"}, "train.epochs=5")
    wait_for_step(started, work, 4)
    started.process.send_signal(signal.SIGTERM)
    launched = started.finish()
    assert launched.exit_codes == (EXIT_STOPPED, EXIT_STOPPED), str(launched)
    step = steps_of(work)[-1]
    assert f"stopped after step {step} of {5 * STEPS}, as requested: saved in checkpoints/step_{step:08d}" in str(
        launched
    )
    assert "next: python -m paddle.distributed.launch --nproc_per_node 2 " in launched.logs[0]
    shares = [heard(work / f"two.{rank}") for rank in range(2)]
    together = [name for n in range(step) for share in shares for name in share[2 * n : 2 * n + 2]]
    assert together == expected[: 4 * step]

    launched = start(work, {**env, "NOTE": "one"}, "train.epochs=5", processes=0).finish()
    assert launched.exit_code == 0, str(launched)
    assert "goes on after" in launched.output
    assert heard(work / "one.0") == expected[4 * step :]


def test_a_signal_to_one_process_alone_stops_both(work, env):
    started = start(work, env)
    wait_for_step(started, work, 2)
    trainings(started)[1].send_signal(signal.SIGTERM)
    launched = started.finish()
    assert launched.exit_codes == (EXIT_STOPPED, EXIT_STOPPED), str(launched)


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
    launched = start(work, env, "train.max_steps=8", "save.keep=9", processes=0).finish()
    assert launched.exit_code == 0, str(launched)
    *_, before, _ = steps_of(work)
    (store(work).folder / "step_00000008" / MODEL_FILE).write_bytes(b"no weights")
    again = start(work, env, "train.max_steps=8", "save.keep=9", processes=0).finish()
    assert again.exit_code == 0, str(again)
    place = "runs/tiny/checkpoints/step_00000008"
    said = f"not used: {place} is damaged: {MODEL_FILE} was changed: its SHA-256 is not the one in SHA256SUMS"
    assert f"{said}; it is now step_00000008.damaged" in again.output
    assert f"goes on after {'epoch 1' if before == STEPS else f'step {before}'}\n" in again.output
    for path in store(work).folders:
        shutil.rmtree(path)
    shutil.copytree(store(work).folder / "step_00000008.damaged", store(work).folder / "step_00000008")
    none = start(work, env, "train.max_steps=8", "save.keep=9", processes=0).finish()
    assert none.exit_code == 2, str(none)
    assert "error: every checkpoint in runs/tiny/checkpoints is damaged" in none.output
    assert "to start again, remove that folder, or give the run another name, as name=NAME" in none.output


def test_steps_that_are_not_finite_are_skipped_by_both_and_their_clips_are_named(work, env):
    overrides = ("data.params.silent=[train/high/3]", "train.epochs=2", "save.every_steps=null")
    launched = start(work, env, *overrides).finish()
    assert launched.exit_codes == (0, 0), str(launched)
    lines = (work / "runs" / "tiny" / "bad_steps.txt").read_text().splitlines()
    assert len(lines) == 2, "once an epoch"
    for line in lines:
        assert "was skipped, its loss or gradient is not finite; its clips: " in line
        names = line.partition("its clips: ")[2].split(", ")
        assert len(names) == 4 and "train/high/3" in names
        assert line in launched.logs[0]
    assert "2 steps were skipped: runs/tiny/bad_steps.txt" in launched.logs[0]


def test_too_many_of_them_stop_both_with_the_last_good_checkpoint(work, env):
    silent = ",".join(f"train/{label}/{number}" for label in ("high", "low") for number in range(12))
    good = start(work, env, "train.max_steps=2", processes=0).finish()
    assert good.exit_code == 0, str(good)
    (work / "runs" / "tiny" / "settings.yaml").unlink()  # what follows is another run by its settings
    shutil.move(work / "runs" / "tiny", work / "kept")
    launched = start(work, env, f"data.params.silent=[{silent}]", "train.max_bad_steps=3").finish()
    assert (launched.exit_code, launched.exit_codes) == (2, (2, 2)), str(launched)
    said = "error: the loss or the gradient was not finite in steps 1 to 3; all of them were skipped"
    assert said in launched.logs[0]
    assert "no checkpoint was written before" in launched.logs[0]
    assert not any("Traceback" in log for log in launched.logs), str(launched)


@pytest.fixture
def small_disk(work):
    """`runs` on a disk of its own, that can be made larger."""
    runs = work / "runs"
    runs.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", str(runs)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("needs the right to mount a disk; what the store does on a full one is tested without")
    yield runs
    subprocess.run(["umount", "-l", str(runs)], check=True)


def test_a_full_disk_stops_both_and_the_run_goes_on_where_there_is_room(work, env, small_disk):
    overrides = ("train.epochs=4", "save.keep=999")
    launched = start(work, env, *overrides).finish()
    assert (launched.exit_code, launched.exit_codes) == (2, (2, 2)), str(launched)
    assert re.search(r"error: cannot write runs/tiny/\S+: No space left on device", launched.logs[0]), str(launched)
    assert re.search(r"next: df -h runs/tiny", launched.logs[0]), str(launched)
    assert not any("Traceback" in log for log in launched.logs), str(launched)
    before = store(work).load_latest()
    assert before.snapshot is not None and before.damaged == {}
    subprocess.run(["mount", "-o", "remount,size=64M", str(small_disk)], check=True)
    again = start(work, env, *overrides).finish()
    assert again.exit_codes == (0, 0), str(again)
    assert f"goes on after {before.snapshot.progress}" in again.logs[0]
    assert store(work).load_latest().snapshot.progress.step == 4 * STEPS
