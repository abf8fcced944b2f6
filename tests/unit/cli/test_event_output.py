"""What `detect` writes in formats of labels is read back to equal events, and what cannot be is refused."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import numpy as np
import pytest

from pannsdist.cli.event_formats import EventOutput
from pannsdist.cli.formats import Result
from pannsdist.contracts import Event as LabelledEvent
from pannsdist.contracts import UserError
from pannsdist.contracts.event_files import LabelFiles, read_label_files
from pannsdist.contracts.sound_labels import sound_labels
from pannsdist.inference.detection import Event
from pannsdist.runtime.errors import CannotWrite

LABELS = ("Dog", "Vehicle horn, car horn, honking", 'the "low" hum', "\u6c34\u6ef4", "=1+1", "\\", "1,5", "#")
SOUNDS = ("a.wav", "deep/a.wav", "deep/b c.d.flac", "deep/\u591c.ogg", 'deep/it"s.wav')


def random_events(random):
    """Events of each label that do not overlap, with times of every size."""
    events = []
    for label in random.permutation(LABELS)[: random.integers(0, 4)]:
        scale = 10.0 ** random.integers(-9, 9)
        edges = np.unique(np.sort(random.random(2 * random.integers(1, 4)) * scale))
        times = edges[: len(edges) // 2 * 2].reshape(-1, 2).tolist()
        events += [Event(onset_s, offset_s, str(label), float(random.random())) for onset_s, offset_s in times]
    return events


def read(path, **how):
    labels = sound_labels(read_label_files(LabelFiles([path], **how)))
    return {name: labels.events.row(row, labels.label_names) for row, name in enumerate(labels.names)}


def expected(events):
    return tuple(LabelledEvent(event.onset_s, event.offset_s, event.label) for event in events)


@pytest.mark.parametrize("seed", range(30))
@pytest.mark.parametrize("name", ["dcase", "audacity", "raven", "jsonl"])
def test_what_is_written_is_read_back_to_equal_events(tmp_path, name, seed):
    random = np.random.default_rng(seed)
    found = {sound: random_events(random) for sound in SOUNDS}
    target = tmp_path / {"dcase": "all.tsv", "jsonl": "all.jsonl"}.get(name, "tracks")
    output = EventOutput.of(target, name, [Path(sound) for sound in SOUNDS])
    output.write_events(Result(sound, events) for sound, events in found.items())
    names = {sound: sound if name in ("dcase", "jsonl") else str(Path(sound).with_suffix("")) for sound in SOUNDS}
    if name in ("audacity", "raven"):
        names["a.wav"] = "a"
    assert read(target) == {names[sound]: expected(events) for sound, events in found.items()}
    assert read(target, format=name) == read(target)


def test_tracks_lie_below_the_folder_that_all_sounds_are_in(tmp_path):
    output = EventOutput.of(tmp_path, "raven", [Path("/data/sounds/x/a.wav"), Path("/data/sounds/y/a.wav")])
    output.write_events([Result("/data/sounds/x/a.wav", []), Result("/data/sounds/y/a.wav", [])])
    assert sorted(read(tmp_path)) == ["x/a", "y/a"]
    assert (tmp_path / "x" / "a.selections.txt").is_file()


def test_the_track_of_one_sound_is_a_file_or_is_printed(tmp_path, capsys):
    found = [Event(0.5, 1e-07 + 1, "Dog", 0.9)]
    EventOutput.of(tmp_path / "own.txt", "audacity", [Path("a.wav")]).write_events([Result("a.wav", found)])
    assert (tmp_path / "own.txt").read_text() == "0.5\t1.0000001\tDog\n"
    EventOutput.of(None, "audacity", [Path("a.wav")]).write_events([Result("a.wav", found)])
    assert capsys.readouterr().out == "0.5\t1.0000001\tDog\n"
    EventOutput.of(tmp_path, "audacity", [Path("x/a.wav")]).write_events([Result("x/a.wav", found)])
    assert (tmp_path / "a.txt").is_file()


def test_the_header_of_a_dcase_table_stands_once_and_a_sound_without_events_has_a_row(monkeypatch):
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    EventOutput.of(None, "dcase", [Path("a.wav"), Path("b.wav")]).write_events(
        [Result("a.wav", []), Result("b.wav", [Event(0.0, 2.5, "Dog", 0.5)])]
    )
    assert sys.stdout.getvalue() == "filename\tonset\toffset\tevent_label\na.wav\t\t\t\nb.wav\t0.0\t2.5\tDog\n"


def test_several_tracks_need_a_folder_and_names_of_their_own(tmp_path):
    with pytest.raises(UserError, match="--format audacity writes a file for each sound, and there are 2"):
        EventOutput.of(None, "audacity", [Path("a.wav"), Path("b.wav")])
    with pytest.raises(UserError, match=r"x/a.wav and x/a.flac would both have the file a.txt"):
        EventOutput.of(tmp_path, "audacity", [Path("x/a.wav"), Path("x/a.flac")])
    (tmp_path / "file").touch()
    with pytest.raises(CannotWrite):
        EventOutput.of(tmp_path / "file", "audacity", [Path("a.wav"), Path("b.wav")])


@pytest.mark.parametrize("label", ["two\tparts", " Dog", "", "two\nlines"])
@pytest.mark.parametrize("name", ["dcase", "audacity", "raven"])
def test_a_label_that_would_be_read_as_another_one_is_refused(tmp_path, name, label):
    output = EventOutput.of(tmp_path / "out.txt", name, [Path("a.wav")])
    with pytest.raises(UserError, match="cannot be written"):
        output.write_events([Result("a.wav", [Event(0.0, 1.0, label, 0.5)])])
    assert not (tmp_path / "out.txt").exists()
