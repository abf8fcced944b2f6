"""Manifests whose clips have events: of their own column, or of label files, mixed with weak and unlabelled clips."""

from __future__ import annotations

import json

import pytest

from pannsdist.builtin.manifest import Manifest, ManifestParams
from pannsdist.contracts import Clip, Event, UserError

NAMES = ("a.wav", "b.wav", "c.wav", "d.wav", "sub/e.wav")
STRONG = "filename\tonset\toffset\tevent_label\n"
EVENT = {"onset_s": 0.5, "offset_s": 1.5, "label": "dog"}


@pytest.fixture
def root(tmp_path):
    for name in NAMES:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


def manifest(root, content, name="clips.csv", **params):
    path = root / name
    path.write_text(content if isinstance(content, str) else "".join(json.dumps(row) + "\n" for row in content))
    return Manifest(ManifestParams(str(path), **params))


def refusal(root, content, name="clips.csv", **params):
    with pytest.raises(UserError) as caught:
        manifest(root, content, name, **params)
    return str(caught.value)


def label_file(root, name, content):
    (root / name).write_text(content)
    return str(root / name)


def test_json_lines_mix_strong_weak_and_unlabelled_clips_in_one_split(root):
    rows = [
        {"path": "a.wav", "split": "train", "events": [EVENT, {"onset_s": 3, "offset_s": 4, "label": "cat"}]},
        {"path": "b.wav", "split": "train", "labels": ["dog"]},
        {"path": "c.wav", "split": "train"},
        {"path": "d.wav", "split": "train", "labels": []},
        {"path": "sub/e.wav", "split": "valid", "events": []},
    ]
    dataset = manifest(root, rows, "clips.jsonl")
    events = (Event(0.5, 1.5, "dog"), Event(3.0, 4.0, "cat"))
    assert dataset.multi_label
    assert dataset.labels == ("cat", "dog")
    assert list(dataset.clips("train")) == [
        Clip("a.wav", root / "a.wav", ("cat", "dog"), events=events),
        Clip("b.wav", root / "b.wav", ("dog",)),
        Clip("c.wav", root / "c.wav", (), is_labelled=False),
        Clip("d.wav", root / "d.wav", ()),
    ]
    assert list(dataset.clips("valid")) == [Clip("sub/e.wav", root / "sub/e.wav", (), events=())]


def test_label_files_give_events_to_the_clips_of_a_table(root):
    events = label_file(root, "strong.tsv", STRONG + "a.wav\t0.5\t1.5\tdog\ne.wav\t\t\t\nb\t0\t1\tcat\n")
    content = "path,labels,split\na.wav,,train\nb.wav,cat,train\nc.wav,cat;dog,train\nsub/e.wav,,valid\n"
    dataset = manifest(root, content, events=[events])
    assert list(dataset.clips("train")) == [
        Clip("a.wav", root / "a.wav", ("dog",), events=(Event(0.5, 1.5, "dog"),)),
        Clip("b.wav", root / "b.wav", ("cat",), events=(Event(0.0, 1.0, "cat"),)),
        Clip("c.wav", root / "c.wav", ("cat", "dog")),
    ]
    assert dataset.clips("valid")[0].events == ()


def test_a_table_without_a_column_of_labels_is_enough_beside_label_files(root):
    files = [
        label_file(root, "strong.tsv", STRONG + "a.wav\t0.5\t1.5\tdog\nb.wav\t0\t1\tcat\n"),
        label_file(root, "weak.tsv", "filename\tevent_labels\nc.wav\tcat,dog\n"),
        label_file(root, "names.tsv", "filename\nd.wav\n"),
    ]
    content = "path,split\na.wav,train\nc.wav,train\nd.wav,train\nb.wav,valid\n"
    train = manifest(root, content, events=files).clips("train")
    assert [clip.labels for clip in train] == [("dog",), ("cat", "dog"), ()]
    assert [clip.events is not None for clip in train] == [True, False, False]
    assert [clip.is_labelled for clip in train] == [True, True, False]


