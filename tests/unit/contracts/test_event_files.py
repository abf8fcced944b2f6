"""Files of event labels: what is read out of each format, and which line is refused and why."""

from __future__ import annotations

import gzip
import json

import numpy as np
import pytest

from pannsdist.contracts import Event, UserError
from pannsdist.contracts.event_files import LabelFiles, read_label_files, read_listed_sounds, sound_of
from pannsdist.contracts.label_rows import LENGTH, STRONG, UNLABELLED, WEAK
from pannsdist.contracts.sound_labels import sound_labels

HEADER = "filename\tonset\toffset\tevent_label\n"
RAVEN = "Selection\tView\tChannel\tBegin Time (s)\tEnd Time (s)\tLow Freq (Hz)\tHigh Freq (Hz)\tAnnotation\n"
DOGS = HEADER + "a.wav\t0.5\t1.25\tdog\na.wav\t2\t3\tdog\n"


def found(folder, name, content, overlaps="refuse", **how):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return sound_labels(read_listed_sounds(LabelFiles([path], **how)), overlaps)


def events(labels):
    return {
        name: None if labels.kinds[row] != STRONG else labels.events.row(row, labels.label_names)
        for row, name in enumerate(labels.names)
    }


def refusal(folder, name, content, **how):
    with pytest.raises(UserError) as caught:
        found(folder, name, content, **how)
    return str(caught.value)


def test_a_table_of_dcase_has_the_events_of_each_sound_in_its_order(tmp_path):
    content = HEADER + "b.wav\t1.5\t2\tcat\na.wav\t0\t0.25\tdog\nb.wav\t0.1\t9.75\tdog, barking\nc.wav\t\t\t\n"
    expected = {
        "b.wav": (Event(1.5, 2.0, "cat"), Event(0.1, 9.75, "dog, barking")),
        "a.wav": (Event(0.0, 0.25, "dog"),),
        "c.wav": (),
    }
    assert events(found(tmp_path, "strong.tsv", content)) == expected
    other_order = "event_label\toffset\tonset\tfilename\tfold\ncat\t2\t1.5\tb.wav\t1\n"
    assert events(found(tmp_path, "other.tsv", other_order)) == {"b.wav": (Event(1.5, 2.0, "cat"),)}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
def test_every_encoding_with_a_mark_and_every_line_ending_is_read(tmp_path, encoding, ending):
    content = (HEADER + "夜.wav\t0.5\t1\tчайка\n").replace("\n", ending).encode(encoding)
    assert events(found(tmp_path, "a.tsv", content)) == {"夜.wav": (Event(0.5, 1.0, "чайка"),)}


def test_weak_labels_lengths_and_names_alone_are_told_apart_by_the_header(tmp_path):
    weak = found(tmp_path, "weak.tsv", "filename\tevent_labels\na.wav\tDog,Speech\nb.wav\t\n")
    assert weak.kinds.tolist() == [WEAK, WEAK]
    assert [[weak.label_names[label] for label in weak.weak.row(row)] for row in (0, 1)] == [["Dog", "Speech"], []]
    lengths = found(tmp_path, "durations.tsv", "filename\tduration\na.wav\t9.5\n")
    assert (lengths.kinds.tolist(), lengths.lengths_s.tolist()) == ([LENGTH], [9.5])
    assert found(tmp_path, "unlabel.tsv", "filename\na.wav\n").kinds.tolist() == [UNLABELLED]


def test_several_files_are_one_set_of_labels(tmp_path):
    (tmp_path / "durations.tsv").write_text("filename\tduration\na.wav\t3\n")
    (tmp_path / "strong.tsv").write_text(DOGS)
    (tmp_path / "weak.tsv").write_text("filename\tevent_labels\nb.wav\tcat\n")
    files = [tmp_path / f"{name}.tsv" for name in ("durations", "strong", "weak")]
    labels = sound_labels(read_label_files(LabelFiles(files)))
    assert (labels.names, labels.label_names) == (["a.wav", "b.wav"], ("cat", "dog"))
    assert (labels.kinds.tolist(), labels.lengths_s[0]) == ([STRONG, WEAK], 3.0)


