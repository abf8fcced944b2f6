"""Learning rate schedules."""

import math

import pytest

from pannsdist.training.optimization.schedules import PluginSchedule, RangeTestSchedule, Schedule


def rates(schedule):
    return [schedule.rate(step) for step in range(1, schedule.total_steps + 1)]


@pytest.mark.parametrize("name", ["cosine", "linear", "constant", "step"])
def test_the_warm_up_rises_in_equal_steps_to_the_peak(name):
    schedule = Schedule(name, 0.8, total_steps=20, warmup_steps=4, drops=(10,))
    assert rates(schedule)[:4] == pytest.approx([0.2, 0.4, 0.6, 0.8])


def test_cosine_decays_from_the_peak_to_its_final_factor():
    schedule = Schedule("cosine", 0.8, total_steps=14, warmup_steps=4, final_lr_factor=0.1)
    assert schedule.rate(9) == pytest.approx(0.8 * 0.55)
    assert schedule.rate(14) == pytest.approx(0.08)
    quarter = 0.8 * (0.1 + 0.9 * 0.5 * (1 + math.cos(math.pi * 0.3)))
    assert schedule.rate(7) == pytest.approx(quarter)
    assert rates(schedule)[3:] == sorted(rates(schedule)[3:], reverse=True)


def test_linear_decays_by_equal_steps_to_its_final_factor():
    schedule = Schedule("linear", 1.0, total_steps=6, warmup_steps=2, final_lr_factor=0.2)
    assert rates(schedule) == pytest.approx([0.5, 1.0, 0.8, 0.6, 0.4, 0.2])


@pytest.mark.parametrize("name", ["cosine", "linear", "one_cycle", "warmup_linear_down"])
def test_a_schedule_is_constant_beyond_its_end(name):
    assert Schedule(name, 1.0, total_steps=10, final_lr_factor=0.1).rate(50) == pytest.approx(0.1)


def test_a_constant_rate_follows_its_warm_up():
    schedule = Schedule("constant", 0.5, total_steps=10, warmup_steps=2)
    assert [schedule.rate(step) for step in (1, 2, 3, 10)] == [0.25, 0.5, 0.5, 0.5]


def test_a_step_schedule_drops_after_its_milestones():
    schedule = Schedule("step", 1.0, total_steps=8, drops=(2, 5), gamma=0.1)
    assert rates(schedule) == pytest.approx([1, 1, 0.1, 0.1, 0.1, 0.01, 0.01, 0.01])


def test_one_cycle_rises_from_a_25th_over_three_tenths_and_decays_to_its_final_factor():
    schedule = Schedule("one_cycle", 1.0, total_steps=20, final_lr_factor=0.01)
    assert schedule.rate(3) == pytest.approx((1 + 1 / 25) / 2)
    assert schedule.rate(6) == 1.0
    assert schedule.rate(13) == pytest.approx((1 + 0.01) / 2)
    assert schedule.rate(20) == pytest.approx(0.01)
    assert Schedule("one_cycle", 1.0, total_steps=20, warmup_steps=10).rate(10) == 1.0


def test_an_exponential_warm_up_holds_and_decays_linearly():
    schedule = Schedule("warmup_linear_down", 2.0, 12, warmup_steps=4, final_lr_factor=0.01, hold_steps=2)
    assert rates(schedule)[:4] == pytest.approx([2 * math.exp(-5 * (1 - x) ** 2) for x in (0.25, 0.5, 0.75, 1.0)])
    assert rates(schedule)[4:6] == [2.0, 2.0]
    assert schedule.rate(9) == pytest.approx(2 * (1 - 0.99 / 2))
    assert schedule.rate(12) == pytest.approx(0.02)


def test_without_a_warm_up_nothing_is_divided_by_zero():
    assert Schedule("constant", 0.5, total_steps=1).rate(1) == 0.5
    assert Schedule("cosine", 0.5, total_steps=1).rate(1) == 0.0
    assert Schedule("cosine", 0.5, total_steps=3, warmup_steps=3).rate(3) == 0.5
    assert Schedule("one_cycle", 0.5, total_steps=1).rate(1) == 0.5
    assert RangeTestSchedule(0.1, 1.0, total_steps=1).rate(1) == pytest.approx(0.1)


def test_a_range_test_grows_by_equal_ratios():
    assert rates(RangeTestSchedule(1e-4, 1.0, total_steps=5)) == pytest.approx([1e-4, 1e-3, 1e-2, 1e-1, 1.0])


def test_a_plugin_counts_from_the_end_of_the_warm_up_to_its_last_step_and_no_further():
    calls = []
    schedule = PluginSchedule(
        lambda *steps: calls.append(steps) or 0.5, 0.8, total_steps=6, epoch_steps=3, warmup_steps=2
    )
    assert [schedule.rate(step) for step in (1, 2, 3, 6, 9)] == pytest.approx([0.4, 0.8, 0.4, 0.4, 0.4])
    assert calls == [(1, 4, 3), (4, 4, 3), (4, 4, 3)]
