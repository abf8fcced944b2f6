"""Soundscapes of real recordings, by the recipe that comes along."""

import json

import numpy as np
import pytest
import soundfile

from pannsdist.builtin.manifest import Manifest
from pannsdist.builtin.manifest.params import ManifestParams
from pannsdist.cli.command_line import main
from pannsdist.contracts import Event

pytestmark = pytest.mark.real
FEW = ("soundscapes.train=12", "soundscapes.valid=6")


@pytest.fixture(scope="module")
def mixed(shared, tmp_path_factory):
    """A folder of 18 soundscapes."""
    folder = tmp_path_factory.mktemp("of_esc10") / "mixed"
    root = f"data.params.root={shared / 'data' / 'ESC-10'}"
    words = ("data", "mix", "-c", "recipe:soundscapes/esc10", "-o", str(folder), "--workers", "2", root, *FEW)
    assert main(list(words)) == 0
    return folder


def annotations(folder, split):
    for path in sorted((folder / split).glob("*.jams")):
        yield path, json.loads(path.read_text(encoding="utf-8"))["annotations"][0]


def test_fold_5_is_held_out(mixed):
    for split, folds in (("train", "1234"), ("valid", "5")):
        sources = [
            one["value"]["source_file"]
            for _, annotation in annotations(mixed, split)
            for one in annotation["data"]
            if one["value"]["role"] == "foreground"
        ]
        assert len(sources) >= 6
        assert all(source[0] in folds for source in sources)


def test_every_class_has_sources_in_both_splits_and_none_of_them_begins_with_silence(mixed):
    record = json.loads((mixed / "soundscapes.json").read_text(encoding="utf-8"))
    for split, clips in (("train", 32), ("valid", 8)):
        sources = record["splits"][split]["sources"]
        assert len(sources) == 10
        assert {len(of_label) for of_label in sources.values()} == {clips}
        barking = [len(clip["sources_s"]) for clip in sources["dog"].values()]
        assert max(barking) > 1, "a dog barks twice in some clip"
        assert {len(clip["sources_s"]) for clip in sources["clock_tick"].values()} == {1}


def test_events_rise_out_of_the_background_from_their_onset_on(mixed):
    """In the first 50 ms of an event that is alone there is more sound than in the 50 ms before."""
    rises = []
    for path, annotation in annotations(mixed, "train"):
        waveform, rate_hz = soundfile.read(path.with_suffix(".wav"))
        events = [one for one in annotation["data"] if one["value"]["role"] == "foreground"]
        for one in events:
            onset_s = one["time"]
            others = [other for other in events if other is not one]
            if onset_s < 0.1 or any(
                other["time"] - 0.1 < onset_s < other["time"] + other["duration"] + 0.1 for other in others
            ):
                continue
            onset, part = round(onset_s * rate_hz), round(0.05 * rate_hz)
            before, behind = (np.mean(np.square(waveform[at : at + part])) for at in (onset - part, onset))
            rises.append(10 * np.log10(behind / before))
    assert len(rises) >= 8
    assert np.median(rises) > 3


def test_the_manifest_is_a_dataset_of_strongly_labelled_clips(mixed):
    dataset = Manifest(ManifestParams(path=str(mixed / "clips.jsonl")))
    assert dataset.splits == ("train", "valid")
    assert [len(dataset.clips(split)) for split in dataset.splits] == [12, 6]
    clip = dataset.clips("valid")[0]
    line = json.loads((mixed / "clips.jsonl").read_text(encoding="utf-8").splitlines()[12])
    assert clip.events == tuple(Event(**event) for event in line["events"])
    assert clip.source.is_file()
