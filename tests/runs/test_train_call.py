"""`pannsdist.train` in a process of its own: with several processes, and from a script without a guard."""

import os
import re
import signal

import launching
import pytest
from test_train_command import wait_for_step

SCRIPT = """
import sys
import pannsdist
from pannsdist.runtime.errors import Stopped

settings = {
    "base": "recipe:tones_cnn6", "name": "tiny", "model": {"name": "tiny"},
    "data": {"name": "noted", "workers": 0}, "train": {"batch_size": 4, "crop_s": 0.3, "epochs": 20},
    "valid": {"batch_size": 1}, "save": {"every_steps": 1}, "trackers": {"visualdl": None},
}
print("begins")
try:
    pannsdist.train(settings, processes=2)
except Stopped as stopped:
    print("caught", repr(stopped.wrong), repr(stopped.right))
print(pannsdist.train(settings, ["train.epochs=21", "data.workers=1"]))
"""


@pytest.fixture(scope="module")
def stopped(tmp_path_factory, env):
    work = tmp_path_factory.mktemp("call")
    (work / "script.py").write_text(SCRIPT, encoding="utf-8")
    started = launching.start("script.py", processes=0, cwd=work, env=env)
    wait_for_step(started, work, 2)
    os.kill(started.process.pid, signal.SIGINT)
    return started.finish()


def test_several_processes_are_started_stopped_by_ctrl_c_and_continued_in_this_one(stopped):
    assert stopped.exit_code == 0, str(stopped)
    lines = stopped.output.splitlines()
    assert lines[:2] == ["begins", "2 processes on the CPU (processes); logs: runs/tiny/log"]
    (caught,) = (line for line in lines if line.startswith("caught "))
    said = r"caught 'stopped .*, as requested: saved in checkpoints/step_\d+' 'the same call continues from there'"
    assert re.fullmatch(said, caught), str(stopped)
    assert "  next: the same call of pannsdist.train" in lines
    after = stopped.output[stopped.output.index("caught ") :]
    assert re.search("^resumes (in|after) epoch ", after, re.MULTILINE), str(stopped)
    assert lines[-1].startswith("<Run runs/tiny: 21 epochs, best valid/accuracy "), str(stopped)


def test_a_script_without_a_guard_runs_once_though_it_has_data_workers(stopped):
    assert stopped.output.count("begins\n") == 1