def test_a_label_track_of_audacity_is_read_without_its_frequencies(tmp_path):
    track = '0.500000\t1.250000\tdog\n\\\t100.000000\t2000.000000\n2.000000\t3.000000\tcat: a "kitten"\n'
    assert events(found(tmp_path, "a.txt", track)) == {
        "a": (Event(0.5, 1.25, "dog"), Event(2.0, 3.0, 'cat: a "kitten"'))
    }
    assert events(found(tmp_path, "empty.txt", "")) == {"empty": ()}


def test_a_selection_table_of_raven_has_each_selection_once(tmp_path):
    rows = "1\tWaveform 1\t1\t0.5\t1.25\t0\t9000\tdog\n1\tSpectrogram 1\t1\t0.5\t1.25\t0\t9000\tdog\n"
    content = RAVEN + rows + "2\tSpectrogram 1\t1\t2\t3\t0\t9000\tcat\n"
    expected = {"a": (Event(0.5, 1.25, "dog"), Event(2.0, 3.0, "cat"))}
    assert events(found(tmp_path, "a.Table.1.selections.txt", content)) == expected
    assert events(found(tmp_path, "a.selections.txt", RAVEN)) == {"a": ()}


def test_a_selection_table_of_several_sounds_has_times_within_each(tmp_path):
    header = "Selection\tBegin Time (s)\tEnd Time (s)\tBegin File\tFile Offset (s)\tSpecies\n"
    content = header + "1\t0.5\t1\tone.wav\t0.5\tswift\n2\t60.5\t61.5\ttwo.wav\t0.5\tswift\n"
    expected = {"one.wav": (Event(0.5, 1.0, "swift"),), "two.wav": (Event(0.5, 1.5, "swift"),)}
    assert events(found(tmp_path, "all.txt", content)) == expected


def test_the_column_of_labels_of_a_selection_table_can_be_named(tmp_path):
    header = "Selection\tBegin Time (s)\tEnd Time (s)\tSpecies\tCall\n"
    content = header + "1\t0.5\t1\tswift\tscream\n"
    assert events(found(tmp_path, "a.txt", content, label_column="Call")) == {"a": (Event(0.5, 1.0, "scream"),)}
    assert "columns that may be it: Species, Call; name it: data.params.event_column=NAME" in refusal(
        tmp_path, "a.txt", content
    )
    assert ":1: no column 'Cal' (data.params.event_column)" in refusal(tmp_path, "a.txt", content, label_column="Cal")


def test_json_lines_hold_events_labels_or_nothing(tmp_path):
    lines = [
        {"path": "a.wav", "events": [{"onset_s": 0.5, "offset_s": 1, "label": "dog", "score": 0.75}]},
        {"path": "b.wav", "events": [], "remarks": ["quiet"]},
        {"path": "c.wav", "labels": ["dog", "cat"]},
        {"path": "d.wav"},
    ]
    labels = found(tmp_path, "a.jsonl", "".join(json.dumps(line) + "\n" for line in lines))
    assert events(labels) == {"a.wav": (Event(0.5, 1.0, "dog"),), "b.wav": (), "c.wav": None, "d.wav": None}
    assert labels.kinds.tolist() == [STRONG, STRONG, WEAK, UNLABELLED]


def test_a_folder_has_the_tracks_and_tables_of_its_sounds(tmp_path):
    tracks = tmp_path / "tracks"
    (tracks / "deep").mkdir(parents=True)
    (tracks / "a.txt").write_text("0\t1\tdog\n")
    (tracks / "deep" / "b.Table.1.selections.txt").write_text(RAVEN + "1\tS\t1\t0.5\t1.25\t0\t9000\tcat\n")
    (tracks / "._a.txt").write_text("of macOS")
    labels = sound_labels(read_label_files(LabelFiles([tracks])))
    assert events(labels) == {"a": (Event(0.0, 1.0, "dog"),), "deep/b": (Event(0.5, 1.25, "cat"),)}


@pytest.mark.parametrize(
    ("name", "sound"),
    [
        ("a.txt", "a"),
        ("x/a.selections.txt", "x/a"),
        ("a.Table.12.selections.txt", "a"),
        ("a.2.selections.txt", "a.2"),
        ("a.b.txt", "a.b"),
    ],
)
def test_a_label_file_beside_a_sound_is_named_after_it(name, sound):
    assert sound_of(name) == sound


