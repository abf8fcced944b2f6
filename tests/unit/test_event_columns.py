"""Events of clips in columns: the same clips, however they are taken, joined or sent to a worker."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np

from pannsdist.contracts import Clip, Event, labels_of_events
from pannsdist.contracts.clip_lists import ClipList, events_of, joined, taken

EVENTS = (Event(0.5, 1.0, "dog"), Event(0.75, 2.0, "rain"), Event(1.5, 1.75, "dog"))
CLIPS = [
    Clip("weak", Path("weak.wav"), ("cat", "dog")),
    Clip("strong", Path("strong.wav"), labels_of_events(EVENTS), events=EVENTS),
    Clip("silent", Path("silent.wav"), (), events=()),
    Clip("unknown", Path("unknown.wav"), (), is_labelled=False),
    Clip("late", Path("late.wav"), ("cat",), 3.0, 2.0, "g", (Event(0.0, 0.25, "cat"),)),
]


def test_clips_with_events_are_the_same_in_columns_in_a_pickle_and_in_part():
    columns = ClipList.of(CLIPS)
    assert columns == CLIPS
    assert pickle.loads(pickle.dumps(columns)) == CLIPS
    rows = np.array([4, 1, 3])
    assert taken(columns, rows) == [CLIPS[4], CLIPS[1], CLIPS[3]]
    assert pickle.loads(pickle.dumps(taken(columns, rows))) == [CLIPS[4], CLIPS[1], CLIPS[3]]
    assert list(events_of(columns)) == [clip.events for clip in CLIPS] == list(events_of(CLIPS))


def test_lists_with_and_without_events_are_joined():
    columns = ClipList.of(CLIPS)
    parts = taken(columns, np.array([0])), taken(columns, np.array([2, 4])), taken(columns, np.array([3]))
    assert joined(*parts) == [CLIPS[0], CLIPS[2], CLIPS[4], CLIPS[3]]


def test_clips_without_events_need_no_columns_for_them():
    columns = ClipList.of(CLIPS[:1])
    assert columns.events is None and columns.is_labelled is None
