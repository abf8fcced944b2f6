"""Folds and held-out fractions of `folder` and `manifest`: no group in two splits, and what is refused."""

import itertools
from collections import Counter

import pytest

from pannsdist.builtin.folder import Folder, FolderParams
from pannsdist.builtin.manifest import Manifest, ManifestParams
from pannsdist.contracts import UserError

SPEAKERS = [f"speaker{number}" for number in range(6)]


@pytest.fixture
def digits(tmp_path):
    """Three classes, six speakers and two takes: `digits/CLASS/speaker_CLASS_take.wav`."""
    for label, speaker, take in itertools.product("abc", SPEAKERS, range(2)):
        path = tmp_path / "digits" / label / f"{speaker}_{label}_{take}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return tmp_path / "digits"


def folder(root, **params):
    return Folder(FolderParams(str(root), **params))


def manifest(root, lines, **params):
    path = root / "clips.csv"
    path.write_text("".join(f"{line}\n" for line in lines))
    return Manifest(ManifestParams(str(path), **params))


def table(root, *columns):
    """Lines of a table of `root`; `columns` are (name, function of the path)."""
    paths = sorted(path.relative_to(root).as_posix() for path in root.glob("*/*.wav"))
    head = ",".join(["path", "label", *(name for name, _ in columns)])
    return [head, *(",".join([path, path[0], *(str(of(path)) for _, of in columns)]) for path in paths)]


def speaker(name):
    return name.rpartition("/")[2].partition("_")[0]


def ids(dataset, split):
    return [clip.id for clip in dataset.clips(split)]


def refusal(make, *arguments, **params):
    with pytest.raises(UserError) as caught:
        make(*arguments, **params)
    return str(caught.value)


@pytest.mark.parametrize("kind", ["folder", "column", "pattern"])
def test_each_fold_is_valid_once_and_no_speaker_is_in_two_splits(digits, kind):
    seen = []
    for fold in (1, 2, 3):
        params = {"folds": 3, "valid_fold": fold, "group": "speaker" if kind == "column" else "(*)_*"}
        dataset = (
            folder(digits, **params)
            if kind == "folder"
            else manifest(digits, table(digits, ("speaker", speaker)), **params)
        )
        train, valid = ids(dataset, "train"), ids(dataset, "valid")
        assert not set(map(speaker, train)) & set(map(speaker, valid))
        assert Counter(map(speaker, valid)) == dict.fromkeys(map(speaker, valid), 6)
        assert len(set(map(speaker, valid))) == 2
        assert len(train) + len(valid) == 36
        assert all(clip.group == speaker(clip.id) for split in dataset.splits for clip in dataset.clips(split))
        seen += valid
    assert len(set(seen)) == 36
    params = {"folds": 3}
    assert Folder.folds(FolderParams("", **params)) == Manifest.folds(ManifestParams("", **params)) == (1, 2, 3)


def test_folds_without_groups_are_stratified_by_class(digits):
    for fold in (1, 2, 3, 4):
        valid = ids(folder(digits, folds=4, valid_fold=fold), "valid")
        assert Counter(name[0] for name in valid) == {"a": 3, "b": 3, "c": 3}


def test_a_test_fraction_is_the_same_in_every_fold_and_shares_no_group(digits):
    tests = []
    for fold in (0, 1, 2):
        dataset = folder(digits, folds=2, valid_fold=fold, test_fraction=0.3, group="(*)_*")
        found = {split: set(map(speaker, ids(dataset, split))) for split in dataset.splits}
        assert sorted(found) == ["test", "train", "valid"]
        assert len(found["test"]) == 2
        assert sum(map(len, found.values())) == len(SPEAKERS)
        tests.append(ids(dataset, "test"))
    assert tests[0] == tests[1] == tests[2]


def test_fractions_of_a_table_without_splits_hold_out_groups(digits):
    dataset = manifest(digits, table(digits), valid_fraction=0.5, group="(*)_*")
    assert len(ids(dataset, "valid")) == 18
    assert not set(map(speaker, ids(dataset, "train"))) & set(map(speaker, ids(dataset, "valid")))


def test_the_pieces_of_a_file_stay_together_without_a_group(digits):
    lines = ["path,label,start,duration"]
    for path in sorted(digits.glob("*/*.wav")):
        name = path.relative_to(digits).as_posix()
        lines += [f"{name},{name[0]},{start},1" for start in range(3)]
    dataset = manifest(digits, lines, folds=3, valid_fold=1)
    files = {split: {name.partition("#")[0] for name in ids(dataset, split)} for split in ("train", "valid")}
    assert len(files["valid"]) == 12
    assert not files["train"] & files["valid"]


def test_the_same_folds_whatever_the_order_of_the_table_and_others_by_another_seed(digits):
    lines = table(digits)
    params = {"folds": 3, "valid_fold": 2}
    before = ids(manifest(digits, lines, **params), "valid")
    assert sorted(ids(manifest(digits, [lines[0], *lines[:0:-1]], **params), "valid")) == before
    assert ids(manifest(digits, lines, seed=1, **params), "valid") != before


def test_several_labels_are_stratified(digits):
    lines = [line.replace(",b", ",b;a").replace(",c", ",") for line in table(digits)]
    dataset = manifest(digits, lines, folds=3, valid_fold=1, multi_label=True)
    counts = Counter(label for clip in dataset.clips("valid") for label in clip.labels or ("none",))
    assert counts == {"a": 8, "b": 4, "none": 4}


