"""What is added to a log file is shown, line by line, and errors on standard error."""

import pytest

from pannsdist.run.launching.job_pool import Job, JobResult
from pannsdist.run.launching.one_node import CONTINUE, Ending, Relay
from pannsdist.runtime.errors import PeerLost, Stopped, UserError


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
    assert relay.printed.endswith("error: wrong\n  right\n  next: try\nthe end")


def test_a_log_that_is_not_there_yet_is_waited_for(tmp_path, capsys):
    relay, job = Relay(tmp_path / "workerlog.0"), Job("run", (), tmp_path / "launcher.log")
    relay.on_poll(job)
    (tmp_path / "workerlog.0").write_text("first\n")
    relay.on_poll(job)
    assert capsys.readouterr() == ("first\n", "")


STOP = "stopped after step 3 of 9, as requested: saved in checkpoints/step_00000003"


@pytest.mark.parametrize(
    ("ending", "kind", "wrong", "right"),
    [
        (Ending(75, f"epoch 1\n{STOP}\n  the same command\n", None), Stopped, STOP, CONTINUE),
        (Ending(75, "", None), Stopped, "stopped, as requested", CONTINUE),
        (Ending(75, "", Stopped("not saved", "again")), Stopped, "not saved", "again"),
        (Ending(75, "", UserError("rank 1 was killed", "log: a")), PeerLost, "rank 1 was killed", "log: a"),
        (Ending(1, "", UserError("rank 1 ended", "log: a")), UserError, "rank 1 ended", "log: a"),
        (Ending(2, "one\nerror: wrong\n  right\n  next: try\n", None), UserError, "wrong", "right\nnext: try"),
    ],
)
def test_an_ending_is_the_exception_for_a_caller_in_python(ending, kind, wrong, right):
    assert type(ending.error) is kind
    assert (ending.error.wrong, ending.error.right) == (wrong, right)


def test_a_finished_run_is_no_exception():
    assert Ending(0, "error: of a clip that was skipped\n", None).error is None
