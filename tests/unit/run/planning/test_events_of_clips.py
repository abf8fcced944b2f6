"""The events of the clips of any dataset are checked by the plan, listed one by one or in columns, with one message."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from small_parts import tone

from pannsdist.contracts import Clip, Event, NoParams, labels_of_events
from pannsdist.contracts.clip_lists import ClipList
from pannsdist.contracts.event_checks import are_events_plain
from pannsdist.registry import Entry, Origin
from pannsdist.registry.building import Part
from pannsdist.run.planning.data import load_data
from pannsdist.runtime.errors import BadDataset

LABELS = ("cat", "dog")
EVENTS = (Event(0.5, 1.0, "dog"), Event(0.0, 2.0, "cat"), Event(1.0, 1.5, "dog"))
STRONG = Clip("strong", tone(440.0), ("cat", "dog"), duration_s=2.0, events=EVENTS)


class Anyones:
    """A dataset plugin of somebody else, which checks nothing."""

    labels, splits = LABELS, ("train", "valid")

    def __init__(self, clips, multi_label):
        self.multi_label, self._clips = multi_label, clips

    def clips(self, split):
        return self._clips if split == "train" else [Clip("v", tone(550.0), ("cat",))]


def load(clips, multi_label=True):
    entry = Entry("dataset", "anyones", Origin("somebodys-sounds", "2.0"), "nowhere:Anyones")
    return load_data(Part(entry, NoParams(), Anyones(clips, multi_label)))


FAULTS = {
    "negative": ({"events": (Event(-0.5, 1.0, "dog"),)}, "has the event 'dog' from -0.5 to 1.0 s"),
    "backwards": ({"events": (Event(1.0, 0.5, "dog"),)}, "from 1.0 to 0.5 s"),
    "a point": ({"events": (Event(1.0, 1.0, "dog"),)}, "from 1.0 to 1.0 s"),
    "not a number": ({"events": (Event(math.nan, 1.0, "dog"),)}, "from nan to 1.0 s"),
    "endless": ({"events": (Event(0.0, math.inf, "dog"),), "duration_s": None}, "from 0.0 to inf s"),
    "beyond": ({"events": (Event(0.0, 2.01, "dog"),)}, "from 0.0 to 2.01 s, and lasts 2.0 s"),
    "unknown": ({"events": (Event(0.0, 1.0, "bat"),), "labels": ("dog",)}, "has the event 'bat' from 0.0 to 1.0 s"),
    "more labels": ({"events": EVENTS[:1]}, "is labelled ('cat', 'dog'), but its events are ('dog',)"),
    "fewer labels": ({"labels": ("cat",)}, "is labelled ('cat',), but its events are ('cat', 'dog')"),
    "unlabelled": ({"is_labelled": False}, "is not labelled, and yet has events"),
    "labels of nothing": (
        {"is_labelled": False, "events": None},
        "is not labelled, and yet has labels, ('cat', 'dog')",
    ),
}


def faulty(case):
    change, said = FAULTS[case]
    events = change.get("events")
    change = {"labels": labels_of_events(events), **change} if events and case != "more labels" else change
    return replace(STRONG, **change), said


@pytest.mark.parametrize("case", FAULTS)
@pytest.mark.parametrize("kept", [list, ClipList.of], ids=["clips", "columns"])
def test_events_that_cannot_be_are_refused_with_the_name_of_their_clip(case, kept):
    clip, said = faulty(case)
    with pytest.raises(BadDataset) as caught:
        load(kept([STRONG, replace(clip, id="bad")]))
    assert str(caught.value).startswith("split 'train' of dataset anyones (somebodys-sounds 2.0): clip 'bad' ")
    assert said in str(caught.value)


@pytest.mark.parametrize("kept", [list, ClipList.of], ids=["clips", "columns"])
def test_clips_with_events_labels_and_nothing_are_accepted_together(kept):
    silent = replace(STRONG, id="silent", labels=(), events=())
    weak = replace(STRONG, id="weak", events=None)
    unknown = replace(STRONG, id="unknown", labels=(), events=None, is_labelled=False)
    rounded = replace(STRONG, id="rounded", events=(*EVENTS, Event(1.6, 2.0009, "dog")))
    clips = kept([STRONG, silent, weak, unknown, rounded])
    assert len(load(clips).splits["train"]) == 5
    if isinstance(clips, ClipList):
        assert are_events_plain(clips, set(LABELS), True)


def test_events_in_a_dataset_of_single_labels_are_refused():
    with pytest.raises(BadDataset, match="has events, but the dataset says that a clip has one label"):
        load([replace(STRONG, labels=("dog",), events=EVENTS[:1])], multi_label=False)
