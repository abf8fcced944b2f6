"""What the dataset `esc50` makes of a download, and what it says of one that is not as it should be."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
from pannsdist_esc50 import Esc50, Esc50Params

from pannsdist.contracts import UserError
from pannsdist.devkit import conformance

ESC10 = Path(__file__).resolve().parents[3].parent / "shared" / "data" / "ESC-10"
HEADER = "filename,fold,target,category,esc10,src_file,take"
with_esc10 = pytest.mark.skipif(not ESC10.is_dir(), reason=f"needs the ESC-10 recordings in {ESC10}")


def line(fold, target, category, esc10=False, ending="wav"):
    return f"{fold}-100-A-{target}.{ending},{fold},{target},{category},{esc10},100,A"


def make_root(folder, lines=None, *, header=HEADER, end="\n", mark="", absent=()):
    """A download of five folds with a rooster (target 1), a dog (target 0, in ESC-10) and a cat (target 5) in each."""
    if lines is None:
        kinds = ((1, "rooster", True), (0, "dog", True), (5, "cat", False))
        lines = [line(fold, *kind) for fold in range(1, 6) for kind in kinds]
    (folder / "meta").mkdir()
    (folder / "audio").mkdir()
    (folder / "meta" / "esc50.csv").write_bytes((mark + end.join([header, *lines]) + end).encode())
    for name in {text.split(",")[0] for text in lines} - set(absent):
        if name and "/" not in name:
            (folder / "audio" / name).touch()
    return folder


def miniature(folder):
    """The params for a download whose files are sounds."""
    for path in (make_root(folder) / "audio").iterdir():
        soundfile.write(path, np.random.default_rng(0).normal(0, 0.1, 4410), 44100)
    return Esc50Params(str(folder))


test_esc50_keeps_the_contract = conformance(Esc50, miniature)


def opened(root, **params):
    return Esc50(Esc50Params(str(root), **params))


def refusal(root, **params):
    with pytest.raises(UserError) as caught:
        opened(root, **params)
    return str(caught.value)


def ids(dataset, split):
    return [clip.id for clip in dataset.clips(split)]


def test_the_valid_fold_is_held_out_of_train(tmp_path):
    dataset = opened(make_root(tmp_path), valid_fold=2)
    assert tuple(dataset.splits) == ("train", "valid")
    assert ids(dataset, "valid") == ["2-100-A-1", "2-100-A-0", "2-100-A-5"]
    assert {name[0] for name in ids(dataset, "train")} == {"1", "3", "4", "5"}


def test_a_test_fold_is_a_split_of_its_own(tmp_path):
    dataset = opened(make_root(tmp_path), valid_fold=2, test_fold=5)
    assert tuple(dataset.splits) == ("train", "valid", "test")
    assert {name[0] for name in ids(dataset, "train")} == {"1", "3", "4"}
    assert {name[0] for name in ids(dataset, "test")} == {"5"}


def test_classes_stand_in_the_order_of_their_targets(tmp_path):
    dataset = opened(make_root(tmp_path))
    assert tuple(dataset.labels) == ("dog", "rooster", "cat")
    assert not dataset.multi_label


def test_subset_esc10_takes_only_its_rows_and_needs_only_their_files(tmp_path):
    dataset = opened(make_root(tmp_path, absent=["3-100-A-5.wav"]), subset="esc10")
    assert tuple(dataset.labels) == ("dog", "rooster")
    assert len(dataset.clips("train")) == 8


def test_a_clip_says_its_file_and_its_label(tmp_path):
    clip = opened(make_root(tmp_path)).clips("valid")[0]
    assert (clip.id, clip.labels) == ("1-100-A-1", ("rooster",))
    assert clip.source == tmp_path / "audio" / "1-100-A-1.wav"
    assert (clip.start_s, clip.duration_s) == (0.0, None)


def test_a_byte_order_mark_and_windows_line_ends_change_nothing(tmp_path):
    (tmp_path / "unix").mkdir()
    (tmp_path / "windows").mkdir()
    unix = opened(make_root(tmp_path / "unix"))
    windows = opened(make_root(tmp_path / "windows", end="\r\n", mark="\ufeff"))
    assert windows.labels == unix.labels
    assert ids(windows, "train") == ids(unix, "train")


@pytest.mark.parametrize("fold", [0, 6, -1])
def test_a_valid_fold_that_does_not_exist_is_refused(tmp_path, fold):
    assert refusal(make_root(tmp_path), valid_fold=fold) == (
        f"data.params.valid_fold is {fold}\n  allowed: 1 to 5\n  next: the same command with data.params.valid_fold=1"
    )


def test_a_test_fold_that_does_not_exist_is_refused(tmp_path):
    said = refusal(make_root(tmp_path), test_fold=6)
    assert said.startswith("data.params.test_fold is 6\n  allowed: 1 to 5, or 0 for no test split")


def test_a_test_fold_equal_to_the_valid_fold_is_refused(tmp_path):
    said = refusal(make_root(tmp_path), valid_fold=5, test_fold=5)
    assert said.startswith("data.params.test_fold is 5, and so is data.params.valid_fold")
    assert said.endswith("data.params.test_fold=1")


def test_an_unknown_subset_is_refused(tmp_path):
    said = refusal(make_root(tmp_path), subset="esc11")
    assert said.startswith("data.params.subset is 'esc11'\n  allowed: esc10, esc50")


def test_a_missing_root_is_refused_by_name(tmp_path):
    said = refusal(tmp_path / "nowhere")
    assert said.startswith(f"data.params.root is '{tmp_path}/nowhere', which is not a folder")
    assert "https://github.com/karolpiczak/ESC-50" in said


@pytest.mark.parametrize("gone", ["meta/esc50.csv", "audio"])
def test_a_root_without_its_table_or_its_sounds_is_refused(tmp_path, gone):
    make_root(tmp_path)
    (tmp_path / gone).rename(tmp_path / "moved")
    assert f"which has no {gone}\n" in refusal(tmp_path)


def test_a_missing_column_is_refused(tmp_path):
    said = refusal(make_root(tmp_path, header=HEADER.replace("category", "class")))
    assert "esc50.csv:1: no column category" in said
    assert "columns found: filename, fold, target, class, esc10" in said


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        ("a.wav,one,0,dog,True,1,A", "fold is 'one'"),
        ("a.wav,6,0,dog,True,1,A", "fold is '6'"),
        ("a.wav,1,-1,dog,True,1,A", "target is '-1'"),
        ("a.wav,1,0,,True,1,A", "category is empty"),
        ("a.wav,1,0,dog,yes,1,A", "esc10 is 'yes'"),
        (",1,0,dog,True,1,A", "filename is empty"),
        ("../a.wav,1,0,dog,True,1,A", "filename is '../a.wav'"),
        ("/etc/a.wav,1,0,dog,True,1,A", "filename is '/etc/a.wav'"),
        ("a.wav,1,0", "3 values for 7 columns"),
        ("a.wav,1,0,dog,True,1,A,more", "8 values for 7 columns"),
    ],
)
def test_a_row_that_does_not_parse_is_refused_with_its_line(tmp_path, bad, said):
    root = make_root(tmp_path, [line(1, 0, "dog"), bad, line(2, 0, "dog")])
    assert refusal(root).startswith(f"{root}/meta/esc50.csv:3: {said}")


def test_a_table_that_is_not_text_is_refused(tmp_path):
    root = make_root(tmp_path)
    (root / "meta" / "esc50.csv").write_bytes(HEADER.encode("utf-16-le"))
    assert "esc50.csv:1: a zero byte, so it is not UTF-8" in refusal(root)


def test_a_table_without_rows_is_refused(tmp_path):
    assert f"the lists in {tmp_path} contain no clip" in refusal(make_root(tmp_path, []))


def test_files_that_are_not_there_are_counted_and_the_first_named(tmp_path):
    absent = [f"{fold}-100-A-{target}.wav" for fold in (1, 2) for target in (0, 1, 5)]
    said = refusal(make_root(tmp_path, absent=absent))
    assert said.startswith(f"6 of 15 clips of the lists have no file in {tmp_path}, such as")
    assert f"{tmp_path}/meta/esc50.csv:2: audio/1-100-A-1.wav\n" in said


def test_two_rows_with_one_id_are_refused(tmp_path):
    lines = [line(1, 0, "dog"), line(1, 0, "dog", ending="ogg"), line(2, 0, "dog")]
    said = refusal(make_root(tmp_path, lines))
    assert f"esc50.csv:3: 'audio/1-100-A-0.ogg' has the id of a clip at {tmp_path}/meta/esc50.csv:2" in said


@pytest.mark.parametrize(
    ("odd", "said"),
    [
        (line(2, 0, "cat"), "class 0 is 'cat', but another row says 'dog'"),
        (line(2, 7, "dog"), "'dog' is class 7, but another row says 0"),
    ],
)
def test_a_class_with_two_names_or_two_numbers_is_refused(tmp_path, odd, said):
    assert said in refusal(make_root(tmp_path, [line(1, 0, "dog"), odd]))


def test_a_fold_without_clips_is_refused(tmp_path):
    said = refusal(make_root(tmp_path, [line(1, 0, "dog"), line(2, 0, "dog")]), valid_fold=3)
    assert said.startswith("data.params.valid_fold is 3, ")
    assert said.endswith(f": no clip is left for 'valid' in {tmp_path}\n  the lists have: 1, 2")


def test_the_folds_are_those_of_the_table_but_the_test_fold(tmp_path):
    root = str(make_root(tmp_path))
    assert list(Esc50.folds(Esc50Params(root))) == [1, 2, 3, 4, 5]
    assert list(Esc50.folds(Esc50Params(root, valid_fold=2, test_fold=2, subset="esc10"))) == [1, 3, 4, 5]
    assert Esc50.fold_param == "valid_fold"


def test_a_split_that_was_not_asked_for_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"the corpus has no split 'test'\n  splits: train, valid"):
        opened(make_root(tmp_path)).clips("test")


@with_esc10
@pytest.mark.parametrize("subset", ["esc10", "esc50"])
def test_esc10_has_ten_classes_and_forty_clips_of_each(subset):
    dataset = opened(ESC10, subset=subset)
    assert tuple(dataset.labels) == (
        *("dog", "rooster", "rain", "sea_waves", "crackling_fire"),
        *("crying_baby", "sneezing", "clock_tick", "helicopter", "chainsaw"),
    )
    clips = [*dataset.clips("train"), *dataset.clips("valid")]
    assert (len(clips), len(dataset.clips("valid"))) == (400, 80)
    for label in dataset.labels:
        assert sum(clip.labels == (label,) for clip in clips) == 40


@with_esc10
def test_no_source_recording_of_esc10_is_in_two_splits():
    dataset = opened(ESC10, valid_fold=4, test_fold=3)
    sources = {split: {name.split("-")[1] for name in ids(dataset, split)} for split in dataset.splits}
    assert not sources["train"] & sources["valid"]
    assert not (sources["train"] | sources["valid"]) & sources["test"]
