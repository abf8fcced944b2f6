"""Several processes at barriers, and what becomes of them once one hangs, ends or is a stranger: here threads."""

import json
import math
import re
import socket
import struct
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from types import SimpleNamespace

import pytest

from pannsdist.distributed import coordinator
from pannsdist.distributed.coordinator import Coordinator
from pannsdist.distributed.watch import Membership, Watch
from pannsdist.distributed.wire import MAX_BYTES, connected, listening
from pannsdist.runtime.errors import PeerLost

TOKEN = "token of the run"
LIMIT_S = 1.0
LONG_S = 60.0


class Run:
    """A coordinator, and the watches of those processes that join it."""

    def __init__(self, size, limit_s):
        server = listening(everywhere=False)
        self.address = server.getsockname()
        self.coordinator = Coordinator(server, TOKEN, size, limit_s)
        self.limit_s, self.watches, self.hung = limit_s, {}, []
        self.pool = ThreadPoolExecutor(size)

    def join(self, *ranks):
        for rank in ranks:
            self.watches[rank] = Watch(self.address, Membership(TOKEN, rank), self.limit_s, self.hung.append)
        return [self.watches[rank] for rank in ranks]

    def silent(self, rank, doing):
        """A process that was heard of once."""
        connection = connected(*self.address, 10)
        connection.send({"token": TOKEN, "rank": rank})
        connection.send({"beat": (1, False, doing)})
        return connection

    def close(self):
        for watch in self.watches.values():
            watch.close()
            watch.disconnect()
        self.coordinator.close(0.1)
        self.pool.shutdown()


@pytest.fixture
def make():
    runs = []

    def made(size, limit_s=LONG_S):
        runs.append(Run(size, limit_s))
        return runs[-1]

    yield made
    for run in runs:
        run.close()


def test_values_are_summed_in_the_order_of_the_ranks(make):
    run = make(3)
    watches = run.join(0, 1, 2)
    rows = [(1e16, 1.0, math.inf), (1.0, 2.0, 0.0), (-1e16, 0.1, 0.0)]
    sums = [run.pool.submit(watch.barrier, *row) for watch, row in zip(reversed(watches), reversed(rows), strict=True)]
    assert [one.result() for one in sums] == [((1e16 + 1.0) - 1e16, 1.0 + 2.0 + 0.1, math.inf)] * 3


def test_processes_pass_barrier_after_barrier(make):
    run = make(2)
    both = run.join(0, 1)
    assert [[one.result() for one in [run.pool.submit(w.barrier, n) for w in both]] for n in range(3)] == [
        [(0,), (0,)],
        [(2,), (2,)],
        [(4,), (4,)],
    ]


def test_waiting_takes_no_requests_but_beats(make):
    run = make(3)
    first, second, late = run.join(0, 1, 2)
    waiting = [run.pool.submit(watch.barrier) for watch in (first, second)]
    time.sleep(1.0)
    late.barrier()
    [one.result() for one in waiting]
    joined, met, beats = 2 * 3, 3, 3 * 3
    assert run.coordinator.requests <= joined + met + beats


def test_a_process_that_is_not_received_from_hangs(make):
    run = make(3, LIMIT_S)
    first, second = run.join(0, 1)
    silent = run.silent(2, "evaluating valid, batch 3")
    waiting = [run.pool.submit(watch.barrier) for watch in (first, second)]
    for one in waiting:
        with pytest.raises(PeerLost) as raised:
            one.result()
        assert re.fullmatch(
            r"the process of rank 2 hangs: nothing was received from it for \d+ s; the last that is known of it: "
            "evaluating valid, batch 3",
            raised.value.wrong,
        )
        assert "each process has written its stack into its log" in raised.value.right
        assert "the same command continues" in raised.value.right
    assert [list(verdict.reasons) for verdict in run.hung] == [[2], [2]]
    silent.close()


def test_a_process_that_makes_no_progress_hangs_although_it_is_alive(make):
    run = make(2, LIMIT_S)
    first, second = run.join(0, 1)
    second.mark("reading the batch of step 12")
    with pytest.raises(PeerLost, match="rank 1 hangs: no progress for 1 s: reading the batch of step 12"):
        first.barrier()
    with pytest.raises(PeerLost, match="rank 1 hangs"):  # itself, as soon as it goes on
        second.barrier()


def test_processes_that_wait_for_each_other_all_hang(make):
    run = make(2, LIMIT_S)
    both = run.join(0, 1)

    def blocked(watch):
        watch.mark("step 3")
        with watch.waiting("averaging the gradients"):
            while not watch.verdict(0.1):
                pass
        watch.barrier()

    for one in [run.pool.submit(blocked, watch) for watch in both]:
        with pytest.raises(PeerLost, match="the processes of ranks 0, 1 hang") as raised:
            one.result()
        assert "rank 1: it waits for the others: averaging the gradients (before: step 3)" in raised.value.right


def test_a_process_that_goes_on_slowly_does_not_hang(make):
    run = make(2, LIMIT_S)
    first, second = run.join(0, 1)
    waiting = run.pool.submit(first.barrier)
    for number in range(8):
        second.mark(f"evaluating valid, batch {number}")
        time.sleep(LIMIT_S / 4)
    second.barrier()
    assert waiting.result() == ()


def test_what_nobody_knows_the_length_of_does_not_hang(make):
    run = make(2, LIMIT_S)
    first, second = run.join(0, 1)
    second.mark("reading the batch of step 12")
    second.mark("")
    waiting = run.pool.submit(first.barrier)
    time.sleep(1.5 * LIMIT_S)
    second.barrier()
    assert waiting.result() == ()


