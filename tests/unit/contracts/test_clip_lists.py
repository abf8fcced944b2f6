"""Clips in columns are the clips that they stand for."""

import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pannsdist.contracts import Clip
from pannsdist.contracts.clip_lists import (
    ClipList,
    Files,
    Ragged,
    groups_of,
    ids_of,
    joined,
    labels_of,
    segments_of,
    sources_of,
    taken,
)

ROOT = Path("/sounds")
CLIPS = [
    Clip("a", ROOT / "a.wav", ("cat", "dog"), 0.5, 1.0, "one"),
    Clip("b", ROOT / "sub/b.wav", ()),
    Clip("c", ROOT / "c.wav", ("dog",), 0.0, None, "two"),
    Clip("d", ROOT / "c.wav", ("owl", "cat"), 2.0),
]


def files(clips):
    """The clips with their files as names below the root, as a manifest has them."""
    return replace(clips, sources=Files(ROOT, [str(source.relative_to(ROOT)) for source in clips.sources]))


@pytest.fixture(params=["objects", "files"])
def columns(request):
    made = ClipList.of(CLIPS)
    return files(made) if request.param == "files" else made


def test_they_are_read_as_a_sequence_and_compared_by_value(columns):
    assert list(columns) == CLIPS
    assert columns == CLIPS and columns == tuple(CLIPS) and columns != CLIPS[:3] and columns != "abcd"
    assert columns[-1] == CLIPS[-1] and type(columns[0].start_s) is float
    assert columns[1:3] == CLIPS[1:3] and columns[::-1] == CLIPS[::-1] and columns[9:] == []
    assert pickle.loads(pickle.dumps(columns)) == CLIPS
    with pytest.raises(IndexError):
        columns[4]


def test_rows_and_columns_are_those_of_the_clips(columns):
    rows = np.array([2, 0, 2])
    assert taken(columns, rows) == taken(CLIPS, rows) == [CLIPS[row] for row in rows]
    for of in (ids_of, groups_of, labels_of, segments_of, sources_of):
        assert list(of(columns)) == list(of(CLIPS))
    assert groups_of(columns[1:2]) == groups_of(CLIPS[1:2]) or not any(groups_of(columns[1:2]))


def test_parts_of_one_list_are_joined_in_columns_and_others_as_clips(columns):
    both = joined(columns[2:], columns[:2])
    assert both == CLIPS[2:] + CLIPS[:2]
    assert isinstance(both, ClipList) == isinstance(columns.sources, Files)
    assert joined(columns[:1], CLIPS[1:]) == CLIPS


def test_a_batch_of_many_labels_is_pickled_with_its_own_alone():
    many = ClipList.of(Clip(str(number), ROOT / f"{number}.wav", (f"label {number}",)) for number in range(1000))
    sent = pickle.dumps(files(many).take(np.arange(4)))
    assert len(sent) < 2000
    assert pickle.loads(sent) == list(many)[:4]


def test_rows_of_different_length_are_taken_in_any_order():
    ragged = Ragged.of_lengths(np.array([1, 2, 3, 4, 5, 6]), np.array([2, 0, 1, 3]))
    assert [ragged.row(row).tolist() for row in range(4)] == [[1, 2], [], [3], [4, 5, 6]]
    some = ragged.take(np.array([3, 1, 0]))
    assert (some.flat.tolist(), some.lengths.tolist()) == ([4, 5, 6, 1, 2], [3, 0, 2])
    assert some.rows.tolist() == [0, 0, 0, 2, 2]
    assert pickle.loads(pickle.dumps(some)).values.tolist() == [4, 5, 6, 1, 2]
    assert len(ragged.take(np.array([], np.int64)).flat) == 0
