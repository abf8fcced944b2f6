"""Distributions of a recipe: what they draw, and how wrong ones are refused."""

import numpy as np
import pytest

from pannsdist.run.mixing.distributions import Bounds, distribution
from pannsdist.runtime.errors import SettingsError
from pannsdist.settings.sources import Layer, SettingsOrigin

ORIGIN = SettingsOrigin((Layer("r.yaml", {"events": {"snr_db": []}}, is_file=True),))
SECONDS, COUNT, DECIBELS = Bounds(0, 10), Bounds(0, 8, is_whole=True), Bounds(-80, 80)


def drawn(given, bounds=SECONDS, count=4000):
    made = distribution(given, bounds, "events.snr_db", ORIGIN)
    generator = np.random.default_rng(0)
    return np.array([made.draw(generator) for _ in range(count)])


def test_const_is_its_value_and_choose_draws_all_of_its_values_alike():
    assert set(drawn(["const", 2.5])) == {2.5}
    values, counts = np.unique(drawn(["choose", [1, 2, 5]]), return_counts=True)
    assert list(values) == [1, 2, 5]
    assert counts.min() > 1200


def test_uniform_fills_its_range_and_of_whole_numbers_reaches_both_ends_alike():
    found = drawn(["uniform", 2, 4])
    assert found.min() >= 2 and found.max() <= 4
    assert abs(found.mean() - 3) < 0.03
    values, counts = np.unique(drawn(["uniform", 1, 4], COUNT), return_counts=True)
    assert list(values) == [1, 2, 3, 4]
    assert counts.min() > 900


def test_normal_has_its_mean_and_deviation_and_stays_within_what_the_key_allows():
    found = drawn(["normal", 10, 3], DECIBELS)
    assert abs(found.mean() - 10) < 0.2 and abs(found.std() - 3) < 0.15
    near = drawn(["normal", 0, 1])
    assert near.min() >= 0
    assert abs(near.mean() - np.sqrt(2 / np.pi)) < 0.05


def test_truncnorm_stays_within_its_limits_also_far_from_the_mean():
    found = drawn(["truncnorm", 5, 2, 4, 6.5])
    assert found.min() >= 4 and found.max() <= 6.5
    tail = drawn(["truncnorm", 0, 1, 4, 10])
    assert tail.min() >= 4 and tail.mean() < 4.5
    assert set(drawn(["truncnorm", 2, 1, 1, 3], COUNT)) == {1, 2, 3}


def test_each_kind_takes_one_number_of_the_generator():
    for given in (["const", 1], ["choose", [1, 2]], ["uniform", 0, 1], ["normal", 1, 1], ["truncnorm", 1, 1, 0, 2]):
        generator, other = np.random.default_rng(1), np.random.default_rng(1)
        distribution(given, SECONDS, "events.snr_db", ORIGIN).draw(generator)
        other.random()
        assert generator.random() == other.random()


@pytest.mark.parametrize(
    ("given", "bounds", "said"),
    [
        ([], SECONDS, "it begins with the name of a distribution"),
        ([3, 4], SECONDS, "it begins with the name"),
        (["unifrom", 0, 1], SECONDS, "closest: uniform"),
        (["uniform", 3], SECONDS, "write [uniform, LOW, HIGH]"),
        (["const", 1, 2], SECONDS, "it has 2 arguments"),
        (["uniform", 4, 3], SECONDS, "the lower limit comes first"),
        (["uniform", -1, 3], SECONDS, "allowed: numbers from 0 to 10"),
        (["uniform", 0, 3.5], COUNT, "allowed: whole numbers from 0 to 8"),
        (["const", True], SECONDS, "True is not allowed"),
        (["const", "5"], SECONDS, "'5' is not allowed"),
        (["choose", 3], SECONDS, "no list of values"),
        (["choose", []], SECONDS, "no list of values"),
        (["normal", 5, 0], SECONDS, "its standard deviation is 0"),
        (["normal", "a", 1], SECONDS, "'a' is no number"),
        (["normal", 100, 1], SECONDS, "nothing is within 0 to 10"),
        (["truncnorm", 5, 1, 6, 11], SECONDS, "11 is not allowed"),
        (["truncnorm", 0, 0.1, 5, 6], SECONDS, "nothing is within 5 to 6"),
        (["const", float("nan")], SECONDS, "nan is not allowed"),
        (["const", [1]], SECONDS, "[1] is not allowed"),
        ([["uniform"], 1], SECONDS, "it begins with the name"),
    ],
)
def test_a_wrong_one_is_refused_with_its_key_its_file_and_the_form(given, bounds, said):
    with pytest.raises(SettingsError) as caught:
        distribution(given, bounds, "events.snr_db", ORIGIN)
    assert "events.snr_db in r.yaml is [" in caught.value.wrong
    assert said in str(caught.value)
