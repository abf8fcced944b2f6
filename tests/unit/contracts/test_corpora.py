"""What the shared base of dataset plugins makes of a download, and what it says of one that is not as it should be."""

import shutil
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from pannsdist.contracts.corpora import Corpus, FoldedCorpus, FoldedParams, Listed, RootParams, allowed
from pannsdist.contracts.tables import csv_rows
from pannsdist.runtime.errors import UserError


class Barks(Corpus):
    """`list.csv` names files, labels and splits."""

    home = "https://example.org/barks"
    layout = "list.csv and the sounds"

    def listed(self) -> Iterator[Listed]:
        for row in csv_rows(self.found("list.csv"), ("path", "label", "split")):
            number = row.whole("number", 0, 99) if row.text("number") else None
            yield Listed(row, row.required("path"), (row.required("label"),), row.text("split"), number=number)

    def split_of(self, item: Listed) -> str | None:
        return None if item.part == "unused" else str(item.part)


class SomeBarks(Barks):
    """The same, where files may be missing."""

    skips_missing = True


class KnownBarks(Barks):
    """The same, with a vocabulary."""

    def label_order(self, _):
        return ("woof", "wuff")


class FoldedBarks(FoldedCorpus):
    """`list.csv` names files, labels and one of three folds."""

    home, layout, fold_count = "https://example.org/barks", "list.csv", 3

    def listed(self) -> Iterator[Listed]:
        for row in csv_rows(self.found("list.csv"), ("path", "label", "fold")):
            yield Listed(
                row, row.required("path"), (row.required("label"),), row.whole("fold", 1, 3), group=row.text("dog")
            )


@dataclass(frozen=True)
class ValidFoldParams(RootParams):
    """No test fold, since there is a test split."""

    valid_fold: int = 1


ROWS = ("a/1.wav,woof,train", "a/2.wav,arf,train", "b/1.wav,woof,valid", "b/2.wav,arf,test", "b/3.wav,arf,unused")


def make_root(folder, rows=ROWS, header="path,label,split", absent=()):
    (folder / "list.csv").write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    for name in {row.split(",")[0] for row in rows} - set(absent):
        if name and ".." not in name and not name.startswith("/") and "\\" not in name:
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).touch()
    return folder


def opened(root, corpus=Barks, **params):
    return corpus(corpus.Params(str(root), **params))


def refusal(root, corpus=Barks, **params):
    with pytest.raises(UserError) as caught:
        opened(root, corpus, **params)
    return str(caught.value)


def ids(corpus, split):
    return [clip.id for clip in corpus.clips(split)]


def test_clips_stand_in_the_order_of_the_list_in_the_splits_that_have_any(tmp_path):
    corpus = opened(make_root(tmp_path))
    assert corpus.splits == ("train", "valid", "test")
    assert [ids(corpus, split) for split in corpus.splits] == [["a/1", "a/2"], ["b/1"], ["b/2"]]
    assert corpus.clips("train")[0].source == tmp_path / "a" / "1.wav"


def test_labels_are_sorted_by_name_where_the_corpus_has_no_numbers(tmp_path):
    assert opened(make_root(tmp_path)).labels == ("arf", "woof")


def test_labels_stand_by_their_numbers_where_it_has(tmp_path):
    rows = ("1.wav,woof,train,0", "2.wav,arf,valid,1")
    assert opened(make_root(tmp_path, rows, "path,label,split,number")).labels == ("woof", "arf")