def test_a_given_test_split_stays_the_test_split(digits):
    last = ("split", lambda path: "test" if speaker(path) == SPEAKERS[5] else "train")
    lines = table(digits, last)
    dataset = manifest(digits, lines, folds=5, valid_fold=4, group="(*)_*")
    assert set(map(speaker, ids(dataset, "test"))) == {SPEAKERS[5]}
    assert len(set(map(speaker, ids(dataset, "valid")))) == 1
    folds = manifest(digits, table(digits, last, ("fold", lambda path: path[-5:-4].replace("0", "2"))), valid_fold=1)
    assert len(ids(folds, "test")) == 12 - 6
    assert set(map(speaker, ids(folds, "train") + ids(folds, "valid"))) == set(SPEAKERS[:5])


def test_folders_of_splits_are_divided_anew_without_those_of_test(tmp_path):
    for split, label, number in itertools.product(("train", "valid", "test"), "ab", range(3)):
        path = tmp_path / split / label / f"{number}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    dataset = folder(tmp_path, folds=2, valid_fold=1)
    assert [len(ids(dataset, split)) for split in ("train", "valid", "test")] == [6, 6, 6]
    assert all(name.startswith("test/") for name in ids(dataset, "test"))
    assert "folder for each split" in refusal(folder, tmp_path, test_fraction=0.1)
    message = refusal(folder, tmp_path, group="(?).wav")
    assert "group '0' (data.params.group) is in train and in valid: 'train/a/0.wav' and 'valid/a/0.wav'" in message
    assert "group '0' (data.params.group) is in" in refusal(folder, tmp_path, group="(?).wav", folds=2, valid_fold=1)


def test_given_splits_of_a_table_that_share_a_group_are_refused(digits):
    lines = table(digits, ("split", lambda path: "valid" if path[-5] == "0" else "train"))
    assert "(data.params.group) is in train and in valid" in refusal(manifest, digits, lines, group="(*)_*")
    assert manifest(digits, lines).splits == ("train", "valid")


@pytest.mark.parametrize(
    ("params", "wrong", "right"),
    [
        (
            {"folds": 7, "group": "(*)_*", "valid_fold": 1},
            "only 6 groups to divide: speaker0",
            "at most data.params.folds=6",
        ),
        ({"folds": 99, "valid_fold": 1}, "only 36 clips to divide", "at most data.params.folds=36"),
        ({"folds": 3, "group": "(*)/*", "valid_fold": 1}, "class 'a' are of group 'a' only", "at least two groups"),
        ({"group": "(*)/*"}, "valid_fraction is 0.2, but no class has two groups", "add groups"),
        ({"folds": 1}, "data.params.folds is 1", "2 and more"),
        ({"folds": -2}, "data.params.folds is -2", "2 and more"),
        ({"folds": 3, "valid_fold": 4}, "data.params.valid_fold is 4", "1 to 3"),
        ({"valid_fold": 4}, "data.params.valid_fold is 4", "data.params.folds=5"),
        ({"test_fraction": 1.0}, "data.params.test_fraction is 1.0", "0 to 1"),
        ({"test_fraction": float("nan")}, "data.params.test_fraction is nan", "0 to 1"),
        ({"test_fraction": 0.8}, "together they leave nothing to train on", "below 1"),
        ({"group": "(*)-*"}, "does not match 36 of 36 clips, such as 'a/speaker0_a_0.wav'", "(*)_*"),
        ({"group": "speaker"}, "no pattern with a group", "(*)/*"),
    ],
)
def test_what_cannot_be_divided_is_refused(digits, params, wrong, right):
    message = refusal(folder, digits, **params)
    assert wrong in message
    assert right in message


@pytest.mark.parametrize(
    ("params", "wrong", "right"),
    [
        ({}, "no column 'split' or 'fold'", "data.params.valid_fraction=0.2"),
        ({"valid_fold": 2}, "no column 'fold'", "data.params.folds=5"),
        (
            {"folds": 3, "valid_fold": 1, "group": "singer"},
            "no column 'singer'",
            "columns found: path, label; or a pattern",
        ),
        ({"folds": 3}, "no column 'split' or 'fold'", "valid_fold=1"),
    ],
)
def test_a_table_that_cannot_be_divided_is_refused(digits, params, wrong, right):
    message = refusal(manifest, digits, table(digits), **params)
    assert wrong in message
    assert right in message


def test_columns_and_params_that_contradict_each_other_are_refused(digits):
    folds = table(digits, ("fold", lambda path: path[-5:-4].replace("0", "2")))
    assert "folds is 3, but the table has a column 'fold'" in refusal(manifest, digits, folds, folds=3, valid_fold=1)
    splits = table(digits, ("split", lambda path: "valid" if path[-5] == "0" else "train"))
    assert "the table has a column 'split'" in refusal(manifest, digits, splits, valid_fraction=0.2)
    empty = table(digits, ("speaker", lambda path: "" if path == "a/speaker0_a_0.wav" else "x"))
    assert "clips.csv:2: speaker is empty" in refusal(manifest, digits, empty, valid_fraction=0.2, group="speaker")
