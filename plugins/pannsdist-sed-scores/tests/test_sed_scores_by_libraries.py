"""Each score on 1 000 seeded cases against its library, called directly."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from by_libraries import DIRECT
from sed_cases import METRICS, case, metric, predictions, settings

CASES, PARTS = 1000, 10


def bits(name, seed, frames):
    score = metric(name, settings(name, seed, frames.frame_s))
    return np.float64(score(predictions(frames))).tobytes()


@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("name", sorted(DIRECT))
def test_the_score_is_that_of_the_library_called_directly(name, part):
    varied = 0
    for seed in range(part, CASES, PARTS):
        frames = case(seed).frames
        given = settings(name, seed, frames.frame_s)
        expected = DIRECT[name](frames, given) if any(frames.events) else math.nan
        found = metric(name, given)(predictions(frames))
        varied += not math.isnan(expected) and expected not in (0, 1)
        assert found == pytest.approx(expected, rel=0, abs=1e-9, nan_ok=True), f"seed {seed}"
    assert varied > CASES / PARTS / 4, "many cases must be neither undefined, nor perfect, nor all wrong"


@pytest.mark.parametrize("name", sorted(METRICS))
def test_the_bits_of_a_score_depend_neither_on_the_order_of_clips_nor_on_who_predicted_them(name):
    for seed in range(50):
        frames = case(seed).frames
        count = len(frames.ids)
        orders = [[row for rank in range(world) for row in range(rank, count, world)] for world in (1, 2, 4)]
        found = {bits(name, seed, frames.take(rows)) for rows in [*orders, range(count)[::-1]]}
        assert len(found) == 1, f"seed {seed}"


@pytest.mark.parametrize("name", sorted(METRICS))
def test_padding_changes_no_bit(name):
    for seed in range(30):
        frames = case(seed).frames
        padded = replace(frames, logits=np.pad(frames.logits, ((0, 0), (0, 7), (0, 0)), constant_values=9.0))
        assert bits(name, seed, padded) == bits(name, seed, frames), f"seed {seed}"
