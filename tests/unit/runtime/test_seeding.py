"""One seed, and everything else a pure function of it."""

import subprocess
import sys

import numpy as np

from pannsdist.runtime.seeding import clip_generator, epoch_order, initial_seed, step_seed


def test_an_epoch_visits_every_clip_once():
    assert sorted(epoch_order(100, seed=3, epoch=1)) == list(range(100))


def test_the_order_depends_on_seed_and_epoch():
    orders = {tuple(epoch_order(50, seed, epoch)) for seed in (0, 1) for epoch in (1, 2)}
    assert len(orders) == 4


def test_the_order_is_the_same_each_time():
    np.testing.assert_array_equal(epoch_order(50, 1, 2), epoch_order(50, 1, 2))


def test_seed_and_epoch_do_not_run_into_each_other():
    assert not np.array_equal(epoch_order(50, 1, 12), epoch_order(50, 11, 2))


def test_what_a_clip_draws_depends_on_seed_epoch_and_id():
    drawn = {
        clip_generator(seed, epoch, clip).integers(2**60)
        for seed in (0, 1)
        for epoch in (1, 2)
        for clip in ("a", "b", "a\x1fb")
    }
    assert len(drawn) == 12


def test_what_a_clip_draws_does_not_depend_on_what_was_drawn_before():
    expected = clip_generator(0, 1, "a").random()
    np.random.default_rng(0).random(10)
    np.random.seed(5)
    clip_generator(0, 1, "b").random(7)
    assert clip_generator(0, 1, "a").random() == expected


def test_the_same_numbers_come_out_of_another_process():
    code = (
        "from pannsdist.runtime.seeding import *; print(clip_generator(7, 3, 'é').integers(2**60), step_seed(7, 5, 1))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [str(clip_generator(7, 3, "é").integers(2**60)), str(step_seed(7, 5, 1))]


def test_the_numbers_are_those_of_earlier_versions():
    assert epoch_order(6, 0, 1).tolist() == ORDER
    assert (initial_seed(0), step_seed(0, 1, 0)) == SEEDS


def test_a_step_draws_differently_in_each_process_and_in_each_step():
    seeds = {step_seed(seed, step, rank) for seed in (0, 1) for step in (1, 2, 3) for rank in (0, 1)}
    assert len(seeds) == 12
    assert all(0 <= number < 2**31 for number in seeds)


def test_the_initial_seed_follows_the_seed():
    assert len({initial_seed(seed) for seed in range(20)}) == 20
    assert initial_seed(10**30) < 2**31


ORDER = [1, 0, 2, 3, 4, 5]
SEEDS = (867024474, 100832427)
