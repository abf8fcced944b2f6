"""Freezing and thawing, gradients in parts, recompute and steps that are not finite, in real processes."""

from pathlib import Path

import launching
import numpy as np
import pytest

SCRIPT = Path(__file__).parent / "scripts" / "freezing.py"
STATISTICS = ("._mean", "._variance")
THAWED_FROM_STEP = 3


class Results:
    """What each rank of a world wrote."""

    def __init__(self, folder, size):
        self.folder, self.size = folder, size

    def ranks(self, name):
        found = []
        for rank in range(self.size):
            with np.load(self.folder / f"{name}.{rank}of{self.size}.npz") as file:
                found.append(dict(file))
        return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("freezing")


def run(folder, size):
    results = folder / f"results{size}"
    results.mkdir()
    launched = launching.launch(SCRIPT, results, processes=0 if size == 1 else size, cwd=results)
    assert launched.exit_code == 0, str(launched)
    return Results(results, size)


@pytest.fixture(scope="module")
def alone(folder):
    return run(folder, 1)


@pytest.fixture(scope="module", params=[pytest.param(2, id="two over fleet"), pytest.param(4, id="four")])
def together(request, folder):
    return run(folder, request.param)


def weights(arrays, step):
    chosen = {name: array for name, array in arrays.items() if name.startswith(f"{step}/")}
    return {name.partition("/")[2]: array for name, array in chosen.items() if not name.endswith(STATISTICS)}


def assert_equal(left, right):
    assert left.keys() == right.keys()
    for name in left:
        np.testing.assert_array_equal(left[name], right[name], err_msg=name)


def assert_close(one, other):
    """To 1e-5 of the size of a step's whole gradient."""
    assert one.keys() == other.keys()
    for name, gradient in other.items():
        size = other[f"{name.partition('/')[0]}/norm"]
        assert np.linalg.norm(one[name] - gradient) <= 1e-5 * size, name


def test_every_process_holds_the_same_weights_after_every_step(together):
    first, *others = together.ranks("training0")
    for step in range(7):
        for other in others:
            assert_equal(weights(first, step), weights(other, step))


def test_frozen_weights_and_statistics_stand_still_until_they_are_thawed(alone, together):
    for arrays in (*alone.ranks("training0"), *together.ranks("training0")):
        low = [name.partition("/")[2] for name in arrays if name.startswith("0/low")]
        assert any(name.endswith("_mean") for name in low)
        for name in low:
            assert np.array_equal(arrays[f"0/{name}"], arrays["2/" + name]), name
        moved = [name for name in low if not np.array_equal(arrays[f"0/{name}"], arrays["6/" + name])]
        assert len(moved) == len(low)
        middle = [name for name in arrays if name.startswith("0/middle")]
        assert all(not np.array_equal(arrays[name], arrays["1" + name[1:]]) for name in middle)


@pytest.mark.parametrize("kind", ["gradients", "accumulated", "recomputed"])
def test_the_gradients_are_those_of_one_process_before_and_after_the_thaw(alone, together, kind):
    plain = alone.ranks("gradients")[0]
    frozen_at = {name.partition("/")[0] for name in plain if "/low" in name}
    assert frozen_at == {str(step) for step in range(THAWED_FROM_STEP, 7)}
    assert_close(alone.ranks(kind)[0], plain)
    for rank in together.ranks(kind):
        assert_close(rank, plain)


@pytest.mark.parametrize("epoch", [1, 2])
def test_a_run_continued_before_or_after_the_thaw_ends_as_if_it_had_not_stopped(alone, together, epoch):
    for results in (alone, together):
        for whole, continued in zip(results.ranks("training0"), results.ranks(f"training{epoch}"), strict=True):
            assert_equal(weights(whole, 6), weights(continued, 6))
            assert_equal(weights(whole, "end"), weights(continued, "end"))


def test_a_step_that_is_not_finite_in_one_process_is_taken_by_none(alone, together):
    for arrays in (*alone.ranks("poisoned"), *together.ranks("poisoned")):
        before = {name.partition("/")[2]: array for name, array in arrays.items() if name.startswith("before/")}
        after = {name.partition("/")[2]: array for name, array in arrays.items() if name.startswith("after/")}
        assert len(before) > 30
        assert_equal(before, after)
        assert arrays["finite"].tolist() == [False, True]
