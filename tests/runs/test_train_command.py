"""`pannsdist train`: what the terminal shows and the exit code, of a run that is stopped, loses a process and ends."""

import os
import re
import signal
import stat
import time
from dataclasses import dataclass
from pathlib import Path

import calling
import launching
import psutil
import pytest

from pannsdist.training.checkpoint import CheckpointStore

SETTINGS = (
    "name=tiny",
    "model.name=tiny",
    "data.name=noted",
    "data.workers=0",
    "train.batch_size=4",
    "train.crop_s=0.3",
    "train.epochs=20",
    "valid.batch_size=1",
    "save.every_steps=1",
    "log.every_steps=4",
)
COMMAND = ("train", "-c", "recipe:tones_cnn6", "--nproc", "2", *SETTINGS)
TYPED = f"pannsdist {' '.join(COMMAND)}"


@dataclass(frozen=True)
class Starts:
    """The same command, started in an empty folder, stopped by SIGTERM and by Ctrl-C, and with a process killed."""

    work: Path
    terminated: launching.Launched
    interrupted: launching.Launched
    killed: launching.Launched
    steps: tuple[int, ...]


@pytest.fixture(scope="module")
def starts(tmp_path_factory, env):
    work = tmp_path_factory.mktemp("train") / "work"
    work.mkdir()
    steps, ends = [0], []
    for stop in (terminate, press_ctrl_c, kill_rank_1):
        started = launching.start("-m", "pannsdist", *COMMAND, processes=0, cwd=work, env=env)
        wait_for_step(started, work, steps[-1] + 2)
        stop(started.process)
        ends.append(started.finish())
        steps.append(latest_step(work))
    return Starts(work, *ends, tuple(steps[1:]))


def terminate(process):
    for _ in range(2):
        process.send_signal(signal.SIGTERM)
        time.sleep(0.1)


def press_ctrl_c(process):
    os.killpg(process.pid, signal.SIGINT)


def kill_rank_1(process):
    """The second of the processes that the launcher, the only child, has started."""
    (paddle,) = psutil.Process(process.pid).children()
    ranks = {child.environ()["PADDLE_TRAINER_ID"]: child for child in paddle.children()}
    ranks["1"].kill()


def latest_step(work):
    folders = CheckpointStore(work / "runs" / "tiny" / "checkpoints", keep=1).folders
    return int(folders[-1].name.removeprefix("step_")) if folders else 0


def wait_for_step(started, work, step):
    limit = time.monotonic() + launching.LIMIT_S
    while latest_step(work) < step:
        assert started.process.poll() is None, str(started.finish())
        assert time.monotonic() < limit, f"no checkpoint in {launching.LIMIT_S:.0f} s"
        time.sleep(0.02)


def test_the_terminal_shows_rank_0_alone(starts):
    lines = starts.terminated.output.splitlines()
    assert lines[0] == "2 processes on the CPU (--nproc); logs: runs/tiny/log"
    assert lines[1] == "run        runs/tiny"
    every = (starts.terminated, starts.interrupted, starts.killed)
    assert any(re.search(r"epoch \d  step \d/6  loss ", launched.output) for launched in every)
    for launched in every:
        assert len(re.findall("^run  ", launched.output, re.MULTILINE)) == 1
        assert not re.search(r"LAUNCH|tcp_store|FLAGS|Container|Traceback|ccache", launched.output), str(launched)


@pytest.mark.parametrize("how", ["terminated", "interrupted"])
def test_a_signal_stops_the_run_once_and_the_last_line_is_the_command_that_continues_it(starts, how):
    launched = getattr(starts, how)
    assert launched.exit_code == os.EX_TEMPFAIL == 75, str(launched)
    stopped, right, command = launched.output.splitlines()[-3:]
    step = starts.steps[how == "interrupted"]
    assert re.match(rf"stopped .*, as requested: saved in checkpoints/step_{step:08d}$", stopped), str(launched)
    assert right.startswith("  ")
    assert command == f"  next: {TYPED}"


