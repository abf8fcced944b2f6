"""What is added to a log file is shown, line by line, errors on standard error; and what ended the processes."""

from pathlib import Path

import pytest

from pannsdist.run.launching.job_pool import Job, JobResult
from pannsdist.run.launching.one_node import Relay, ending_of
from pannsdist.run.launching.ranks import Culprit
from pannsdist.runtime.errors import BadDataset, PeerLost, Stopped, UserError


def test_new_lines_are_shown_as_soon_as_they_are_complete_and_noise_is_not(tmp_path, capsys):
    log, job = tmp_path / "workerlog.0", Job("run", (), tmp_path / "launcher.log")
    log.write_text("of an earlier start\n")
    relay = Relay(log)

    def added(text):
        with log.open("a", encoding="utf-8") as file:
            file.write(text)
        relay.on_poll(job)
        return capsys.readouterr()

    assert added("one\nüb") == ("one\n", "")
    assert added("er\n") == ("über\n", "")
    noise = "I1128 07:57:48.279486 21865 tcp_store.cc:336] create libuv server at port: 37508\n======\n"
    assert added(f"{noise}two\n") == ("two\n", "")
    assert added("") == ("", "")
    assert added("error: wrong\n  right\n  next: try\nthe end") == ("", "error: wrong\n  right\n  next: try\n")
    relay.on_end(JobResult(job, 2, ""))
    assert capsys.readouterr() == ("the end", "")
    assert [result.exit_code for result in relay.results] == [2]


def test_a_log_that_is_not_there_yet_is_waited_for(tmp_path, capsys):
    relay, job = Relay(tmp_path / "workerlog.0"), Job("run", (), tmp_path / "launcher.log")
    relay.on_poll(job)
    (tmp_path / "workerlog.0").write_text("first\n")
    relay.on_poll(job)
    assert capsys.readouterr() == ("first\n", "")


STOP = Stopped("stopped after step 3 of 9, as requested: saved in checkpoints/step_00000003", "from there")
WRONG = BadDataset("clips.csv, line 3: no file", "right", "ls")


def of_rank(rank, code, error=None, last="a line", by=None):
    return Culprit(rank, code, by, error, last, Path("log"))


@pytest.mark.parametrize(
    ("code", "culprit", "noted", "kind", "wrong"),
    [
        (75, None, STOP, Stopped, "stopped after step 3 of 9"),
        (75, None, PeerLost("rank 1 is gone"), PeerLost, "rank 1 is gone"),
        (75, None, None, Stopped, "stopped, as requested"),
        (2, of_rank(0, 2, WRONG), WRONG, BadDataset, "clips.csv, line 3: no file"),
        (1, of_rank(0, 1, None, "KeyError: 3"), None, UserError, "KeyError: 3"),
        (3, of_rank(1, 3), STOP, UserError, "the process of rank 1 ended with exit code 3; its last lines"),
        (2, of_rank(1, 2, WRONG), STOP, UserError, "rank 1: clips.csv, line 3: no file\nrank 1:   right"),
        (75, of_rank(1, None, None, "", 9), STOP, PeerLost, "the process of rank 1 was killed by SIGKILL"),
        (1, of_rank(0, None, None, ""), None, UserError, "ended with exit code 1; its last lines:\nno port"),
    ],
)
def test_an_ending_has_the_error_for_a_caller_in_python(code, culprit, noted, kind, wrong):
    result = JobResult(Job("run", (), Path("launcher.log")), code, "no port\n", culprit, noted)
    ending = ending_of(result, "train again")
    assert (type(ending.error), ending.exit_code) == (kind, code)
    assert ending.is_printed == (culprit is None or (culprit.code is not None and culprit.rank == 0))
    assert wrong in ending.error.wrong


def test_a_finished_run_is_no_exception():
    assert ending_of(JobResult(Job("run", (), Path()), 0, ""), "train").error is None