def test_a_folder_of_label_tracks_is_read_beside_a_table(root):
    label_file(root, "a.txt", "0.5\t1.5\tdog\n")
    label_file(root, "sub/e.txt", "0\t1\tdog\n")
    dataset = manifest(root, "path,split\na.wav,train\nsub/e.wav,valid\n", events=[str(root)])
    assert dataset.clips("train")[0].events == (Event(0.5, 1.5, "dog"),)
    assert dataset.clips("valid")[0].events == (Event(0.0, 1.0, "dog"),)


def test_parts_of_a_sound_get_their_part_of_its_events(root):
    events = label_file(root, "strong.tsv", STRONG + "a.wav\t0.5\t12\tdog\na.wav\t3\t4\tcat\na.wav\t21\t22\tcat\n")
    rows = "a.wav,0,10,train\na.wav,10,10,train\na.wav,20,,train\nb.wav,,,valid\n"
    dataset = manifest(root, f"path,start,duration,split\n{rows}", events=[events], unlisted="no_events")
    assert [clip.events for clip in dataset.clips("train")] == [
        (Event(0.5, 10.0, "dog"), Event(3.0, 4.0, "cat")),
        (Event(0.0, 2.0, "dog"),),
        (Event(1.0, 2.0, "cat"),),
    ]
    assert [clip.labels for clip in dataset.clips("train")] == [("cat", "dog"), ("dog",), ("cat",)]
    assert dataset.clips("valid")[0].events == ()


def test_events_in_the_manifest_count_from_the_start_of_the_clip(root):
    rows = [
        {"path": "a.wav", "start": 10, "duration": 5, "split": "train", "events": [EVENT]},
        {"path": "b.wav", "split": "valid", "events": [EVENT]},
    ]
    assert manifest(root, rows, "clips.jsonl").clips("train")[0].events == (Event(0.5, 1.5, "dog"),)


def test_what_no_file_lists_is_refused_or_as_the_setting_says(root):
    events = label_file(root, "strong.tsv", STRONG + "a.wav\t0.5\t1.5\tdog\n")
    content = "path,split\na.wav,train\nb.wav,train\nc.wav,valid\n"
    message = refusal(root, content, events=[events])
    assert "2 clips have no labels, and no label file lists them, such as" in message
    assert f"{root / 'clips.csv'}:3: b.wav" in message
    assert "data.params.unlisted=no_events" in message
    strong = manifest(root, content, events=[events], unlisted="no_events").clips("train")[1]
    assert (strong.events, strong.is_labelled) == ((), True)
    unknown = manifest(root, content, events=[events], unlisted="unlabelled").clips("train")[1]
    assert (unknown.events, unknown.is_labelled) == (None, False)


def test_a_sound_with_events_that_is_no_clip_is_refused(root):
    events = label_file(root, "strong.tsv", STRONG + "a.wav\t0.5\t1.5\tdog\nother.wav\t0\t1\tdog\n")
    message = refusal(root, "path,split\na.wav,train\nb.wav,valid\n", events=[events], unlisted="no_events")
    assert f"1 of 2 sounds with labels are no clip, such as\n  {root / 'strong.tsv'}:3: other.wav" in message


def test_lengths_of_sounds_that_are_no_clips_do_not_matter(root):
    files = [
        label_file(root, "strong.tsv", STRONG + "a.wav\t0.5\t1.5\tdog\nb.wav\t0\t1\tdog\n"),
        label_file(root, "durations.tsv", "filename\tduration\na.wav\t10\nz.wav\t10\n"),
    ]
    assert len(manifest(root, "path,split\na.wav,train\nb.wav,valid\n", events=files).clips("train")) == 1


