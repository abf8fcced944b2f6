"""Each score on 1 000 seeded cases against its library, called directly."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pannsdist_sed_scores
import pytest
from by_libraries import DIRECT
from sed_cases import case, predictions

METRICS = {
    plugin.name: plugin(plugin.Params())
    for plugin in vars(pannsdist_sed_scores).values()
    if isinstance(plugin, type) and hasattr(plugin, "needs_events")
}
CASES, PARTS = 1000, 10


def bits(value):
    return np.float64(value).tobytes()


@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("name", sorted(DIRECT))
def test_the_score_is_that_of_the_library_called_directly(name, part):
    undefined = 0
    for seed in range(part, CASES, PARTS):
        frames = case(seed).frames
        expected = DIRECT[name](frames) if any(frames.events) else math.nan
        found = METRICS[name](predictions(frames))
        undefined += math.isnan(expected)
        assert found == pytest.approx(expected, rel=0, abs=1e-9, nan_ok=True), f"seed {seed}"
    assert undefined < CASES // PARTS / 2, "most cases must have a score"


@pytest.mark.parametrize("name", sorted(METRICS))
def test_the_bits_of_a_score_depend_neither_on_the_order_of_clips_nor_on_who_predicted_them(name):
    for seed in range(100):
        frames = case(seed).frames
        count = len(frames.ids)
        orders = [[row for rank in range(world) for row in range(rank, count, world)] for world in (1, 2, 4)]
        found = {bits(METRICS[name](predictions(frames.take(rows)))) for rows in [*orders, range(count)[::-1]]}
        assert len(found) == 1, f"seed {seed}"


@pytest.mark.parametrize("name", sorted(METRICS))
def test_padding_changes_no_bit(name):
    for seed in range(50):
        frames = case(seed).frames
        padded = replace(frames, logits=np.pad(frames.logits, ((0, 0), (0, 7), (0, 0)), constant_values=9.0))
        longest = frames.logits.shape[1] * frames.frame_s
        if frames.durations_s.max() <= longest:
            assert bits(METRICS[name](predictions(padded))) == bits(METRICS[name](predictions(frames))), f"seed {seed}"