def jams(*events, namespace="scaper", duration=10.0):
    data = [
        {"time": time, "duration": length, "value": {"role": role, "label": label}, "confidence": 1.0}
        for time, length, role, label in events
    ]
    annotation = {"namespace": namespace, "data": data, "sandbox": {}}
    return json.dumps({"annotations": [annotation], "file_metadata": {"duration": duration}})


def test_soundscapes_in_jams_have_their_foreground_events_and_their_length(tmp_path):
    content = jams((0.0, 10.0, "background", "hum"), (0.5, 1.25, "foreground", "dog"))
    labels = found(tmp_path, "a.jams", content)
    assert (events(labels), labels.lengths_s.tolist()) == ({"a": (Event(0.5, 1.75, "dog"),)}, [10.0])
    assert events(found(tmp_path, "b.jams", jams())) == {"b": ()}
    touching = found(tmp_path, "c.jams", jams((0.1, 0.2, "foreground", "dog"), (0.3, 0.1, "foreground", "dog")))
    assert events(touching) == {"c": (Event(0.1, 0.3, "dog"), Event(0.3, 0.4, "dog"))}
    folder = sound_labels(read_label_files(LabelFiles([tmp_path], "jams")))
    assert folder.names == ["a", "b", "c"]
    assert "'dog' from 0.5 to 11.5 s ends after its sound" in refusal(
        tmp_path, "a.jams", jams((0.5, 11.0, "foreground", "dog"))
    )
    assert "not JAMS" in refusal(tmp_path, "a.jams", "{}")
    assert "an event is" in refusal(tmp_path, "a.jams", jams(("0.5", 1.0, "foreground", "dog")))
    assert "an event is" in refusal(tmp_path, "a.jams", jams((0.5, 1.0, "foreground", " ")))
    assert "from 0.0 to inf s" in refusal(tmp_path, "a.jams", jams((0, 10**400, "foreground", "dog")))
    for duration in (-1.0, 0, float("nan"), 10**400, "10"):
        assert "file_metadata.duration is" in refusal(tmp_path, "a.jams", jams(duration=duration))


def test_overlapping_events_of_a_label_are_refused_with_both_lines_or_merged(tmp_path):
    content = HEADER + "a.wav\t1\t3\tdog\na.wav\t0\t9\tcat\na.wav\t2.5\t4\tdog\na.wav\t4\t5\tdog\na.wav\t2\t2.25\tdog\n"
    message = refusal(tmp_path, "a.tsv", content)
    assert f"{tmp_path / 'a.tsv'}:6: 'dog' from 2 to 2.25 s of a.wav overlaps 'dog' from 1 to 3 s at" in message
    assert f"{tmp_path / 'a.tsv'}:2" in message
    assert "data.params.overlaps=merge" in message
    merged = found(tmp_path, "a.tsv", content, "merge")
    assert events(merged) == {"a.wav": (Event(1.0, 4.0, "dog"), Event(0.0, 9.0, "cat"), Event(4.0, 5.0, "dog"))}


BAD_DCASE = {
    "offset_before_onset": ("a.wav\t2\t1\tdog\n", ":2: the offset, 1 s, is not after the onset, 2 s"),
    "no_length": ("a.wav\t2\t2\tdog\n", "a point has no length"),
    "negative": ("a.wav\t-0.5\t1\tdog\n", ":2: the onset is -0.5 s"),
    "not_a_number": ("a.wav\t0\t1\tcat\na.wav\tabc\t1\tdog\n", ":3: onset is 'abc'"),
    "not_finite": ("a.wav\t0\tnan\tdog\n", ":2: offset is 'nan'"),
    "underscore": ("a.wav\t0\t1_0\tdog\n", ":2: offset is '1_0'"),
    "decimal_comma": ("a.wav\t0,5\t1\tdog\n", ":2: onset is '0,5'\n  decimal commas are not read, write 0.5"),
    "minutes": ("a.wav\t0:05\t1\tdog\n", "not minutes and seconds"),
    "empty_label": ("a.wav\t0\t1\t \n", ":2: event_label is empty"),
    "empty_time": ("a.wav\t\t1\tdog\n", ":2: onset is ''"),
    "empty_name": ("\t0\t1\tdog\n", ":2: filename is empty"),
    "too_few": ("a.wav\t0\t1\n", ":2: 3 values for 4 columns"),
    "twice": ("a.wav\t0\t1\tdog\na.wav\t0\t1\tdog\n", ":3: 'dog' from 0 to 1 s of a.wav is at"),
    "event_and_none": ("a.wav\t0\t1\tdog\na.wav\t\t\t\n", ":3: a.wav is listed at"),
}


