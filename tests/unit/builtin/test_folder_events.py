"""Folders of sounds with label files: their clips, splits and refusals."""

from __future__ import annotations

import pytest

from pannsdist.builtin.folder import Folder, FolderParams
from pannsdist.contracts import Event, UserError

RAVEN = "Selection\tView\tChannel\tBegin Time (s)\tEnd Time (s)\tSpecies\n"


def with_sounds(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def folder(root, *events, **params):
    return Folder(FolderParams(str(root), events=[str(root / event) for event in events] or [str(root)], **params))


def refusal(root, *events, **params):
    with pytest.raises(UserError) as caught:
        folder(root, *events, **params)
    return str(caught.value)


def test_tracks_and_tables_beside_the_sounds_give_their_events(tmp_path):
    root = with_sounds(tmp_path, "train/a.wav", "train/deep/b.wav", "valid/c.flac")
    (root / "train/a.txt").write_text("0.5\t1.5\tdog\n\\\t100\t200\n3\t4\tcat\n")
    (root / "train/deep/b.Table.1.selections.txt").write_text(RAVEN + "1\tW\t1\t0.5\t1\tcat\n")
    (root / "valid/c.txt").write_text("")
    dataset = folder(root)
    assert dataset.multi_label
    assert (dataset.labels, dataset.splits) == (("cat", "dog"), ("train", "valid"))
    first, second = dataset.clips("train")
    assert (first.id, first.source, first.labels) == ("train/a.wav", root / "train/a.wav", ("cat", "dog"))
    assert first.events == (Event(0.5, 1.5, "dog"), Event(3.0, 4.0, "cat"))
    assert second.events == (Event(0.5, 1.0, "cat"),)
    assert dataset.clips("valid")[0].events == ()


def test_tables_label_strong_weak_and_unlabelled_sounds(tmp_path):
    root = with_sounds(tmp_path, "train/a.wav", "train/b.wav", "train/c.wav", "valid/d.wav")
    (root / "strong.tsv").write_text("filename\tonset\toffset\tevent_label\na.wav\t0\t1\tdog\nd.wav\t0\t1\tcat\n")
    (root / "weak.tsv").write_text("filename\tevent_labels\nb.wav\tcat,dog\n")
    dataset = folder(root, "strong.tsv", "weak.tsv", unlisted="unlabelled")
    clips = dataset.clips("train")
    assert [clip.labels for clip in clips] == [("dog",), ("cat", "dog"), ()]
    assert [clip.is_labelled for clip in clips] == [True, True, False]
    assert "3: d.wav" not in refusal(root, "strong.tsv", "weak.tsv")
    assert "1 clips have no labels, and no label file lists them, such as" in refusal(root, "strong.tsv", "weak.tsv")


def test_splits_and_folds_are_drawn_where_no_folder_is_one(tmp_path):
    names = [f"{number}.wav" for number in range(10)]
    root = with_sounds(tmp_path, *names)
    rows = "".join(f"{name}\t0\t1\t{'dog' if int(name[0]) % 2 else 'cat'}\n" for name in names)
    (root / "strong.tsv").write_text("filename\tonset\toffset\tevent_label\n" + rows)
    dataset = folder(root, "strong.tsv", valid_fraction=0.2)
    assert [len(dataset.clips(split)) for split in dataset.splits] == [8, 2]
    assert {clip.labels for clip in dataset.clips("valid")} == {("cat",), ("dog",)}
    held_out = [
        clip.id
        for fold in (1, 2, 3, 4, 5)
        for clip in folder(root, "strong.tsv", folds=5, valid_fold=fold).clips("valid")
    ]
    assert sorted(held_out) == names


def test_folds_divide_train_and_valid_and_leave_test(tmp_path):
    root = with_sounds(tmp_path, "train/a.wav", "train/b.wav", "valid/c.wav", "valid/d.wav", "test/e.wav")
    for number, name in enumerate("abcde"):
        place = next(root.rglob(f"{name}.wav"))
        place.with_suffix(".txt").write_text(f"0\t1\t{'dog' if number % 2 else 'cat'}\n")
    dataset = folder(root, folds=2, valid_fold=1)
    assert [clip.id for clip in dataset.clips("test")] == ["test/e.wav"]
    assert len(dataset.clips("train")) == len(dataset.clips("valid")) == 2


def test_groups_stay_together(tmp_path):
    names = ["x_1.wav", "x_2.wav", "y_1.wav", "y_2.wav"]
    root = with_sounds(tmp_path, *names)
    for name in names:
        (root / name).with_suffix(".txt").write_text("0\t1\tdog\n")
    dataset = folder(root, group="(*)_*", valid_fraction=0.5)
    assert {clip.group for clip in dataset.clips("train")}.isdisjoint(clip.group for clip in dataset.clips("valid"))
    (root / "train").mkdir()
    (root / "valid").mkdir()
    for name in names:
        for ending in (".wav", ".txt"):
            place = (root / name).with_suffix(ending)
            place.rename(root / ("train" if "_1" in name else "valid") / place.name)
    assert "group 'x' (data.params.group) is in train and in valid" in refusal(root, group="(*)_*")


def test_what_is_no_layout_is_refused(tmp_path):
    root = with_sounds(tmp_path / "one", "train/a.wav", "valid/b.wav", "c.wav")
    for name in ("train/a", "valid/b", "c"):
        (root / f"{name}.txt").write_text("0\t1\tdog\n")
    assert "has audio beside train/, valid/, in the root itself" in refusal(root)
    root = with_sounds(tmp_path / "two", "train/a.wav")
    (root / "train/a.txt").write_text("0\t1\tdog\n")
    assert "has train/, but no valid/" in refusal(root)
    root = with_sounds(tmp_path / "three", "train/a.wav", "val/b.wav", "valid/c.wav")
    for name in ("train/a", "valid/c", "val/b"):
        (root / f"{name}.txt").write_text("0\t1\tdog\n")
    assert "val/, valid/" in refusal(root)
    root = tmp_path / "empty"
    root.mkdir()
    assert "has no audio" in refusal(root)


def test_a_track_without_a_sound_and_a_sound_without_a_track_are_refused(tmp_path):
    root = with_sounds(tmp_path, "a.wav", "b.wav")
    (root / "a.txt").write_text("0\t1\tdog\n")
    assert "1 clips have no labels, and no label file lists them, such as" in refusal(root)
    (root / "b.txt").write_text("0\t1\tdog\n")
    (root / "c.txt").write_text("0\t1\tdog\n")
    message = refusal(root)
    assert "1 of 3 sounds with labels are no clip" in message
    assert f"{root / 'c.txt'}:1: c" in message
