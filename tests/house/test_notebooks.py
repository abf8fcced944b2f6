"""The notebooks are stored as they were written: without outputs and counts, the same code in both languages."""

import json

import pytest
from architecture import ROOT
from notebooks import NOTEBOOKS, as_page, cells, code_cells, twin
from test_docs import links_broken_in
from translation import differences, slips

pytestmark = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def test_both_languages_have_the_same_code(path):
    assert code_cells(path), "a notebook without code is a page"
    assert code_cells(path) == code_cells(twin(path))


def test_a_chinese_notebook_holds_what_its_english_one_holds(path):
    assert differences(as_page(path), as_page(twin(path))) == []
    assert slips(as_page(twin(path))) == []


@pytest.mark.parametrize("language", ["en", "zh"])
def test_a_notebook_is_stored_without_outputs_and_settings_of_one_machine(path, language):
    path = ROOT / "docs" / language / path.name
    written = json.loads(path.read_text(encoding="utf-8"))
    assert {name: written["metadata"][name] for name in written["metadata"]} == {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    assert [cell for cell in code_cells(path) if cell["outputs"] or cell["execution_count"] is not None] == []
    assert [cell["id"] for cell in cells(path) if cell["metadata"] not in ({}, {"tags": ["raises-exception"]})] == []
    assert (written["nbformat"], written["nbformat_minor"]) == (4, 5)


@pytest.mark.parametrize("language", ["en", "zh"])
def test_every_relative_link_of_a_notebook_resolves(path, language):
    path = ROOT / "docs" / language / path.name
    assert links_broken_in(as_page(path), path) == []
