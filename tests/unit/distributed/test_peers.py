"""Whether another process has ended, and what becomes of the errors that its end causes."""

import subprocess
import sys
from pathlib import Path

import pytest

from pannsdist.distributed.peers import ended, own_process_id, reporting_lost_peers
from pannsdist.runtime.errors import EXIT_STOPPED, PeerLost, UserError

SLEEPING = [sys.executable, "-c", "import time; time.sleep(600)"]


@pytest.fixture
def other():
    """Another process and its identity."""
    process = subprocess.Popen(SLEEPING)
    machine, _, _ = own_process_id()
    started = (machine, process.pid, own_start_of(process.pid))
    yield process, started
    process.kill()
    process.wait()


def own_start_of(number):
    return Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[19]


def test_a_process_that_is_running_has_not_ended(other):
    assert ended([own_process_id(), other[1]]) is None


def test_a_killed_process_has_ended_before_and_after_its_parent_knows(other):
    process, started = other
    process.kill()
    while process.poll() is None and ended([own_process_id(), started]) is None:
        pass
    assert ended([own_process_id(), started]) == 1
    process.wait()
    assert ended([own_process_id(), started]) == 1


def test_another_process_with_its_number_is_not_the_same(other):
    machine, number, start = other[1]
    assert ended([own_process_id(), (machine, number, f"{start}1")]) == 1


def test_nothing_is_known_of_a_process_on_another_machine():
    assert ended([own_process_id(), ("elsewhere", 2**22 + 1, "0"), None]) is None


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
def test_a_lost_connection_is_a_lost_peer(monkeypatch, error):
    monkeypatch.setattr("pannsdist.distributed.peers.END_DELAY_S", 0)
    with pytest.raises(PeerLost) as raised, reporting_lost_peers([own_process_id()]):
        raise error
    assert "the connection to another of the 1 processes was lost: " in raised.value.wrong
    assert "the same command continues" in raised.value.right


def test_whatever_is_raised_once_a_process_has_ended_names_its_rank(other):
    process, started = other
    process.kill()
    process.wait()
    with pytest.raises(PeerLost, match="the process of rank 1 has ended"), reporting_lost_peers([None, started]):
        raise RuntimeError("(External) anything")


@pytest.mark.parametrize("error", [KeyError("x"), UserError("wrong"), MemoryError("out of memory")])
def test_another_error_stays_what_it_is(monkeypatch, other, error):
    monkeypatch.setattr("pannsdist.distributed.peers.END_DELAY_S", 0)
    with pytest.raises(type(error)), reporting_lost_peers([own_process_id(), other[1]]):
        raise error


def test_a_lost_peer_ends_a_process_so_that_it_can_be_continued(capsys):
    from pannsdist.runtime import console

    def work():
        raise PeerLost("the process of rank 1 has ended", "the same command continues", "train")

    assert console.exit_code(work) == EXIT_STOPPED
    assert capsys.readouterr().err == (
        "error: the process of rank 1 has ended\n  the same command continues\n  next: train\n"
    )