def test_a_home_folder_is_written_with_a_tilde(tmp_path, monkeypatch):
    make_root(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert len(opened("~").clips("train")) == 2


@pytest.mark.parametrize("root", ["", "nowhere"])
def test_a_missing_root_is_refused_by_name_with_where_to_get_it(root):
    assert refusal(root) == (
        f"data.params.root is {root!r}, which is not a folder\n"
        "  it is the folder that holds list.csv and the sounds, or its URL; download: https://example.org/barks\n"
        "  next: the same command with data.params.root=FOLDER"
    )


def test_a_root_without_its_list_is_refused(tmp_path):
    said = refusal(tmp_path)
    assert said.startswith(
        f"data.params.root is '{tmp_path}', which has no list.csv\n  it is the folder that holds list"
    )


def test_an_empty_list_is_refused(tmp_path):
    assert refusal(make_root(tmp_path, ())).startswith(f"the lists in {tmp_path} contain no clip")


def test_a_split_that_no_row_has_is_refused_with_what_there_is(tmp_path):
    said = refusal(make_root(tmp_path, ROWS[:2]))
    assert said == f"no clip is left for 'valid' in {tmp_path}\n  the lists have: train"


@pytest.mark.parametrize("path", ["../up.wav", "a/../../up.wav", "/etc/up.wav", "a\\..\\up.wav"])
def test_a_path_that_climbs_out_of_the_root_is_refused_with_its_line(tmp_path, path):
    said = refusal(make_root(tmp_path, (*ROWS, f"{path},arf,train")))
    assert said.startswith(f"{tmp_path}/list.csv:7: path {path!r} is outside of the root")


def test_a_row_that_stands_twice_is_refused_with_both_lines(tmp_path):
    said = refusal(make_root(tmp_path, (*ROWS, ROWS[0])))
    assert said.startswith(f"{tmp_path}/list.csv:7: 'a/1.wav' has the id of a clip at {tmp_path}/list.csv:2: 'a/1'")


def test_missing_files_are_counted_and_the_first_named_with_their_lines(tmp_path):
    said = refusal(make_root(tmp_path, absent=("a/2.wav", "b/2.wav")))
    assert said.splitlines() == [
        f"2 of 5 clips of the lists have no file in {tmp_path}, such as",
        f"  {tmp_path}/list.csv:3: a/2.wav",
        f"  {tmp_path}/list.csv:5: b/2.wav",
        "  all files of the download are needed: https://example.org/barks",
    ]


def test_where_files_may_be_missing_they_are_left_out_and_counted(tmp_path):
    corpus = opened(make_root(tmp_path, absent=("a/2.wav", "b/2.wav")), SomeBarks)
    assert corpus.splits == ("train", "valid")
    assert [item.path for item in corpus.missing] == ["a/2.wav", "b/2.wav"]
    assert ids(corpus, "train") == ["a/1"]


def test_where_files_may_be_missing_a_split_without_any_is_still_refused(tmp_path):
    assert "no clip is left for 'valid'" in refusal(make_root(tmp_path, absent=("b/1.wav",)), SomeBarks)


def test_a_file_that_no_list_names_is_not_heard(tmp_path):
    (make_root(tmp_path) / "a" / "stray.wav").touch()
    assert ids(opened(tmp_path), "train") == ["a/1", "a/2"]


def test_a_label_that_is_not_in_the_vocabulary_is_refused_with_its_line(tmp_path):
    said = refusal(make_root(tmp_path, ("1.wav,woof,train", "2.wav,wof,valid")), KnownBarks)
    assert said == f"{tmp_path}/list.csv:3: unknown label 'wof'\n  closest: woof.  labels: woof, wuff"


def test_a_split_that_there_is_not_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"no split 'dev'\n  splits: train, valid, test"):
        opened(make_root(tmp_path)).clips("dev")


def test_each_fold_is_valid_once_and_one_may_be_set_aside(tmp_path):
    make_root(tmp_path, ("1.wav,woof,1", "2.wav,arf,2", "3.wav,woof,3"), "path,label,fold")
    assert list(FoldedBarks.folds(FoldedParams("", test_fold=2))) == [1, 3]
    corpus = opened(tmp_path, FoldedBarks, valid_fold=3, test_fold=2)
    assert [ids(corpus, split) for split in corpus.splits] == [["1"], ["3"], ["2"]]


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"valid_fold": 4}, "data.params.valid_fold is 4\n  allowed: 1 to 3\n"),
        ({"test_fold": 4}, "data.params.test_fold is 4\n  allowed: 1 to 3, or 0 for no test split\n"),
        ({"test_fold": 1}, "data.params.test_fold is 1, and so is data.params.valid_fold\n"),
    ],
)
def test_folds_that_cannot_be_are_refused_by_name(tmp_path, params, said):
    assert refusal(tmp_path, FoldedBarks, **params).startswith(said)


