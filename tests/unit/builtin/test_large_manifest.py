"""What a table of very many clips costs: system calls and memory, which are counted here for some thousands of them."""

import os
import tracemalloc
from collections import Counter

import numpy as np
import pytest

from pannsdist.builtin.manifest import Manifest, ManifestParams
from pannsdist.contracts import UserError
from pannsdist.contracts.clip_lists import ids_of

FOLDERS, IN_EACH = 4, 500
CLIPS = FOLDERS * IN_EACH
CALLS = ("stat", "lstat", "readlink", "scandir", "listdir")


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Files in a few folders, and a table of them with several labels and all splits."""
    folder = tmp_path_factory.mktemp("many")
    lines = ["path,labels,split"]
    for number in range(CLIPS):
        name = f"part {number % FOLDERS}/a clip with a name of usual length {number:06d}.wav"
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.touch()
        labels = ";".join(f"label {label}" for label in sorted({number % 7, number % 11, number % 13}))
        lines.append(f"{name},{labels},{('train', 'valid', 'test', 'train')[number % 4]}")
    (folder / "clips.csv").write_text("\n".join(lines))
    return folder


def read(folder, **params):
    return Manifest(ManifestParams(str(folder / "clips.csv"), multi_label=True, **params))


@pytest.fixture
def calls(monkeypatch):
    """How often the system is asked for files, by function."""
    counted = Counter()

    def counting(name):
        original = getattr(os, name)

        def call(*arguments, **named):
            counted[name] += 1
            return original(*arguments, **named)

        return call

    for name in CALLS:
        monkeypatch.setattr(os, name, counting(name))
    return counted


def test_a_folder_is_listed_once_and_no_file_in_it_is_looked_at(root, calls):
    dataset = read(root)
    assert {split: len(dataset.clips(split)) for split in dataset.splits} == {"train": 1000, "valid": 500, "test": 500}
    assert calls["scandir"] == FOLDERS
    assert calls.total() < 30 * FOLDERS


def test_links_cost_a_few_calls_each_and_their_folders_are_followed_once(root, tmp_path, calls):
    for number in range(200):
        (tmp_path / f"{number}.wav").symlink_to(
            root / f"part 0/a clip with a name of usual length {4 * number:06d}.wav"
        )
    rows = "".join(f"{number}.wav,x,{'train' if number % 2 else 'valid'}\n" for number in range(200))
    (tmp_path / "clips.csv").write_text("path,label,split\n" + rows)
    calls.clear()
    with pytest.raises(UserError, match="is a link that leads out"):
        read(tmp_path)
    for number in range(200):
        (tmp_path / f"{number}.wav").unlink()
        (tmp_path / "below").mkdir(exist_ok=True)
        (tmp_path / "below" / f"{number}.wav").touch()
        (tmp_path / f"{number}.wav").symlink_to(f"below/{number}.wav")
    calls.clear()
    assert len(read(tmp_path).clips("train")) == 100
    assert calls.total() < 200 * 12


def test_a_few_files_of_a_folder_with_very_many_are_looked_at_one_by_one(root, tmp_path, calls, monkeypatch):
    monkeypatch.setattr("pannsdist.contracts.file_lookup.FEW_ENTRIES", 20)
    monkeypatch.setattr("pannsdist.contracts.file_lookup.ENTRIES_FOR_NAME", 1)
    lines = (root / "clips.csv").read_text().split("\n")
    (tmp_path / "clips.csv").write_text("\n".join([lines[0], *lines[1:9]]))
    dataset = read(tmp_path, root=str(root))
    assert sum(len(dataset.clips(split)) for split in dataset.splits) == 8
    assert 0 < calls["lstat"] < 100


def test_the_clips_need_little_more_than_their_names(root):
    read(root)  # imports
    tracemalloc.start()
    try:
        dataset = read(root)
        kept, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert dataset.clips("train")
    assert kept / CLIPS < 250, "bytes of a clip, of which its name is 100"
    assert peak / CLIPS < 900


def test_clips_of_a_large_table_are_those_of_its_rows(root):
    dataset = read(root)
    clip = dataset.clips("valid")[100]
    name = "part 1/a clip with a name of usual length 000401.wav"
    assert (clip.id, clip.source, clip.labels) == (name, root / name, ("label 2", "label 5", "label 11"))
    assert ids_of(dataset.clips("train"))[-1] == dataset.clips("train")[len(dataset.clips("train")) - 1].id


WRONG = {
    "path": ("../x.wav", "is outside of"),
    "labels": ("", "labels is empty"),
    "start": ("soon", "start is 'soon'"),
    "duration": ("0", "duration is 0"),
}


@pytest.mark.parametrize("order", [list(WRONG), list(WRONG)[::-1], ["start", "path", "duration", "labels"]])
def test_of_rows_that_are_wrong_in_different_columns_the_first_is_refused(tmp_path, order):
    for first in range(len(order)):
        rows = [{"path": f"{number}.wav", "labels": "x", "start": "1", "duration": "2"} for number in range(9)]
        for number, column in enumerate(order[first:], start=3):
            rows[number][column] = WRONG[column][0]
        for number in range(9):
            (tmp_path / f"{number}.wav").touch()
        lines = [f"{','.join(row.values())},{'valid' if number % 2 else 'train'}" for number, row in enumerate(rows)]
        (tmp_path / "clips.csv").write_text("\n".join(["path,labels,start,duration,split", *lines]))
        with pytest.raises(UserError) as caught:
            Manifest(ManifestParams(str(tmp_path / "clips.csv")))
        assert f"clips.csv:5: {'path ' if order[first] == 'path' else ''}" in str(caught.value)
        assert WRONG[order[first]][1] in str(caught.value)


def test_starts_and_ends_in_some_rows_alone_are_kept_as_they_are(tmp_path):
    for name in "abc":
        (tmp_path / f"{name}.wav").touch()
    rows = "path,label,split,start,duration\na.wav,x,train,,2\nb.wav,y,train,-0,\nc.wav,x,valid,0.25,0.5\n"
    (tmp_path / "clips.csv").write_text(rows)
    dataset = Manifest(ManifestParams(str(tmp_path / "clips.csv")))
    found = [(clip.id, clip.start_s, clip.duration_s) for split in dataset.splits for clip in dataset.clips(split)]
    assert found == [("a.wav", 0.0, 2.0), ("b.wav#-0", 0.0, None), ("c.wav#0.25", 0.25, 0.5)]
    assert not np.signbit(found[1][1])
