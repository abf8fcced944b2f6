"""Scores and durations have one form."""

import math

import pytest

from pannsdist.runtime.figures import duration, score

pytestmark = pytest.mark.any_paddle


@pytest.mark.parametrize(
    ("value", "text"), [(0.98765, "0.9877"), (1, "1.0000"), (None, "-"), (math.nan, "-"), (math.inf, "inf")]
)
def test_a_score_has_four_decimals_and_a_dash_where_it_is_undefined(value, text):
    assert score(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0:00"), (59.4, "0:59"), (59.6, "1:00"), (123, "2:03"), (3600, "1:00:00"), (3723, "1:02:03"), (math.inf, "?")],
)
def test_a_duration_is_formatted_as_hours_minutes_and_seconds(seconds, text):
    assert duration(seconds) == text