def test_an_event_beyond_its_clip_is_refused_with_both_lines(root):
    events = label_file(root, "strong.tsv", STRONG + "b.wav\t0\t1\tdog\na.wav\t0.5\t1.5\tdog\n")
    content = "path,duration,split\na.wav,1.25,train\nb.wav,,valid\n"
    message = refusal(root, content, events=[events])
    assert f"{root / 'strong.tsv'}:3: 'dog' from 0.5 to 1.5 s ends after its clip, a.wav" in message
    assert f"the clip lasts 1.25 s at {root / 'clips.csv'}:2" in message
    rows = [
        {"path": "a.wav", "split": "train", "duration": 1.25, "events": [EVENT]},
        {"path": "b.wav", "split": "valid", "events": [EVENT]},
    ]
    assert ":1: 'dog' from 0.5 to 1.5 s ends after its clip" in refusal(root, rows, "clips.jsonl")


def test_labels_that_are_not_those_of_the_events_are_refused(root):
    rows = [
        {"path": "b.wav", "split": "valid", "labels": ["dog"], "events": [EVENT]},
        {"path": "a.wav", "split": "train", "labels": ["cat"], "events": [EVENT]},
    ]
    message = refusal(root, rows, "clips.jsonl")
    assert f"{root / 'clips.jsonl'}:2: a.wav is labelled cat, but its events are dog" in message


def test_a_label_of_an_event_that_is_not_in_the_list_is_refused_with_its_line(root):
    events = label_file(root, "strong.tsv", STRONG + "a.wav\t0.5\t1.5\tdog\nb.wav\t0\t1\tdig\n")
    labels = label_file(root, "labels.txt", "cat\ndog\n")
    message = refusal(root, "path,split\na.wav,train\nb.wav,valid\n", events=[events], labels=labels)
    assert f"{root / 'strong.tsv'}:3: unknown label 'dig'" in message
    assert f"listed in {labels} (data.params.labels)" in message


def test_events_twice_and_settings_that_are_none_are_refused(root):
    rows = [{"path": "a.wav", "split": "train", "events": [EVENT]}]
    events = label_file(root, "strong.tsv", STRONG + "a.wav\t0.5\t1.5\tdog\n")
    assert ":1: data.params.events names files of events" in refusal(root, rows, "clips.jsonl", events=[events])
    content = "path,split\na.wav,train\nb.wav,valid\n"
    for name in ("overlaps", "unlisted"):
        assert f"data.params.{name} is 'some'" in refusal(root, content, events=[events], **{name: "some"})
    assert "the format of events is 'some'" in refusal(root, content, events=[events], event_format="some")
    assert "missing.tsv" in refusal(root, content, events=[str(root / "missing.tsv")])


def test_folds_and_drawn_splits_of_clips_with_events_hold_all_labelled_clips_once(root):
    rows = [{"path": name, "events": [EVENT]} for name in NAMES[:4]]
    rows.append({"path": NAMES[4]})
    for fold in (1, 2):
        dataset = manifest(root, rows, "clips.jsonl", folds=2, valid_fold=fold)
        assert len(dataset.clips("valid")) == 2
        assert all(clip.events for clip in dataset.clips("valid"))
        assert NAMES[4] in {clip.id for clip in dataset.clips("train")}
    drawn = manifest(root, rows, "clips.jsonl", valid_fraction=0.5)
    assert [clip.is_labelled for clip in drawn.clips("valid")] == [True, True]


@pytest.mark.parametrize("name", ["a.wav", "sub/e.wav"])
def test_a_name_with_an_accent_is_matched_in_both_forms(root, name):
    (root / "e\u0301.wav").touch()
    events = label_file(root, "strong.tsv", STRONG + "\u00e9.wav\t0.5\t1.5\tdog\n" + f"{name}\t0\t1\tdog\n")
    dataset = manifest(root, f"path,split\n\u00e9.wav,train\n{name},valid\n", events=[events])
    assert dataset.clips("train")[0].events == (Event(0.5, 1.5, "dog"),)
