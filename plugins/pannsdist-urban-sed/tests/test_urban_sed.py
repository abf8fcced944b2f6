"""What the dataset `urban_sed` makes of the published folders."""

import json

from corpus_tests import EventCorpusTests, touch, write
from pannsdist_urban_sed import LABELS, PARTS, UrbanSed

from pannsdist.contracts import Event

NAMES = ("soundscape_{}_bimodal0", "soundscape_{}_uniform12")


def make_root(folder):
    """Two soundscapes in each set, with both kinds of annotations."""
    for part in PARTS:
        for number, pattern in enumerate(NAMES):
            name = pattern.format(part)
            rows = [(place / 2, 0.4, label) for place, label in enumerate(LABELS[number::2])]
            text = [f"{time_s:.6f}\t{time_s + length_s:.6f}\t{label}" for time_s, length_s, label in rows]
            write(folder / f"annotations/{part}/{name}.txt", text)
            write(folder / f"annotations/{part}/{name}.jams", [jams(rows)])
            touch(folder, (f"audio/{part}/{name}.wav",))
    return folder


def jams(rows):
    """As Scaper writes it: the background is an event too."""
    background = {"time": 0.0, "duration": 10.0, "value": {"role": "background", "label": "brownnoise"}}
    events = [
        {"time": time_s, "duration": length_s, "value": {"role": "foreground", "label": label, "snr": 6.0}}
        for time_s, length_s, label in rows
    ]
    annotation = {"namespace": "scaper", "data": [background, *events]}
    return json.dumps({"annotations": [annotation], "file_metadata": {"duration": 10.0}})


class TestUrbanSed(EventCorpusTests):
    plugin = UrbanSed
    name = "urban_sed"
    make_root = staticmethod(make_root)
    source_of = staticmethod(lambda clip: clip.id)
    needed = ("annotations/train", "annotations/validate", "audio/test")
    counts = {"train": 2, "valid": 2, "test": 2}
    labels = LABELS
    a_sound = "audio/train/soundscape_train_bimodal0.wav"

    def test_events_are_those_of_the_simplified_annotations(self, root):
        clip = self.opened(root).clips("train")[0]
        assert (clip.id, clip.source) == ("soundscape_train_bimodal0", root / self.a_sound)
        assert clip.events[:2] == (Event(0.0, 0.4, "air_conditioner"), Event(0.5, 0.9, "children_playing"))
        assert clip.labels == tuple(sorted(LABELS[::2]))

    def test_jams_say_the_same(self, root):
        assert self.everything(root, annotations="jams") == self.everything(root)

    def test_overlapping_sounds_of_a_class_are_one_event_or_refused(self, root):
        track = root / "annotations/train/soundscape_train_bimodal0.txt"
        write(track, ["0.5\t1.5\tsiren", "1.0\t2.0\tsiren"])
        assert self.opened(root).clips("train")[0].events == (Event(0.5, 2.0, "siren"),)
        assert f"{track}:2: 'siren' from 1 to 2 s" in self.refusal(root, overlaps="refuse")

    def test_another_label_and_an_empty_set_are_refused(self, root):
        track = root / "annotations/train/soundscape_train_bimodal0.txt"
        write(track, ["0.5\t1.5\thorse"])
        assert self.refusal(root).startswith(f"{track}:1: unknown label 'horse'")
        for path in (root / "annotations/train").glob("*.txt"):
            path.unlink()
        assert "annotations/train has no .txt file" in self.refusal(root)
        assert "data.params.annotations is 'csv'" in self.refusal(root, annotations="csv")

    def test_a_soundscape_without_its_sound_is_refused(self, root):
        (root / self.a_sound).unlink()
        assert f": {self.a_sound}" in self.refusal(root)
