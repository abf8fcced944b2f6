"""What becomes of the errors that the end of another process causes, and processes that a signal has stopped."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pannsdist.distributed.peers import continue_stopped, own_process_id, reporting_lost_peers
from pannsdist.distributed.verdict import ended
from pannsdist.runtime.errors import EXIT_STOPPED, PeerLost, UserError

LIMIT_S = 10.0
SLEEPING = [sys.executable, "-c", "import time; time.sleep(600)"]


@pytest.fixture
def stopped():
    """Another process that a signal has stopped, and its identity."""
    process = subprocess.Popen(SLEEPING)
    process.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, process.pid, os.WSTOPPED)
    machine, _, _ = own_process_id()
    yield process, (machine, process.pid, int(fields_of(process)[19]))
    process.kill()
    process.wait()


def fields_of(process):
    return Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()


def test_a_stopped_process_goes_on(stopped):
    process, identity = stopped
    continue_stopped(identity)
    limit = time.monotonic() + LIMIT_S
    while os.waitid(os.P_PID, process.pid, os.WCONTINUED | os.WNOHANG) is None:
        assert time.monotonic() < limit, "it is still stopped"
        time.sleep(0.01)


def test_no_other_process_is_continued_in_its_place(stopped):
    process, (machine, number, start) = stopped
    for other in ((machine, number, start + 1), ("elsewhere", number, start), (machine, 2**22 + 1, start), None):
        continue_stopped(other)
    assert fields_of(process)[0] == "T"


def nobody_known(_):
    return None


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("[../gloo/transport/tcp/pair.cc:576] Read error: Connection reset by peer"),
        RuntimeError("[../gloo/transport/tcp/pair.cc:584] TIMEOUT self_rank=0 pair_rank=1"),
        OSError("(External) NCCL error(6), remote process exited"),
        ValueError("(InvalidArgument) TCP receive error. Details: Connection reset by peer.\n [Hint: tcp_utils.h:97]"),
        ConnectionResetError(104, "Connection reset by peer"),
        TimeoutError("timed out"),
    ],
)
def test_a_lost_connection_is_a_lost_peer(error):
    with pytest.raises(PeerLost) as raised, reporting_lost_peers(nobody_known):
        raise error
    assert "the connection to another of the 1 processes was lost: " in raised.value.wrong
    assert "the same command continues" in raised.value.right


def test_whatever_is_raised_once_a_process_has_ended_names_its_rank():
    with (
        pytest.raises(PeerLost, match="the process of rank 1 has ended"),
        reporting_lost_peers(lambda _: ended(1)),
    ):
        raise RuntimeError("(External) anything")


@pytest.mark.parametrize("error", [KeyError("x"), UserError("wrong"), MemoryError("out of memory")])
def test_another_error_stays_what_it_is(error):
    with pytest.raises(type(error)), reporting_lost_peers(nobody_known):
        raise error


def test_a_lost_peer_ends_a_process_so_that_it_can_be_continued(capsys):
    from pannsdist.runtime import console

    def work():
        raise PeerLost("the process of rank 1 has ended", "the same command continues", "train")

    assert console.exit_code(work) == EXIT_STOPPED
    assert capsys.readouterr().err == (
        "error: the process of rank 1 has ended\n  the same command continues\n  next: train\n"
    )
