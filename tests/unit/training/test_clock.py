"""Throughput, waiting time and remaining time."""

import time

import pytest

from pannsdist.training.clock import Clock


def test_time_left_is_that_of_the_steps_that_are_left():
    clock = Clock(steps=4, total_steps=8)
    clock.start_epoch(0)
    time.sleep(0.05)
    pace = clock.pace(step=2, clips=8)
    seconds = 8 / pace.clips_per_s
    assert seconds >= 0.05
    assert pace.left_s == pytest.approx(6 * seconds / 2)  # two steps of eight are made


def test_time_left_includes_the_evaluations_to_come():
    clock = Clock(steps=1, total_steps=2)
    clock.start_epoch(0)
    first = clock.pace(1, clips=1)
    before = time.monotonic()
    time.sleep(0.1)
    assert clock.end_epoch() >= 0.1
    evaluation_s = time.monotonic() - before
    clock.start_epoch(1)
    last = clock.pace(2, clips=1)
    assert first.left_s < 0.1
    assert 0.1 <= last.left_s <= evaluation_s + 0.01


def test_waiting_is_reported_as_a_fraction_of_the_time():
    clock = Clock(steps=1, total_steps=1)
    clock.start_epoch(0)
    with clock.waiting():
        time.sleep(0.05)
    time.sleep(0.05)
    pace = clock.pace(1, clips=1)
    assert 0.0 < pace.data_wait_fraction < 1.0
    assert pace.data_wait_fraction / pace.clips_per_s >= 0.05
