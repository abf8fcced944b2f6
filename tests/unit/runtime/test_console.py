"""Console output and exit codes."""

import os
import signal
import subprocess
import sys

import pytest

from pannsdist.runtime import console, launcher
from pannsdist.runtime.errors import UserError


def raising(error):
    def work():
        raise error

    return work


def test_work_that_is_done_ends_with_0(capsys):
    assert console.exit_code(lambda: None) == 0
    assert capsys.readouterr() == ("", "")


def test_a_users_mistake_ends_with_2_and_no_traceback(capsys):
    assert console.exit_code(raising(UserError("wrong", "right", "command"))) == 2
    assert capsys.readouterr() == ("", "error: wrong\n  right\n  next: command\n")


def test_ctrl_c_ends_with_130_and_no_traceback(capsys):
    before = signal.getsignal(signal.SIGINT)
    try:
        assert console.exit_code(raising(KeyboardInterrupt())) == 128 + signal.SIGINT
    finally:
        signal.signal(signal.SIGINT, before)
    assert capsys.readouterr() == ("", "interrupted\n")


def test_a_mistake_of_ours_is_not_hidden():
    with pytest.raises(ZeroDivisionError):
        console.exit_code(raising(ZeroDivisionError()))


@pytest.mark.parametrize(("rank", "printed"), [("0", "words\n"), ("1", "")])
def test_only_rank_0_prints(monkeypatch, capsys, rank, printed):
    monkeypatch.setenv("PADDLE_TRAINER_ID", rank)
    console.print_main("words")
    assert capsys.readouterr().out == printed


VERDICT = """
import os, signal, sys, threading, time
from pannsdist.runtime import console
from pannsdist.runtime.errors import UserError

threading.Thread(target=time.sleep, args=(2,), daemon=True).start()
def work():
    with console.sigterm_delayed():
        if sys.argv[1] != "later":
            os.kill(os.getpid(), signal.SIGTERM)
        if sys.argv[1] == "refuse":
            raise UserError("wrong")
    print("still here", flush=True)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(5)
sys.exit(console.exit_code(work))
"""


@pytest.mark.parametrize(
    ("what", "code", "printed"),
    [("refuse", 2, ""), ("stop", 75, "stopped before training began\n"), ("later", -signal.SIGTERM, "still here\n")],
)
def test_the_launcher_cannot_end_a_process_before_its_verdict_but_afterwards_it_does(what, code, printed):
    environment = {**os.environ, "PADDLE_TRAINERS_NUM": "2", "PADDLE_TRAINER_ID": "0"}
    command = [sys.executable, "-c", VERDICT, what]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert (done.returncode, done.stdout.split("  ")[0]) == (code, printed)


def test_without_a_launcher_a_process_is_alone(monkeypatch):
    for name in ("PADDLE_TRAINER_ID", "PADDLE_TRAINERS_NUM", "PADDLE_LOG_DIR"):
        monkeypatch.delenv(name, raising=False)
    assert (launcher.rank(), launcher.size(), launcher.log_folder()) == (0, 1, None)


def test_the_launcher_says_who_a_process_is(monkeypatch, tmp_path):
    monkeypatch.setenv("PADDLE_TRAINER_ID", "2")
    monkeypatch.setenv("PADDLE_TRAINERS_NUM", "4")
    monkeypatch.setenv("PADDLE_LOG_DIR", str(tmp_path))
    assert (launcher.rank(), launcher.size(), launcher.log_folder()) == (2, 4, tmp_path)
