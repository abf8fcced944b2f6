"""Labels of events, and runs of them, that cannot be used: the command says where, and what would be right."""

from __future__ import annotations

import gzip

import calling
import numpy as np
import pytest
import soundfile

pytestmark = pytest.mark.any_paddle

HEADER = "filename\tonset\toffset\tevent_label\n"
REST = "b.wav\t0.2\t0.5\tcat\nc.wav\t0.1\t0.3\tcat\nd.wav\t0\t1.5\tdog\n"
GOOD = HEADER + "a.wav\t0.1\t0.4\tdog\n" + REST
SETTINGS = """\
task: events
model: {name: panns_cnn6}
data: {name: manifest, workers: 0, params: {path: clips.csv, root: sounds, multi_label: true, events: [strong.tsv]}}
train: {batch_size: 2, crop_s: 1.0, epochs: 1}
"""


@pytest.fixture
def work(tmp_path):
    """Four sounds of 2 s, their table and their events."""
    (tmp_path / "sounds").mkdir()
    for number, name in enumerate("abcd"):
        sound = 0.1 * np.sin(0.1 * (number + 1) * np.arange(16000))
        soundfile.write(tmp_path / "sounds" / f"{name}.wav", sound, 8000)
    (tmp_path / "clips.csv").write_text("path,split\na.wav,train\nb.wav,train\nc.wav,valid\nd.wav,valid\n")
    (tmp_path / "strong.tsv").write_text(GOOD)
    (tmp_path / "settings.yaml").write_text(SETTINGS)
    return tmp_path


def refused(work, *overrides, command=("train", "--dry-run")):
    """What the command says that refuses."""
    if command[0] == "train":
        done = calling.train(work / "settings.yaml", *command[1:], *overrides, cwd=work)
    else:
        done = calling.pannsdist(*command, "-c", "settings.yaml", *overrides, cwd=work)
    assert done.exit_code == 2, done.output
    assert "Traceback" not in done.output and not (work / "runs" / "run" / "best_model").exists()
    return done.output


ROWS = {
    "offset before onset": (
        "a.wav\t0.4\t0.1\tdog\n",
        "strong.tsv:2: the offset, 0.1 s, is not after the onset, 0.4 s\n  an event ends after its onset",
    ),
    "negative": ("a.wav\t-1\t1\tdog\n", "strong.tsv:2: the onset is -1 s\n  seconds from the start of the sound, 0 or"),
    "no number": ("a.wav\tnan\t1\tdog\n", "strong.tsv:2: onset is 'nan'\n  it is a number of seconds"),
    "infinite": ("a.wav\t0\t1e400\tdog\n", "strong.tsv:2: offset is '1e400'\n  it is a number of seconds"),
    "overlapping": (
        "a.wav\t0.1\t0.4\tdog\na.wav\t0.3\t0.6\tdog\n",
        "strong.tsv:3: 'dog' from 0.3 to 0.6 s of a.wav overlaps 'dog' from 0.1 to 0.4 s at strong.tsv:2\n  a label "
        "sounds or does not: make one event of both, or have them merged: data.params.overlaps=merge",
    ),
    "twice": (
        "a.wav\t0.1\t0.4\tdog\n" * 2,
        "strong.tsv:3: 'dog' from 0.1 to 0.4 s of a.wav is at strong.tsv:2 already",
    ),
    "no clip": ("e.wav\t0\t1\tdog\na.wav\t0.1\t0.4\tdog\n", "1 of 5 sounds with labels are no clip"),
}


@pytest.mark.parametrize("case", ROWS)
def test_a_row_that_is_no_event_is_refused(work, case):
    rows, said = ROWS[case]
    (work / "strong.tsv").write_text(HEADER + rows + REST)
    assert f"error: {said}" in refused(work)


FILES = {
    "commas": (GOOD.replace("\t", ",").encode(), "strong.tsv:1: values are separated by commas\n  the columns are"),
    "empty": (b"", "strong.tsv:1: there is no text in it\n  a table of DCASE starts with"),
    "a header alone": (HEADER.encode(), "strong.tsv (data.params.events): no sound is listed there\n  a table has"),
    "gzip": (gzip.compress(GOOD.encode()), "strong.tsv is compressed by gzip, no text (data.params.events)"),
    "binary": (bytes(range(256)), "strong.tsv:1: a zero byte, so it is not UTF-8 (data.params.events)"),
}


@pytest.mark.parametrize("case", FILES)
def test_a_file_that_is_no_table_of_events_is_refused(work, case):
    content, said = FILES[case]
    (work / "strong.tsv").write_bytes(content)
    assert f"error: {said}" in refused(work)


def test_windows_line_ends_and_spaces_around_values_are_read(work):
    (work / "strong.tsv").write_bytes(GOOD.replace("\tdog", "\t dog ").replace("\n", "\r\n").encode())
    done = calling.train(work / "settings.yaml", "--dry-run", cwd=work)
    assert done.exit_code == 0, done.output


def test_a_label_that_is_not_in_the_list_is_refused(work):
    (work / "labels.txt").write_text("cat\ndog\n")
    (work / "strong.tsv").write_text(GOOD.replace("d.wav\t0\t1.5\tdog", "d.wav\t0\t1.5\tdgo"))
    said = refused(work, "data.params.labels=labels.txt")
    assert "error: strong.tsv:5: unknown label 'dgo'\n  labels are listed in labels.txt (data.params.labels)" in said
    assert "closest: dog" in said


def test_an_event_beyond_a_length_that_a_table_gives_is_refused(work):
    (work / "lengths.tsv").write_text("filename\tduration\nd.wav\t1.25\n")
    said = refused(work, "data.params.events=[strong.tsv,lengths.tsv]")
    assert "error: strong.tsv:5: 'dog' from 0 to 1.5 s ends after its sound, d.wav of 1.25 s" in said
    assert "its offset is at most 1.25 s" in said


@pytest.mark.slow
def test_an_event_after_the_end_of_its_sound_is_refused_where_the_sound_is_read(work):
    (work / "strong.tsv").write_text(GOOD.replace("a.wav\t0.1\t0.4", "a.wav\t100\t400"))
    said = refused(work, command=("train",))
    assert "clip 'a.wav' (sounds/a.wav): its event 'dog' from 100 to 400 s is mostly after its end, at 2.000 s" in said
    said = refused(work, command=("data", "check", "--workers", "0"))
    assert "with an event after the end: 1\n  train/a.wav: 'dog' ends at 400.000 s, the clip at 2.000 s" in said


def test_a_network_without_frames_is_refused_for_events(work):
    said = refused(work, "model.name=ast_tiny")
    assert f"error: task in {work / 'settings.yaml'} is events, but model ast_tiny " in said
    assert "does not answer by frame\n  choose a model that does, such as efficientat_mn04 or panns_cnn10" in said
    assert "next: pannsdist plugins list model" in said


def test_clips_without_a_label_are_refused_for_a_network_of_clips(work):
    (work / "weak.tsv").write_text("filename\tevent_labels\na.wav\tdog\nb.wav\tcat\nc.wav\tcat\n")
    overrides = ("data.params.events=[weak.tsv]", "data.params.unlisted=unlabelled", "task=clips")
    assert "clip 'd.wav' of valid has no labels, and nothing can be learned from it" in refused(work, *overrides)