def test_a_process_whose_connection_is_lost_has_ended(make):
    run = make(3)
    (first,) = run.join(0)
    ends = [run.silent(rank, "") for rank in (1, 2)]
    ends[1].close()
    with pytest.raises(PeerLost, match="the process of rank 2 has ended"):
        first.barrier()
    ends[0].close()


def test_a_process_that_leaves_before_a_barrier_has_ended(make):
    run = make(2)
    first, second = run.join(0, 1)
    second.close()
    waiting = run.pool.submit(first.barrier)
    assert first.verdict(0.5) is None, "it may still say why it leaves"
    second.disconnect()
    with pytest.raises(PeerLost, match="the process of rank 1 has ended"):
        waiting.result()


def test_a_process_that_leaves_after_the_last_barrier_is_none_that_is_missed(make):
    run = make(2)
    first, second = run.join(0, 1)
    waiting = run.pool.submit(first.barrier)
    second.barrier()
    waiting.result()
    second.close()
    second.disconnect()
    assert first.verdict(0.3) is None


def test_without_rank_0_the_others_know_that_it_is_gone(make):
    run = make(2)
    _, second = run.join(0, 1)
    run.coordinator.close(0.1)
    with pytest.raises(PeerLost, match="the process of rank 0 has ended"):
        second.barrier()


def test_rank_0_hangs_where_it_answers_nothing():
    hung = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        watch = Watch(server.getsockname(), Membership(TOKEN, 1), LIMIT_S, hung.append)
        with pytest.raises(PeerLost, match="the process of rank 0 hangs: nothing was received from it for 1 s"):
            watch.barrier()
        watch.close()
        watch.disconnect()
    assert [list(verdict.reasons) for verdict in hung] == [[0]]


STRANGERS = [b"GET / HTTP/1.1\r\n\r\n", b"\xff" * 64 + b"\n", b"[]\n", b'{"token": "x", "rank": 1}\n']
STRANGERS += [json.dumps({"token": token, "rank": 1}).encode() + b"\n" for token in ("", TOKEN[:-1], TOKEN + "x")]


@pytest.mark.parametrize("first", STRANGERS)
def test_strangers_are_sent_away_and_disturb_nobody(make, first):
    run = make(2)
    with socket.create_connection(run.address) as stranger:
        stranger.sendall(first)
        stranger.settimeout(10)
        assert stranger.recv(1) == b""
    both = run.join(0, 1)
    assert [one.result() for one in [run.pool.submit(watch.barrier, 1) for watch in both]] == [(2,), (2,)]


def test_processes_that_are_not_at_the_same_place_are_not_kept_waiting(make):
    run = make(2)
    both = run.join(0, 1)
    outcomes = [run.pool.submit(watch.barrier, *[1.0] * (1 + rank)) for rank, watch in enumerate(both)]
    for one in outcomes:
        with pytest.raises(PeerLost):
            one.result()


@pytest.mark.parametrize("how", ["one was never read", "both were"])
def test_the_connections_of_a_process_that_are_reset_at_once_end_nothing_but_it(make, how):
    run = make(2)
    (first,) = run.join(0)
    ends = [run.silent(1, "reading") for _ in range(2)]
    if how == "both were":
        assert all(end.receive(10) for end in ends)
    reset = struct.pack("ii", 1, 0)
    for end in ends:
        end._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, reset)
    for end in ends:
        end.close()
    with pytest.raises(PeerLost, match="the process of rank 1 has ended"):
        first.barrier()
    time.sleep(0.3)  # what else was ready is served
    assert run.coordinator._thread.is_alive()


def test_a_stranger_that_sends_without_end_is_sent_away(make):
    run = make(1)
    with socket.create_connection(run.address) as stranger:
        stranger.settimeout(10)
        with suppress(ConnectionError):
            for _ in range(4):
                stranger.sendall(b"x" * (MAX_BYTES // 2))
            assert stranger.recv(1) == b""
    (watch,) = run.join(0)
    assert watch.barrier(1) == (1,)


def test_a_process_that_has_left_and_does_not_end_is_missed_after_a_while(make, monkeypatch):
    monkeypatch.setattr(coordinator, "LEAVING_S", 0.3)
    run = make(2)
    first, second = run.join(0, 1)
    second.close()
    with pytest.raises(PeerLost, match="the process of rank 1 has ended"):
        first.barrier()


def test_a_process_that_comes_after_the_end_of_another_knows_of_it(make):
    run = make(3)
    (first,) = run.join(0)
    run.silent(1, "").close()
    assert first.verdict(10) is not None
    (late,) = run.join(2)
    assert late.verdict(10) is not None


def test_a_process_at_another_barrier_ends_the_run(make):
    run = make(2)
    (first,) = run.join(0)
    other = connected(*run.address, 10)
    other.send({"token": TOKEN, "rank": 1})
    other.send({"barrier": 1, "values": []})
    with pytest.raises(PeerLost, match="the process of rank 1 has ended"):
        first.barrier()
    other.close()


def test_a_stop_of_the_coordinator_itself_makes_nobody_hang(make, monkeypatch):
    """Its machine slept, or a signal stopped it: the time that has passed says nothing about the others."""
    slept = [0.0]
    clock = SimpleNamespace(monotonic=lambda: time.monotonic() + slept[0], sleep=time.sleep)
    monkeypatch.setattr(coordinator, "time", clock)
    run = make(2, LIMIT_S)
    first, second = run.join(0, 1)
    second.mark("reading the batch of step 12")
    waiting = run.pool.submit(first.barrier)
    time.sleep(LIMIT_S / 2)  # what it does is known
    slept[0] = 60.0
    assert first.verdict(LIMIT_S / 3) is None
    second.barrier()
    assert waiting.result() == ()
