"""`pannsdist data check` reads every clip once and tells what there is, and what is wrong."""

import json

import numpy as np
import pytest
import soundfile

from pannsdist.cli.command_line import main

HEADER = "path,label,split,start,duration"
RATE_HZ = 8000


def sound(seed, duration_s=0.5):
    samples = np.random.default_rng(seed).uniform(-0.5, 0.5, round(duration_s * RATE_HZ))
    return samples.astype(np.float32)


@pytest.fixture
def folder(tmp_path):
    """Four clips with nothing wrong."""
    rows = []
    for number, (label, split) in enumerate([("dog", "train"), ("cat", "train"), ("dog", "valid"), ("cat", "valid")]):
        soundfile.write(tmp_path / f"{number}.wav", sound(number, 0.5 + number / 4), RATE_HZ)
        rows.append(f"{number}.wav,{label},{split},,")
    return Folder(tmp_path, rows)


class Folder:
    """A manifest, its sounds and the command on it."""

    def __init__(self, path, rows):
        self.path, self.rows = path, rows

    def add(self, name, samples, split, *, label="dog", rate_hz=RATE_HZ, span=","):
        soundfile.write(self.path / name, samples, rate_hz, subtype="FLOAT")
        self.rows.append(f"{name},{label},{split},{span}")

    def check(self, *arguments, workers="0"):
        (self.path / "clips.csv").write_text("\n".join([HEADER, *self.rows]), encoding="utf-8")
        (self.path / "check.yaml").write_text("{name: c, model: {name: panns_cnn6}, data: {name: manifest}}")
        place = f"data.params.path={self.path / 'clips.csv'}"
        return main(["data", "check", "-c", str(self.path / "check.yaml"), "--workers", workers, *arguments, place])

    def report(self, capsys, code, *arguments, workers="0"):
        assert self.check("--format", "json", *arguments, workers=workers) == code
        return json.loads(capsys.readouterr().out)


def test_clips_are_counted_by_class_and_split_and_measured(folder, capsys):
    found = folder.report(capsys, 0)
    assert found["clips"] == {"train": 2, "valid": 2}
    assert found["classes"] == {"cat": {"train": 1, "valid": 1}, "dog": {"train": 1, "valid": 1}}
    assert found["lengths_s"] == {"train": [0.5, 0.625, 0.75], "valid": [1.0, 1.125, 1.25]}
    assert found["rates_hz"] == {"8000": 4}
    for fault in ("unreadable", "silent", "duplicates", "shared", "missing", "unlisted"):
        assert not found[fault]


def test_workers_find_the_same_as_one_process(folder, capsys):
    folder.add("9.wav", np.zeros(800, np.float32), "train")
    folder.rows += [f"{number}.wav,dog,valid,0.{number},0.1" for number in range(4)]
    assert folder.report(capsys, 2, workers="2") == folder.report(capsys, 2)


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"", "the file is empty"), (b"RIFFnothing of the kind", "libsndfile cannot decode it")],
)
def test_a_file_that_cannot_be_read_is_named_and_the_exit_code_is_2(folder, capsys, content, said):
    (folder.path / "3.wav").write_bytes(content)
    found = folder.report(capsys, 2)
    assert list(found["unreadable"]) == ["valid/3.wav"]
    assert said in found["unreadable"]["valid/3.wav"]
    assert found["clips"] == {"train": 2, "valid": 2}


def test_a_clip_that_holds_nan_cannot_be_used(folder, capsys):
    folder.add("4.wav", np.array([0.1, np.nan], np.float32), "train")
    assert "NaN" in folder.report(capsys, 2)["unreadable"]["train/4.wav"]


def test_silence_is_told_and_two_silences_are_not_the_same_sound(folder, capsys):
    for name, split in (("4.wav", "train"), ("5.wav", "valid")):
        folder.add(name, np.full(800, 5e-5, np.float32), split)
    found = folder.report(capsys, 0)
    assert found["silent"] == ["train/4.wav", "valid/5.wav"]
    assert not found["shared"]


def test_the_same_sound_twice_in_one_split_is_told(folder, capsys):
    folder.add("4.flac.wav", sound(7), "train")
    folder.add("5.wav", sound(7), "train")
    found = folder.report(capsys, 0)
    assert found["duplicates"] == [["train/4.flac.wav", "train/5.wav"]]


def test_the_same_sound_in_two_splits_is_refused_whatever_its_file(folder, capsys):
    folder.add("4.wav", sound(7), "train")
    folder.add("5.wav", sound(7), "valid")
    found = folder.report(capsys, 2)
    assert found["shared"] == [["train/4.wav", "valid/5.wav"]]
    assert not found["duplicates"]


def test_another_rate_is_another_sound(folder, capsys):
    folder.add("4.wav", sound(7), "train")
    folder.add("5.wav", sound(7), "valid", rate_hz=16000)
    found = folder.report(capsys, 0)
    assert found["rates_hz"] == {"8000": 5, "16000": 1}


