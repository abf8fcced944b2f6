"""What every installed augmentation must keep."""

import dataclasses
import inspect
import pickle

import numpy as np
import pytest
from installed import entries, opened

NEEDS: dict[str, dict[str, object]] = {}
"""Params without which an augmentation cannot be built, by name."""


@pytest.fixture(params=entries("augmentation"))
def augmentation(request):
    return opened(request.param, **NEEDS.get(request.param.name, {}))


def test_it_says_what_it_does_and_where_it_comes_from(augmentation):
    assert "Source:" in inspect.getdoc(type(augmentation))


def test_its_params_are_frozen_and_have_a_probability(augmentation):
    assert type(augmentation).Params.__dataclass_params__.frozen
    (field,) = (item for item in dataclasses.fields(type(augmentation).Params) if item.name == "probability")
    assert 0.0 <= field.default <= 1.0


@pytest.mark.parametrize("rate_hz", [8000, 32000, 44100])
def test_it_gives_as_many_finite_samples_as_it_got_from_its_generator_alone(augmentation, rate_hz):
    given = np.random.default_rng(0).normal(0, 0.1, rate_hz // 2).astype(np.float32)
    travelled = pickle.loads(pickle.dumps(augmentation))
    made, again = (plugin(given.copy(), rate_hz, np.random.default_rng(1)) for plugin in (augmentation, travelled))
    assert (made.shape, made.dtype) == (given.shape, np.float32)
    assert np.isfinite(made).all()
    np.testing.assert_array_equal(made, again)
    np.testing.assert_array_equal(made, augmentation(given, rate_hz, np.random.default_rng(1)))
