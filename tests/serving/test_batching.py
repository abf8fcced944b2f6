"""Requests that are computed at a time, and the forward passes that they share."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from pannsdist.serving.batching import Batcher, Places, Work

LIMIT_S = 60


class Adding:
    """An engine that adds 1."""

    def run(self, _, waveforms):
        return waveforms + 1


class Meeting:
    """An engine whose pass ends once another request is at work."""

    def __init__(self):
        self.other = threading.Event()

    def run(self, _, waveforms):
        assert self.other.wait(LIMIT_S)
        return waveforms


@pytest.fixture
def batches():
    return []


@pytest.mark.parametrize("cores", [1, 3])
def test_no_more_requests_than_cores_are_at_work_and_each_gets_its_own_windows(cores, batches):
    batcher, lock, at_work, most = Batcher(0.01, cores, batches.append), threading.Lock(), [0], [0]

    def move(count):
        with lock:
            at_work[0] += count
            most[0] = max(most[0], at_work[0])

    def request(number):
        with batcher.working(Work()):
            for _ in range(3):
                move(1)
                time.sleep(0.002)
                move(-1)
                found = batcher.run(engine, "scores", np.full((2, 4), number, np.float32), 8)
                assert (found == number + 1).all()
        return True

    engine = Adding()
    with ThreadPoolExecutor(12) as pool:
        assert all(pool.map(request, range(24)))
    assert most[0] == cores
    assert sum(batches) == 24 * 3 * 2
    assert max(batches) <= 8


def test_a_request_that_waits_for_its_windows_lets_another_one_work():
    batcher, engine = Batcher(0.0, 1, lambda _: None), Meeting()

    def waiting():
        with batcher.working(Work()):
            return batcher.run(engine, "scores", np.zeros((1, 4), np.float32), 1).shape

    def working():
        with batcher.working(Work()):
            engine.other.set()

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(waiting)
        pool.submit(working).result(LIMIT_S)
        assert first.result(LIMIT_S) == (1, 4)


def test_who_returns_from_a_wait_comes_before_who_begins():
    places, order = Places(1), []
    places.begin()

    def enter(name, how):
        how()
        order.append(name)
        places.leave()

    threads = [threading.Thread(target=enter, args=("begins", places.begin))]
    threads[0].start()
    time.sleep(0.05)
    threads.append(threading.Thread(target=enter, args=("returns", places.come_back)))
    threads[1].start()
    while not places.returning:
        time.sleep(0.001)
    places.leave()
    for thread in threads:
        thread.join(LIMIT_S)
    assert order == ["returns", "begins"]