@pytest.mark.parametrize("case", BAD_DCASE)
def test_a_row_of_dcase_that_is_no_event_is_refused_with_its_line(tmp_path, case):
    rows, expected = BAD_DCASE[case]
    message = refusal(tmp_path, "a.tsv", HEADER + rows)
    assert message.startswith(str(tmp_path / "a.tsv"))
    assert expected in message


BAD_FILES = {
    "spaces": ("a.tsv", "filename onset offset event_label\n", ":1: values are separated by spaces"),
    "empty": ("a.tsv", "", ":1: there is no text in it"),
    "blank": ("a.jsonl", "\n\n", ": no sound is listed there"),
    "header_alone": ("a.tsv", HEADER, ": no sound is listed there"),
    "gzip": ("a.tsv", gzip.compress(HEADER.encode()), "is compressed by gzip, no text"),
    "spreadsheet": ("a.tsv", b"PK\x03\x04" + bytes(40), "is a ZIP archive, as spreadsheets are, no text"),
    "sound": ("a.txt", b"RIFF" + bytes(40), "is a sound, no text"),
    "noise": ("a.txt", bytes(range(256)), ":1: a zero byte"),
    "long_number": ("a.tsv", HEADER + "a.wav\t0\t" + "9" * 5000 + "\tdog\n", ":2: offset is '" + "9" * 80 + "...'"),
    "minus_infinity": ("a.txt", "-inf\t1\tdog\n", ":1: start is '-inf'"),
    "backwards": ("a.txt", "0\t1\tdog\n2\t1\tcat\n", ":2: the offset, 1 s, is not after the onset, 2 s"),
    "raven_backwards": ("a.txt", RAVEN + "1\tS\t1\t2\t1\t0\t1\tdog\n", ":2: the offset, 1 s, is not after"),
    "raven_commas": ("a.txt", RAVEN.replace("\t", ","), "values are not separated by tabs"),
    "json_infinite": (
        "a.jsonl",
        '{"path": "a", "events": [{"onset_s": 0, "offset_s": 1e999, "label": "x"}]}\n',
        ":1: the event is from 0.0 to inf s",
    ),
    "json_too_large": (
        "a.jsonl",
        '{"path": "a", "events": [{"onset_s": 0, "offset_s": 1' + 400 * "0" + ', "label": "x"}]}\n',
        ":1: the event is from 0.0 to inf s",
    ),
    "json_bool": (
        "a.jsonl",
        '{"path": "a", "events": [{"onset_s": false, "offset_s": true, "label": "x"}]}\n',
        "with numbers as its times",
    ),
    "json_other_labels": (
        "a.jsonl",
        '{"path": "a", "labels": ["y"], "events": [{"onset_s": 0, "offset_s": 1, "label": "x"}]}\n',
        ":1: labels are y, but those of the events are x",
    ),
    "json_deep": ("a.jsonl", '{"path": "a", "events": ' + 100000 * "[" + "\n", ":1: not a JSON object"),
    "commas": ("a.tsv", "filename,onset,offset,event_label\na.wav,0,1,dog\n", ":1: values are separated by commas"),
    "semicolons": ("a.tsv", "filename;onset;offset;event_label\n", ":1: values are separated by semicolons"),
    "missing_column": ("a.tsv", "filename\tonset\tevent_label\na.wav\t0\tdog\n", ":1: no column offset"),
    "no_header": ("a.tsv", "a.wav\t0\t1\tdog\n", ":1: no format of labels is recognised"),
    "other_columns": ("a.tsv", "filename\tscore\na.wav\t1\n", ":1: no columns of labels"),
    "other_ending": ("a.xml", "<a/>", "is no file of labels"),
    "not_text": ("a.tsv", b"filename\n\xff\xfe.wav\n", ":2: not UTF-8"),
    "utf16_without_mark": ("a.tsv", HEADER.encode("utf-16-le"), ":1: a zero byte"),
    "short_duration": ("a.tsv", "filename\tduration\na.wav\t0\n", ":2: duration is 0"),
    "two_durations": ("a.tsv", "filename\tduration\na.wav\t1\na.wav\t1\n", ":3: a.wav has its length at"),
    "empty_weak": ("a.tsv", "filename\tevent_labels\na.wav\tdog,,cat\n", ":2: event_labels is 'dog,,cat'"),
    "weak_twice": ("a.tsv", "filename\tevent_labels\na.wav\tdog\na.wav\tcat\n", ":3: a.wav is listed at"),
    "track_of_two": ("a.txt", "0\t1\n", ":1: 2 values where 3 are due"),
    "track_of_spaces": ("a.txt", "0 1 dog\n", ":1: 1 values where 3 are due"),
    "track_comma": ("a.txt", "0\t1\tcat\n0,5\t1\tdog\n", ":2: start is '0,5'"),
    "track_label": ("a.txt", "0\t1\t\n", ":1: the label is empty"),
    "track_frequencies": ("a.txt", "\\\t1\t2\n", ":1: frequencies without a selection above"),
    "raven_times": ("a.txt", "Selection\tBegin Time (s)\tAnnotation\n", ":1: no column 'End Time (s)'"),
    "raven_label": ("a.txt", RAVEN + "1\tS\t1\t0\t1\t0\t1\t\n", ":2: Annotation is empty"),
    "raven_selection": (
        "a.txt",
        RAVEN + "1\tS\t1\t0\t1\t0\t1\tdog\n1\tW\t1\t0\t2\t0\t1\tdog\n",
        ":3: selection 1 is another one in line 2",
    ),
    "raven_two_files": (
        "a.txt",
        "Selection\tBegin Time (s)\tEnd Time (s)\tBegin File\tEnd File\tFile Offset (s)\tA\n1\t0\t9\ta\tb\t0\tdog\n",
        ":2: the selection begins in a and ends in b",
    ),
    "json_no_path": ("a.jsonl", '{"events": []}\n', ":1: no key 'path'"),
    "json_no_object": ("a.jsonl", "[1]\n", ":1: not a JSON object"),
    "json_no_list": ("a.jsonl", '{"path": "a", "events": {}}\n', ":1: events is '{}'"),
    "json_key": ("a.jsonl", '{"path": "a", "events": [{"onset_s": 1, "label": "x"}]}\n', "has no 'offset_s'"),
    "json_text": (
        "a.jsonl",
        '{"path": "a", "events": [{"onset_s": "1", "offset_s": 2, "label": "x"}]}\n',
        "with numbers as its times",
    ),
    "json_nan": (
        "a.jsonl",
        '{"path": "a", "events": [{"onset_s": NaN, "offset_s": 2, "label": "x"}]}\n',
        ":1: the event is from nan to 2.0 s",
    ),
    "json_label": (
        "a.jsonl",
        '{"path": "a", "events": [{"onset_s": 1, "offset_s": 2, "label": " "}]}\n',
        ":1: an event has an empty label",
    ),
    "json_twice": ("a.jsonl", '{"path": "a", "events": []}\n{"path": "a"}\n', ":2: a is listed without labels"),
}


