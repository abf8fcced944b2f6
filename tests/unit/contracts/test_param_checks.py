"""Checks of params in one form."""

from dataclasses import dataclass

import pytest

from pannsdist.contracts.param_checks import check_params
from pannsdist.runtime.errors import UserError


@dataclass(frozen=True)
class Params:
    root: str
    width: int = 3


def test_params_that_keep_every_rule_pass():
    check_params("model.params", Params("here"), [("width", True, "3"), ("root", True, "a folder")])


def test_the_first_violated_rule_is_refused_with_its_default():
    rules = [("root", True, "a folder"), ("width", False, "odd numbers"), ("root", False, "nothing")]
    with pytest.raises(UserError) as caught:
        check_params("model.params", Params("here", 4), rules)
    said = "model.params.width is 4\n  allowed: odd numbers\n  next: the same command with model.params.width=3"
    assert str(caught.value) == said


def test_a_required_param_is_refused_without_a_default():
    with pytest.raises(UserError) as caught:
        check_params("data.params", Params(""), [("root", False, "a folder")])
    assert str(caught.value) == "data.params.root is ''\n  allowed: a folder"
