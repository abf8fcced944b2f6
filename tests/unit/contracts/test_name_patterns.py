"""Patterns of file names: which part is the group, and that no pattern takes long."""

import pytest

from pannsdist.contracts import UserError
from pannsdist.contracts.name_patterns import NamePattern, groups_by_pattern


@pytest.mark.parametrize(
    ("pattern", "path", "group"),
    [
        ("(*)_*", "digits/7/anna_7_12.wav", "anna"),
        ("*_(*)_*", "7_anna_12.wav", "anna"),
        ("*_(*)", "a_b_c", "b_c"),
        ("(*)/*", "dog/anna/1.wav", "anna"),
        ("(*)/*/*", "anna/dog/1.wav", "anna"),
        ("(????)*.wav", "x/anna01.wav", "anna"),
        ("*-(*-?)-*.wav", "1-100032-A-0.wav", "100032-A"),
        ("take?(*)?.wav", "take(7).wav", "7"),
        ("(*).*.wav", "a.b.c.wav", "a"),
        ("(a*b)", "axxb", "axxb"),
        ("(*)_*", "anna.wav", ""),
        ("(*)_*", "_7.wav", ""),
        ("(*)/*", "1.wav", ""),
        ("x/(*)_*", "y/anna_1.wav", ""),
        ("(*).wav", "a.WAV", ""),
        ("(*)_*", "Zoe\u0308_1.wav", "Zo\u00eb"),
    ],
)
def test_the_part_in_parentheses_is_the_group(pattern, path, group):
    assert NamePattern(pattern, "key").group(path) == group


@pytest.mark.parametrize(
    "pattern", ["*", "", "()", "(*", ")*(", "(*)_(*)", "(*/*)", "((*))", "(*)//*", "/(*)", "(*)" * 99]
)
def test_a_pattern_without_exactly_one_group_is_refused(pattern):
    with pytest.raises(UserError, match=r"data\.params\.group is .*no pattern with a group") as caught:
        NamePattern(pattern, "data.params.group")
    assert "(*)_* for speaker_3.wav" in caught.value.right


def test_names_that_do_not_match_are_counted_and_named():
    with pytest.raises(UserError, match=r"key=\(\*\)_\* does not match 2 of 3 clips, such as 'b\.wav'"):
        groups_by_pattern(NamePattern("(*)_*", "key"), ["a_1.wav", "b.wav", "c.wav"])


def test_many_stars_cost_no_more_than_the_product_of_the_lengths():
    pattern = NamePattern("(*a)" + "*a" * 90 + "b", "key")
    assert pattern.group("a" * 255) == ""  # a backtracking search would not return
