"""One, two and four real processes score one network on sounds with events, to the last bit."""

import math

import pytest

EVENT_SCORES = (
    *("event_f1", "segment_f1", "segment_error_rate", "intersection_f1", "psds1", "psds2", "segment_mpauc"),
)


@pytest.fixture(scope="module")
def scores(alone, two, four, results):  # noqa: ARG001 - they write the results
    """The scores that each process of each world got."""
    files = results("event_scores")
    return {size: [files.json(f"scores.{rank}of{size}") for rank in range(size)] for size in (1, 2, 4)}


@pytest.mark.parametrize("size", (2, 4))
def test_every_process_gets_the_scores_of_one_alone(scores, size):
    (alone,) = scores[1]
    assert scores[size] == [alone] * size


def test_there_is_something_to_compare(scores):
    (alone,) = scores[1]
    found = [alone[f"valid/{name}"] for name in EVENT_SCORES]
    assert all(math.isfinite(score) and 0 < score < 1 for score in found), found
    assert len(set(found)) == len(found)