def test_the_same_command_continues(starts):
    assert "starts from random weights" in starts.terminated.output
    for launched in (starts.interrupted, starts.killed):
        assert re.search("^resumes (in|after) epoch ", launched.output, re.MULTILINE), str(launched)


def test_a_process_that_was_killed_is_named_and_the_code_says_that_the_run_can_continue(starts):
    assert starts.killed.exit_code == 75, str(starts.killed)
    said = starts.killed.output
    assert "error: the process of rank 1 has ended\n  its log: " in said, "what rank 0 says"
    last = said[said.rindex("\nerror: ") + 1 :]
    named = r"error: the process of rank 1 was killed( by SIGKILL)?\n  log: runs/tiny/log/workerlog.1\n"
    assert re.match(named, last), last
    assert said.endswith(f"  next: {TYPED}\n")


def test_the_logs_are_private_and_what_the_launcher_says_is_among_them(starts):
    folder = starts.work / "runs" / "tiny" / "log"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {"launcher.log", "workerlog.0", "workerlog.1", "exit_code.0"} <= {path.name for path in folder.iterdir()}
    said = (folder / "launcher.log").read_text()
    assert re.search(r"Container rank [01] status failed", said)  # the one that it saw first
    assert stat.S_IMODE((folder.parent / "settings.yaml").stat().st_mode) == 0o666 & ~umask()
    assert {path.name for path in starts.work.iterdir()} == {"runs"}


def umask():
    found = os.umask(0o022)
    os.umask(found)
    return found


def test_one_process_goes_on_without_the_launcher(starts, env):
    again = [*COMMAND[:3], "--nproc", 1, *COMMAND[5:], "train.max_steps=1000"]
    dry = calling.pannsdist(*again, "--dry-run", cwd=starts.work, env=env)
    assert dry.exit_code == 0, str(dry)
    assert f" {launching.TRAIN} -c recipe:tones_cnn6 name=tiny " in dry.output.splitlines()[-1]
    launched = calling.pannsdist(*again, "train.epochs=20", cwd=starts.work, env=env)
    assert launched.exit_code == 0, str(launched)
    assert launched.output.splitlines()[0] == dry.output.splitlines()[0] == "1 process on the CPU (--nproc)"
    assert "resumes " in launched.output
    assert "best valid/accuracy " in launched.output


def test_a_mistake_of_one_process_is_on_the_terminal_with_its_rank(tmp_path, env):
    work = tmp_path / "work"
    (work / "note.1").mkdir(parents=True)  # rank 1 cannot write its note
    arguments = [item for item in COMMAND if "save." not in item]
    launched = launching.pannsdist(*arguments, cwd=work, env={**env, "NOTE": str(work / "note")})
    assert launched.exit_code not in (0, 75), str(launched)
    last = launched.output[launched.output.rindex("\nerror: ") + 1 :]
    assert last.startswith(f"error: the process of rank 1 ended with exit code {launched.exit_code}; its last lines:\n")
    assert "rank 1: " in last and "note.1" in last, str(launched)
    assert "log: runs/tiny/log/workerlog.1" in last


def test_the_logs_of_both_processes_are_merged(starts):
    printed = calling.pannsdist("logs", starts.work / "runs" / "tiny", cwd=starts.work)
    assert printed.exit_code == 0, printed.output
    lines = printed.output.splitlines()
    assert all(re.match(r"\d\d:\d\d:\d\d rank [01]  ", line) for line in lines), printed.output
    assert any("rank 0  epoch 1" in line for line in lines)
    assert lines == sorted(lines, key=lambda line: line[:8])
    only = calling.pannsdist("logs", starts.work / "runs" / "tiny", "--rank", 1, cwd=starts.work)
    assert only.output.splitlines() == [line for line in lines if " rank 1  " in line]