@pytest.mark.parametrize("case", BAD_FILES)
def test_a_file_that_is_not_as_its_format_is_refused_with_file_and_line(tmp_path, case):
    name, content, expected = BAD_FILES[case]
    message = refusal(tmp_path, name, content)
    assert message.startswith(str(tmp_path / name))
    assert expected in message


def test_spaces_around_names_times_and_labels_do_not_matter(tmp_path):
    rows = "a.wav \t 0.5\t1 \t dog \n"
    assert events(found(tmp_path, "a.tsv", HEADER + rows)) == {"a.wav": (Event(0.5, 1.0, "dog"),)}
    assert events(found(tmp_path, "a.txt", " 0.5\t1 \t dog \n")) == {"a": (Event(0.5, 1.0, "dog"),)}


def test_a_file_without_a_sound_is_not_missed_beside_others_and_a_folder_without_files_is(tmp_path):
    header, strong, folder = tmp_path / "header.tsv", tmp_path / "strong.tsv", tmp_path / "folder"
    header.write_text(HEADER)
    strong.write_text(DOGS)
    folder.mkdir()
    assert len(sound_labels(read_listed_sounds(LabelFiles([header, strong])))) == 1
    with pytest.raises(UserError, match=r"folder \(data.params.events\): no sound is listed there"):
        read_listed_sounds(LabelFiles([folder]))


