"""How fast a smaller graph is beside the exact one."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np

from pannsdist.inference.engines.graph import GraphFunction

ROUNDS, WINDOWS = 5, 4


def ratios(exact: GraphFunction, small: GraphFunction, sounds: Sequence[np.ndarray], window: int) -> tuple[float, ...]:
    """How many times as fast, in each round: both run the same windows in turn, after a round that is not counted."""
    waveforms = np.stack([np.resize(sounds[row % len(sounds)], window) for row in range(WINDOWS)])
    rounds = [(_seconds(exact, waveforms), _seconds(small, waveforms)) for _ in range(ROUNDS + 1)]
    return tuple(first / second for first, second in rounds[1:])


def _seconds(graph: GraphFunction, waveforms: np.ndarray) -> float:
    begin = time.perf_counter()
    graph(waveforms)
    return time.perf_counter() - begin
