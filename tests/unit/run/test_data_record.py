"""The record of a run's clips: what makes it another one, and the words for it."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from small_parts import tone

from pannsdist.audio.batches import ClipTable
from pannsdist.contracts import Clip, Event
from pannsdist.run.changed_data import found_changes
from pannsdist.run.data_record import changes, data_record, read_data_record
from pannsdist.run.planning.data import Data
from pannsdist.runtime.errors import BadRunFolder

LABELS = ("cat", "dog")


def recorded(train, valid=(), labels=LABELS):
    tables = {"train": ClipTable(train, np.zeros(len(train))), "valid": ClipTable(valid, np.zeros(len(valid)))}
    return data_record(Data(None, labels, False, tables))


@pytest.fixture
def clips(tmp_path):
    for name in "ab":
        (tmp_path / name).write_bytes(b"x" * 10)
    return [Clip(name, tmp_path / name, ("cat",), 1.0, 2.0) for name in "ab"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"start_s": 1.5}, "1 clip of another start or duration in train: 'b'"),
        ({"duration_s": None}, "1 clip of another start or duration in train: 'b'"),
        ({"labels": ("dog",)}, "1 clip relabelled in train: 'b'"),
        ({"source": tone(440.0)}, "1 clip of another size in train: 'b'"),
    ],
)
def test_each_property_of_a_clip_counts(clips, change, said):
    before, now = recorded(clips), recorded([clips[0], replace(clips[1], **change)])
    assert before.digest != now.digest
    assert changes(before, now).lines == (said,)
    assert changes(before, now).is_comparable


def test_a_change_of_the_evaluated_clips_or_of_the_labels_ends_the_comparison(clips):
    before = recorded(clips[:1], clips[1:])
    assert not changes(before, recorded(clips[:1], [replace(clips[1], start_s=0.0)])).is_comparable
    assert not changes(before, recorded(clips)).is_comparable
    other = changes(before, recorded(clips[:1], clips[1:], labels=LABELS[::-1]))
    assert (other.lines, other.is_comparable) == (("the list of labels",), False)


def test_the_same_clips_give_the_same_record_and_it_is_read_back(clips, tmp_path):
    odd = [*clips, Clip("\udcff\n'", tone(440.0), ("dog", "cat")), Clip("gone", tmp_path / "gone", ())]
    one, other = recorded(odd), recorded(list(odd))
    assert one.digest == other.digest
    (tmp_path / "data.json").write_text(one.text, encoding="utf-8")
    read, digest = read_data_record(tmp_path / "data.json")
    assert digest == one.digest
    assert changes(read, other).lines == ()
    assert list(read.splits["train"]["sizes"]) == [10, 10, -1, -1]


def test_a_damaged_record_is_none_and_one_of_another_version_is_refused(clips, tmp_path):
    path = tmp_path / "data.json"
    text = recorded(clips).text
    assert read_data_record(path) is None
    for damaged in ("", text[:-9], "[]", '{"format":1}'):
        path.write_text(damaged, encoding="utf-8")
        assert read_data_record(path) is None
    path.write_text(text.replace('"format":1', '"format":2'), encoding="utf-8")
    with pytest.raises(BadRunFolder, match="written by a newer pannsdist"):
        read_data_record(path)


def test_a_clip_that_moves_to_or_from_the_evaluated_ones_ends_the_comparison(clips):
    for before, now, way in ((clips, clips[:1], "train to valid"), (clips[:1], clips, "valid to train")):
        found = changes(recorded(before, clips[len(before) :]), recorded(now, clips[len(now) :]))
        assert (found.lines, found.is_comparable) == ((f"1 clip moved from {way}: 'b'",), False)


def test_the_order_counts_and_so_does_the_start_of_a_clip_that_ends_with_its_file(clips):
    assert changes(recorded(clips), recorded(clips[::-1])).lines == ("the order of the clips of train",)
    starts = [recorded([replace(clips[0], start_s=start_s, duration_s=None)]) for start_s in (0.0, 1.0, 1.5)]
    said = ("1 clip of another start or duration in train: 'a'",)
    assert [changes(*pair).lines for pair in pairwise(starts)] == [said, said]


def test_a_record_that_is_not_of_the_checkpoint_does_not_say_what_changed(clips, tmp_path):
    before, now = recorded(clips), recorded(clips[:1])
    (tmp_path / "data.json").write_text(before.text, encoding="utf-8")
    removed = ("1 clip removed from train: 'b'",)
    assert found_changes(tmp_path, now, before.digest).lines == found_changes(tmp_path, now).lines == removed
    other = found_changes(tmp_path, now, "of a later start")
    assert other.lines == (f"what changed is not known: {tmp_path}/data.json is missing or of other data",)
    assert not other.is_comparable


EVENTS = (Event(0.5, 1.0, "cat"), Event(1.0, 1.5, "cat"))


@pytest.mark.parametrize(
    "change",
    [
        {"events": (EVENTS[0], replace(EVENTS[1], offset_s=1.25))},
        {"events": EVENTS[:1]},
        {"events": ()},
        {"events": None},
        {"events": None, "is_labelled": False},
    ],
)
def test_other_events_are_a_change_and_their_order_is_none(clips, change):
    before = [clips[0], replace(clips[1], events=EVENTS)]
    said = changes(recorded(before), recorded([clips[0], replace(before[1], **change)]))
    assert said.lines == ("1 clip with other events in train: 'b'",)
    assert changes(recorded(before), recorded([clips[0], replace(before[1], events=EVENTS[::-1])])).lines == ()
    assert not changes(recorded(clips, before), recorded(clips, clips)).is_comparable


def test_a_record_of_clips_without_events_is_as_it_was(clips):
    assert "events" not in recorded(clips).text
