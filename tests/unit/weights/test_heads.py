"""Which axis of a head counts the classes, and which values of a file are refused."""

from types import SimpleNamespace

import numpy as np
import pytest

from pannsdist.weights.heads import changed_classes
from pannsdist.weights.loading import WeightsMismatch, check_finite


@pytest.mark.parametrize(
    ("found", "own"),
    [
        ({"weight": (64, 527), "bias": (527,)}, {"weight": (64, 10), "bias": (10,)}),
        ({"weight": (527, 64, 1, 1), "bias": (527,)}, {"weight": (10, 64, 1, 1), "bias": (10,)}),
    ],
    ids=["linear", "convolution"],
)
def test_another_number_of_classes_is_known_by_its_axis(found, own):
    assert changed_classes(found, own) == (527, 10)


@pytest.mark.parametrize(
    ("found", "own"),
    [
        ({"weight": (64, 10)}, {"weight": (32, 10)}),
        ({"weight": (10, 64, 1, 1)}, {"weight": (10, 64, 1, 3)}),
    ],
    ids=["linear", "convolution"],
)
def test_another_size_of_another_axis_is_another_head(found, own):
    assert changed_classes(found, own) is None


@pytest.mark.parametrize("kind", ["float16", "float32", "float64"])
def test_values_that_are_not_finite_are_refused_in_every_type(kind):
    values = {"whole": np.arange(3), "good": np.ones(2, kind), "bad": np.array([1, np.inf], kind)}
    with pytest.raises(WeightsMismatch, match="not finite") as refused:
        check_finite(SimpleNamespace(path="a.pth"), values)
    assert "bad" in str(refused.value) and "good" not in str(refused.value)
