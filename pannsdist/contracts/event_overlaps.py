"""Events of one label that overlap: found, and merged. Axes: K events, of which each is of one group."""

from __future__ import annotations

import numpy as np

__all__ = ["first_overlap", "merged"]


def first_overlap(groups: np.ndarray, onsets_s: np.ndarray, offsets_s: np.ndarray) -> tuple[int, int] | None:
    """Two events (numbers) of one group that overlap; None if none do. Events that touch do not overlap.

    Of sorted events that do not overlap, each begins after the one before it: neighbours tell.
    """
    order = np.lexsort((offsets_s, onsets_s, groups))
    one, other = order[:-1], order[1:]
    found = np.flatnonzero((groups[one] == groups[other]) & (onsets_s[other] < offsets_s[one]))
    if not len(found):
        return None
    first = found[np.argmin(other[found])]
    return int(one[first]), int(other[first])


def merged(groups: np.ndarray, onsets_s: np.ndarray, offsets_s: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(the events that remain (M,), in their order; offsets (K,)): overlapping ones of a group become the first one."""
    order = np.lexsort((offsets_s, onsets_s, groups)).tolist()
    offsets_s, kept = offsets_s.copy(), []
    last = -1
    for event in order:
        if last >= 0 and groups[event] == groups[last] and onsets_s[event] < offsets_s[last]:
            offsets_s[last] = max(offsets_s[last], offsets_s[event])
        else:
            kept.append(event)
            last = event
    return np.sort(np.array(kept, np.int64)), offsets_s