def test_a_clip_has_the_group_that_its_row_names(tmp_path):
    rows = [f"a/{number}.wav,{label},{fold},rex" for number, (label, fold) in enumerate((("woof", 1), ("woof", 2)))]
    corpus = opened(make_root(tmp_path, rows, "path,label,fold,dog"), FoldedBarks)
    assert [clip.group for split in corpus.splits for clip in corpus.clips(split)] == ["rex", "rex"]


def test_a_corpus_with_an_official_test_split_has_no_test_fold(tmp_path):
    class Official(FoldedBarks):
        Params = ValidFoldParams

    make_root(tmp_path, ("1.wav,woof,1", "2.wav,arf,2", "3.wav,woof,3"), "path,label,fold")
    assert list(Official.folds(ValidFoldParams(""))) == [1, 2, 3]
    assert ids(opened(tmp_path, Official, valid_fold=2), "train") == ["1", "3"]


def test_a_param_that_is_none_of_the_words_is_refused_by_name():
    assert allowed("subset", "all", ("some", "all")) == "all"
    with pytest.raises(UserError, match=r"data.params.subset is 'most'\n  allowed: some, all\n  next: .*subset=all"):
        allowed("subset", "most", ("some", "all"))


def test_a_link_that_leads_out_of_the_root_is_refused_by_its_line(tmp_path):
    (tmp_path / "root").mkdir()
    root = make_root(tmp_path / "root")
    (tmp_path / "outside.wav").touch()
    name = ROWS[0].split(",")[0]
    (root / name).unlink()
    (root / name).symlink_to(tmp_path / "outside.wav")
    assert f"list.csv:2: path {name!r} is a link that leads out of {root}" in refusal(root)
    (root / name).unlink()
    (root / name).symlink_to(root / ROWS[1].split(",")[0])
    assert opened(root).splits


@pytest.mark.parametrize("corpus", [Barks, SomeBarks])
def test_a_folder_that_is_a_link_out_of_the_root_is_refused_for_every_corpus(tmp_path, corpus):
    (tmp_path / "real").mkdir()
    real = make_root(tmp_path / "real")
    (tmp_path / "root").mkdir()
    root = make_root(tmp_path / "root")
    shutil.rmtree(root / "a")
    (root / "a").symlink_to(real / "a")
    assert f"list.csv:2: path 'a/1.wav' is a link that leads out of {root}" in refusal(root, corpus)
    (root / "a").unlink()
    (root / "a").symlink_to(root / "b")
    shutil.copytree(real / "a", root / "b", dirs_exist_ok=True)
    assert opened(root, corpus).splits
    (tmp_path / "link").symlink_to(root)
    assert ids(opened(tmp_path / "link", corpus), "train") == ids(opened(root, corpus), "train")


def test_a_list_that_is_a_link_out_of_the_root_is_not_read(tmp_path):
    (tmp_path / "root").mkdir()
    root = make_root(tmp_path / "root")
    secret = tmp_path / "secret.csv"
    secret.write_text("path,label,split\nroot:5f4dcc,x,y\n")
    (root / "list.csv").unlink()
    (root / "list.csv").symlink_to(secret)
    said = refusal(root)
    assert f"{root / 'list.csv'} is a link that leads out of {root}" in said
    assert "5f4dcc" not in said


def test_a_file_of_another_normal_form_that_is_a_link_out_of_the_root_is_refused_too(tmp_path):
    (tmp_path / "root").mkdir()
    name = "caf\N{LATIN SMALL LETTER E WITH ACUTE}.wav"
    root = make_root(tmp_path / "root", (*ROWS, f"{name},woof,train"))
    (root / name).unlink()
    (tmp_path / "outside.wav").touch()
    (root / unicodedata.normalize("NFD", name)).symlink_to(tmp_path / "outside.wav")
    assert "is a link that leads out of" in refusal(root)