def test_an_event_beyond_the_length_of_its_sound_is_refused_with_its_line(tmp_path):
    (tmp_path / "durations.tsv").write_text("filename\tduration\na.wav\t2.5\n")
    (tmp_path / "strong.tsv").write_text(DOGS)
    with pytest.raises(UserError) as caught:
        sound_labels(read_label_files(LabelFiles([tmp_path / "durations.tsv", tmp_path / "strong.tsv"])))
    assert f"{tmp_path / 'strong.tsv'}:3: 'dog' from 2 to 3 s ends after its sound, a.wav of 2.5 s" in str(caught.value)


def test_a_sound_is_matched_by_its_path_by_its_name_or_without_its_ending(tmp_path):
    labels = found(tmp_path, "a.tsv", HEADER + "x/a.wav\t0\t1\tdog\nb.wav\t0\t1\tdog\nc\t0\t1\tdog\nz.wav\t0\t1\tdog\n")
    number, left = labels.matched(["y/c.flac", "x/a.wav", "y/a.wav", "deep/b.wav", "x/a.wav"])
    assert number.tolist() == [2, 0, -1, 1, 0]
    assert [labels.names[sound] for sound in left] == ["z.wav"]
    with pytest.raises(UserError, match=r"a.tsv:3: b.wav may be any of 2 files: x/b.wav, y/b.wav"):
        labels.matched(["x/b.wav", "y/b.wav"])
    above = found(tmp_path, "c.tsv", HEADER + "root/x/a.wav\t0\t1\tdog\n/r/b.wav\t0\t1\tdog\n")
    assert above.matched(["x/a.wav", "b.wav", "a.wav"])[0].tolist() == [0, 1, -1]
    two = found(tmp_path, "b.tsv", HEADER + "x/a.wav\t0\t1\tdog\na.wav\t0\t1\tdog\n")
    with pytest.raises(UserError, match=r"b.tsv:3: a.wav is x/a.wav, and so is x/a.wav at .*b.tsv:2"):
        two.matched(["x/a.wav"])


def test_a_label_that_is_not_in_the_list_is_refused_with_its_line(tmp_path):
    labels = found(tmp_path, "a.tsv", HEADER + "a.wav\t0\t1\tcat\na.wav\t0\t1\tdgo\n")
    with pytest.raises(
        UserError, match=r"a.tsv:3: unknown label 'dgo'\n  labels are listed in labels.txt\n  closest: dog"
    ):
        labels.refuse_unknown(("cat", "dog"), "labels.txt")


def test_overlaps_are_found_and_merged_as_by_looking_at_every_pair():
    from pannsdist.contracts.event_overlaps import first_overlap, merged

    random = np.random.default_rng(0)
    for _ in range(300):
        count = int(random.integers(0, 8))
        groups, onsets = random.integers(0, 3, count), random.integers(0, 6, count).astype(float)
        offsets = onsets + random.integers(1, 4, count)
        pairs = [(i, j) for i in range(count) for j in range(i) if groups[i] == groups[j]]
        overlapping = [(i, j) for i, j in pairs if onsets[i] < offsets[j] and onsets[j] < offsets[i]]
        assert (first_overlap(groups, onsets, offsets) is None) == (not overlapping)
        kept, ends = merged(groups, onsets, offsets)
        assert first_overlap(groups[kept], onsets[kept], ends[kept]) is None
        for group in range(3):
            covered = [{t for i in np.flatnonzero(groups == group) for t in np.arange(onsets[i], offsets[i], 0.5)}]
            covered.append({t for i in kept if groups[i] == group for t in np.arange(onsets[i], ends[i], 0.5)})
            assert covered[0] == covered[1]
