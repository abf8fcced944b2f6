"""The exit code of a run and the process that failed, from what the processes noted and the launcher said."""

import pytest

from pannsdist.run.launching.ranks import Ranks, message
from pannsdist.runtime import exit_codes
from pannsdist.runtime.errors import BadDataset

KILLED = (
    "LAUNCH ERROR 2026-01-01 Container failed !!!\n"
    "Container rank 1 status failed cmd ['python', 'train.py'] code -9 log log/workerlog.1 \n"
)


@pytest.fixture
def ranks(tmp_path, monkeypatch):
    """Two processes that have noted these codes, None for one that was killed; an earlier start noted others."""

    def made(*codes):
        monkeypatch.setenv(exit_codes.FOLDER, str(tmp_path))
        monkeypatch.setenv("PADDLE_TRAINERS_NUM", "2")
        for rank in range(2):
            (tmp_path / f"workerlog.{rank}").write_text("error: of an earlier start\n")
            (tmp_path / f"exit_code.{rank}").write_text("3\n")
            (tmp_path / f"error.{rank}").write_text('{"type": "UserError", "wrong": "of an earlier start"}')
        found = Ranks(tmp_path, 2)
        for rank, code in enumerate(codes):
            with (tmp_path / f"workerlog.{rank}").open("a") as log:
                log.write("error: of a clip that was skipped\nthe last line\n")
            monkeypatch.setenv("PADDLE_TRAINER_ID", str(rank))
            if code in (2, 75):
                exit_codes.note_error(BadDataset(f"of {rank}", "right"))
            if code is not None:
                exit_codes.note(code)
        return found

    return made


@pytest.mark.parametrize(
    ("codes", "of_launcher", "code", "culprit"),
    [
        ((0, 0), 0, 0, None),
        ((0, 0), 15, 0, None),  # a signal that came too late
        ((75, 75), 15, 75, None),
        ((75, 75), 2, 75, None),  # SIGINT to the launcher is no user error
        ((2, 2), 2, 2, 0),
        ((75, 2), 75, 2, 1),
        ((75, 1), 75, 1, 1),
        ((0, 7), 7, 7, 1),
        ((75, None), 75, 75, 1),
        ((None, 75), 247, 75, 0),
        ((None, None), 247, 137, 0),  # 247 is the launcher's -9
        ((None, None), -15, 143, 0),
        ((0, None), 0, 1, 1),
    ],
)
def test_the_code_of_a_run_is_that_of_its_processes(ranks, codes, of_launcher, code, culprit):
    found = ranks(*codes)
    assert found.true_code(of_launcher) == code
    named = found.culprit("")
    assert (named and named.rank) == culprit
    if named and named.code == 2:
        assert type(named.error) is BadDataset
        assert list(named.lines()) == [f"rank {culprit}: of {culprit}", f"rank {culprit}:   right"]
    elif named:  # a traceback, or nothing: no earlier message is taken for the cause
        assert named.error is None
        assert list(named.lines())[-1] == f"rank {culprit}: the last line"


def test_of_two_processes_that_are_gone_the_one_that_the_launcher_names_was_killed(ranks):
    assert str(ranks(None, None).culprit(KILLED)) == "the process of rank 1 was killed by SIGKILL"
    assert str(ranks(0, 3).culprit(KILLED)) == "the process of rank 1 ended with exit code 3"


def test_the_message_of_an_output_is_its_error_or_its_last_lines():
    assert message("plan\nerror: no\n  yes\n  next: try\nlaunch: Container failed\n") == "no\n  yes\n  next: try"
    assert message("".join(f"{n}\n" for n in range(40))).splitlines() == [str(n) for n in range(25, 40)]
    noise = "I1128 08:05:03.678571  1013 tcp_utils.cc:109] Retry\n=======\nFLAGS(name='FLAGS_a', current_value=1)\n"
    assert message(f"left\n{noise}") == "left"


def test_the_processes_of_a_later_node_have_their_number_there_in_their_files(tmp_path, monkeypatch):
    monkeypatch.setenv(exit_codes.FOLDER, str(tmp_path))
    found = Ranks(tmp_path, 2, first=4)
    monkeypatch.setenv("PADDLE_TRAINER_ID", "4")
    monkeypatch.setenv("PADDLE_LOCAL_RANK", "0")
    exit_codes.note(0)
    named = found.culprit(KILLED)
    assert (named.rank, named.signal) == (5, 9)
    assert named.log == tmp_path / "workerlog.1"
    assert found.true_code(247) == 137
