"""Freezing, gradient accumulation, recompute and steps that are not finite, in real processes."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

STATISTICS = ("._mean", "._variance")
UNFROZEN_FROM_STEP = 3


@dataclass(frozen=True)
class Ranks:
    """What each rank of a world wrote."""

    results: Any
    size: int

    def ranks(self, name):
        return self.results.ranks(name, self.size)


@pytest.fixture(scope="module")
def one(alone, results):  # noqa: ARG001 - it writes the results
    return Ranks(results("freezing"), 1)


@pytest.fixture(scope="module", params=[pytest.param(2, id="two over fleet"), pytest.param(4, id="four")])
def together(request, results):
    request.getfixturevalue({2: "two", 4: "four"}[request.param])
    return Ranks(results("freezing"), request.param)


def weights(arrays, step):
    chosen = {name: array for name, array in arrays.items() if name.startswith(f"{step}/")}
    return {name.partition("/")[2]: array for name, array in chosen.items() if not name.endswith(STATISTICS)}


def assert_equal(left, right):
    assert left.keys() == right.keys()
    for name in left:
        np.testing.assert_array_equal(left[name], right[name], err_msg=name)


def assert_close(found, other):
    """To 1e-5 of the size of a step's whole gradient."""
    assert found.keys() == other.keys()
    for name, gradient in other.items():
        size = other[f"{name.partition('/')[0]}/norm"]
        assert np.linalg.norm(found[name] - gradient) <= 1e-5 * size, name


def test_every_process_holds_the_same_weights_after_every_step(together):
    first, *others = together.ranks("training0")
    for step in range(7):
        for other in others:
            assert_equal(weights(first, step), weights(other, step))


def test_frozen_weights_and_statistics_do_not_change_until_they_are_unfrozen(one, together):
    for arrays in (*one.ranks("training0"), *together.ranks("training0")):
        low = [name.partition("/")[2] for name in arrays if name.startswith("0/low")]
        assert any(name.endswith("_mean") for name in low)
        for name in low:
            assert np.array_equal(arrays[f"0/{name}"], arrays["2/" + name]), name
        moved = [name for name in low if not np.array_equal(arrays[f"0/{name}"], arrays["6/" + name])]
        assert len(moved) == len(low)
        middle = [name for name in arrays if name.startswith("0/middle")]
        assert all(not np.array_equal(arrays[name], arrays["1" + name[1:]]) for name in middle)


@pytest.mark.parametrize("kind", ["gradients", "accumulated", "recomputed"])
def test_the_gradients_are_those_of_one_process_before_and_after_unfreezing(one, together, kind):
    plain = one.ranks("gradients")[0]
    frozen_at = {name.partition("/")[0] for name in plain if "/low" in name}
    assert frozen_at == {str(step) for step in range(UNFROZEN_FROM_STEP, 7)}
    assert_close(one.ranks(kind)[0], plain)
    for rank in together.ranks(kind):
        assert_close(rank, plain)


@pytest.mark.parametrize("epoch", [1, 2])
def test_a_run_continued_before_or_after_unfreezing_ends_as_if_it_had_not_stopped(one, together, epoch):
    for results in (one, together):
        for whole, continued in zip(results.ranks("training0"), results.ranks(f"training{epoch}"), strict=True):
            assert_equal(weights(whole, 6), weights(continued, 6))
            assert_equal(weights(whole, "end"), weights(continued, "end"))


def test_a_step_that_is_not_finite_in_one_process_is_taken_by_none(one, together):
    for arrays in (*one.ranks("poisoned"), *together.ranks("poisoned")):
        before = {name.partition("/")[2]: array for name, array in arrays.items() if name.startswith("before/")}
        after = {name.partition("/")[2]: array for name, array in arrays.items() if name.startswith("after/")}
        assert len(before) > 30
        assert_equal(before, after)
        assert arrays["finite"].tolist() == [False, True]
