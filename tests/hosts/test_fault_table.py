"""The pages have the rows of the table that the tests of faults write."""

import re

import pytest
from fault_table import LOSS, ROWS, page, with_seconds


@pytest.mark.parametrize(("number", "language"), [(0, "en"), (1, "zh")])
def test_the_page_has_each_row_with_its_seconds(number, language):
    text = page(language).read_text(encoding="utf-8")
    for names in ROWS.values():
        assert re.search(rf"^\| {re.escape(names[number])} \| \d+ s \| {LOSS[language]} \|$", text, re.MULTILINE)
    changed = with_seconds(text, {"rank": 12345.0}, number)
    assert changed != text
    assert f"| {ROWS['rank'][number]} | 12345 s | {LOSS[language]} |" in changed
