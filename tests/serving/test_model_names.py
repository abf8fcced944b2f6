"""The names that models have in the API."""

import pytest

from pannsdist.runtime.errors import UserError
from pannsdist.serving.options import wanted

pytestmark = pytest.mark.any_paddle


@pytest.mark.parametrize(
    ("given", "name", "model"),
    [
        ("runs/street/best_model", "street", "runs/street/best_model"),
        ("kept/street", "street", "kept/street"),
        ("panns_cnn14", "panns_cnn14", "panns_cnn14"),
        ("town=runs/street/best_model", "town", "runs/street/best_model"),
        ("hf://someone/street", "street", "hf://someone/street"),
        ("hf://someone/street@0123abc", "street", "hf://someone/street@0123abc"),
        ("town=hf://someone/street@main", "town", "hf://someone/street@main"),
    ],
)
def test_a_model_is_named_by_its_run_its_folder_its_repository_or_the_user(given, name, model):
    (found,) = wanted([given])
    assert (found.name, found.model) == (name, model)


def test_two_models_of_one_name_are_refused_with_another_name_for_one():
    with pytest.raises(UserError, match="two models have the name 'street'") as refused:
        wanted(["runs/street/best_model", "hf://someone/street"])
    assert "street2=hf://someone/street" in str(refused.value)