def test_pieces_of_one_file_that_overlap_in_two_splits_are_refused(folder, capsys):
    folder.add("4.wav", sound(7, 3.0), "train", span="0.0,1.0")
    folder.rows += ["4.wav,dog,train,1.0,0.5", "4.wav,dog,valid,1.4,0.5", "4.wav,dog,valid,1.9,"]
    found = folder.report(capsys, 2)
    assert found["shared"] == [["train/4.wav#1", "valid/4.wav#1.4"]]


def test_pieces_of_one_file_that_only_touch_are_not_shared(folder, capsys):
    folder.add("4.wav", sound(7, 3.0), "train", span="0.0,1.0")
    folder.rows.append("4.wav,dog,valid,1.0,1.0")
    assert not folder.report(capsys, 0)["shared"]


def test_a_sound_file_that_no_list_names_is_told(folder, capsys):
    soundfile.write(folder.path / "stray.wav", sound(8), RATE_HZ)
    assert folder.report(capsys, 0)["unlisted"] == [str(folder.path / "stray.wav")]


def test_one_split_alone_is_read_where_that_is_asked_for(folder, capsys):
    (folder.path / "3.wav").write_bytes(b"")
    assert folder.report(capsys, 0, "--split", "train")["clips"] == {"train": 2}
    assert folder.check("--split", "dev") == 2
    assert "has no split 'dev'" in capsys.readouterr().err


def test_the_table_tells_the_same_in_lines(folder, capsys):
    folder.add("4.wav", sound(0), "valid")
    (folder.path / "3.wav").write_bytes(b"")
    soundfile.write(folder.path / "0.wav", sound(0), RATE_HZ, subtype="FLOAT")
    assert folder.check() == 2
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("manifest (pannsdist ")
    assert [line.split() for line in lines[1:5]] == [
        ["clips", "train", "valid"],
        ["all", "2", "3"],
        ["cat", "1", "1"],
        ["dog", "1", "2"],
    ]
    assert "unreadable: 1" in lines
    assert lines[lines.index("in two splits: 1") + 1] == "  train/0.wav = valid/4.wav"
    assert lines[-2] == "listed clips without a file: 0"
    assert lines[-1].startswith("front end logmel: mean -")


def test_the_tables_lists_are_cut_and_say_so(folder, capsys):
    for number in range(10, 22):
        folder.add(f"{number}.wav", np.zeros(80, np.float32), "train")
    assert folder.check() == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[lines.index("silent: 12") + 11] == "  and 2 more: --format json"


def test_unusual_levels_are_listed_of_what_the_network_gets(folder, capsys):
    stereo = np.stack([sound(5), -sound(5)], axis=1)
    ultrasound = np.sin(2 * np.pi * 20000 * np.arange(48000) / 48000) * np.hanning(48000)
    folder.add("inverted.wav", stereo, "train")
    folder.add("high.wav", ultrasound.astype(np.float32), "train", rate_hz=48000)
    folder.add("loud.wav", sound(6) * 8, "train")
    folder.rows.append("inverted.wav,dog,train,0.1,0.2")
    rate = "model.params={}", "feature.params.sample_rate_hz=16000", "feature.params.high_hz=7000"
    found = folder.report(capsys, 0, *rate)
    starts = {name: remarks[0].split(":")[0] for name, remarks in found["levels"].items()}
    assert starts == {
        "train/inverted.wav": "its channels cancel each other",
        "train/high.wav": "its sound is above half of the network's sample rate, which gets silence",
        "train/loud.wav": "its peak is 4, and full scale is 1",
        "train/inverted.wav#0.1": "its channels cancel each other",
    }
    assert folder.check(*rate) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[lines.index("unusual levels: 4") + 1].startswith("  train/inverted.wav: its channels cancel")


def test_samples_in_the_range_of_integers_are_unreadable(folder, capsys):
    folder.add("int16.wav", np.round(sound(5) * 32768), "train")
    why = folder.report(capsys, 2)["unreadable"]["train/int16.wav"]
    assert "they look like integers stored as floats; divide those of 16 bits by 32768" in why


def test_events_are_counted_and_one_after_the_end_of_its_sound_fails_the_check(folder, capsys):
    late = {"onset_s": 0.25, "offset_s": 1.0, "label": "dog"}
    rows = [
        {"path": "0.wav", "split": "train", "events": [late, {"onset_s": 0.0, "offset_s": 0.25, "label": "cat"}]},
        {"path": "1.wav", "split": "train"},
        {"path": "2.wav", "split": "valid", "labels": ["cat"]},
        {"path": "3.wav", "split": "valid", "events": [late]},
    ]
    table = folder.path / "clips.jsonl"
    table.write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder.path / "check.yaml").write_text("{name: c, model: {name: panns_cnn6}, data: {name: manifest}}")
    order = ["data", "check", "-c", str(folder.path / "check.yaml"), "--workers", "0", f"data.params.path={table}"]
    assert main([*order, "--format", "json"]) == 2
    found = json.loads(capsys.readouterr().out)
    assert found["marks"] == {"train": [1, 0, 1, 2], "valid": [1, 1, 0, 1]}
    assert found["beyond"] == {"train/0.wav": "'dog' ends at 1.000 s, the clip at 0.500 s"}
    assert main(order) == 2
    said = capsys.readouterr().out
    assert "not labelled: train 1, valid 0\nevents: train 2, valid 1\nwith an event after the end: 1" in said
