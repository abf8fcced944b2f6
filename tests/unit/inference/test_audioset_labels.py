"""The classes of AudioSet are those of the published list, in its order."""

import csv

from pannsdist.inference import audioset


def test_the_classes_are_those_of_the_published_list_in_its_order(shared):
    with (shared / "data" / "AudioSet" / "class_labels_indices.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert audioset.labels() == tuple(row["display_name"] for row in rows)
    assert audioset.machine_ids() == tuple(row["mid"] for row in rows)


def test_there_are_527_classes_and_no_name_or_id_comes_twice():
    for texts in (audioset.labels(), audioset.machine_ids()):
        assert len(texts) == len(set(texts)) == 527
    assert (audioset.labels()[0], audioset.machine_ids()[0]) == ("Speech", "/m/09x0r")
    assert audioset.labels()[1] == "Male speech, man speaking"
