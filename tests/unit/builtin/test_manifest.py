"""Tables of clips: what is read out of them, and which line is refused and why."""

import json
import unicodedata

import pytest

from pannsdist.builtin.manifest import Manifest, ManifestParams
from pannsdist.contracts import UserError

GOOD = "path,label,split\na.wav,dog,train\nb.wav,cat,valid\n"


@pytest.fixture
def root(tmp_path):
    for name in ("a.wav", "b.wav", "c.wav", "sub/d.wav"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


def manifest(folder, content, name="clips.csv", **params):
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return Manifest(ManifestParams(str(path), **params))


def json_lines(*rows):
    return "".join(json.dumps(row) + "\n" for row in rows)


def refusal(folder, content, name="clips.csv", **params):
    with pytest.raises(UserError) as caught:
        manifest(folder, content, name, **params)
    return str(caught.value)


def test_a_table_with_splits_is_read_in_its_order(root):
    dataset = manifest(root, "path,label,split,note\nb.wav,dog,train,x\n./a.wav,cat,train,\nsub/d.wav,cat,valid,\n")
    assert dataset.labels == ("cat", "dog")
    assert dataset.splits == ("train", "valid")
    assert dataset.multi_label is False
    assert [clip.id for clip in dataset.clips("train")] == ["b.wav", "a.wav"]
    clip = dataset.clips("valid")[0]
    assert (clip.id, clip.source, clip.labels) == ("sub/d.wav", root / "sub/d.wav", ("cat",))
    assert (clip.start_s, clip.duration_s) == (0.0, None)


def test_a_test_split_is_there_when_a_clip_is_in_it(root):
    assert manifest(root, GOOD + "c.wav,cat,test\n").splits == ("train", "valid", "test")


def test_one_fold_is_valid_and_the_others_are_train(root):
    content = "path,label,fold\na.wav,dog,1\nb.wav,cat,2\nc.wav,dog,3\n"
    dataset = manifest(root, content, valid_fold=2)
    assert [clip.id for clip in dataset.clips("train")] == ["a.wav", "c.wav"]
    assert [clip.id for clip in dataset.clips("valid")] == ["b.wav"]


def test_the_folds_are_those_of_the_column(root):
    (root / "clips.csv").write_text("path,label,fold\na.wav,x,3\nb.wav,y,1\nc.wav,x,3\n")
    assert Manifest.folds(ManifestParams(str(root / "clips.csv"))) == (1, 3)
    (root / "clips.csv").write_text("path,label,split\na.wav,x,train\n")
    assert Manifest.folds(ManifestParams(str(root / "clips.csv"))) == ()


def test_where_split_and_fold_both_stand_the_setting_decides(root):
    content = "path,label,split,fold\na.wav,dog,train,1\nb.wav,cat,valid,2\n"
    assert manifest(root, content).clips("valid")[0].id == "b.wav"
    assert manifest(root, content, valid_fold=1).clips("valid")[0].id == "a.wav"


def test_start_and_duration_are_seconds_and_tell_pieces_of_a_file_apart(root):
    content = "path,label,split,start,duration\na.wav,dog,train,0,1.5\na.wav,cat,train,1.5,\nb.wav,cat,valid,,\n"
    dataset = manifest(root, content)
    train = dataset.clips("train")
    assert [(clip.id, clip.start_s, clip.duration_s) for clip in train] == [
        ("a.wav#0", 0.0, 1.5),
        ("a.wav#1.5", 1.5, None),
    ]
    assert dataset.clips("valid")[0].id == "b.wav"


def test_a_column_of_ids_is_used(root):
    dataset = manifest(root, "id,path,label,split\nx,a.wav,dog,train\n,b.wav,cat,valid\n")
    assert [clip.id for split in dataset.splits for clip in dataset.clips(split)] == ["x", "b.wav"]


def test_several_labels_are_divided_and_may_be_none(root):
    dataset = manifest(
        root, "path,labels,split\na.wav, dog ;cat;dog,train\nb.wav,,train\nc.wav,owl;,valid\n", multi_label=True
    )
    assert dataset.multi_label is True
    assert dataset.labels == ("cat", "dog", "owl")
    assert [clip.labels for clip in dataset.clips("train")] == [("dog", "cat"), ()]


def test_the_separator_of_labels_can_be_chosen(root):
    dataset = manifest(
        root, "path,labels,split\na.wav,x;y|z,train\nb.wav,z,valid\n", multi_label=True, label_separator="|"
    )
    assert dataset.labels == ("x;y", "z")


@pytest.mark.parametrize("name", ["clips.jsonl", "clips.json"])
def test_json_lines_are_read_with_lists_or_texts_of_labels(root, name):
    content = json_lines(
        {"path": "a.wav", "labels": ["dog", "a;b"], "fold": 1, "start": 0.5, "duration": 1},
        {"path": "b.wav", "labels": "dog;cat", "fold": "2", "id": 7},
        {"path": "c.wav", "labels": None, "fold": 3},
    )
    dataset = manifest(root, content, name, multi_label=True, valid_fold=2)
    assert dataset.labels == ("a;b", "cat", "dog")
    first, last = dataset.clips("train")
    assert (first.id, first.labels, first.start_s, first.duration_s) == ("a.wav#0.5", ("dog", "a;b"), 0.5, 1.0)
    assert last.labels == ()
    assert (dataset.clips("valid")[0].id, dataset.clips("valid")[0].labels) == ("7", ("dog", "cat"))


def test_a_file_of_labels_fixes_their_order(root):
    (root / "labels.txt").write_bytes("\ufeffowl\r\ndog\r\n\r\ncat\r\n".encode())
    assert manifest(root, GOOD, labels=str(root / "labels.txt")).labels == ("owl", "dog", "cat")


def test_the_root_may_be_elsewhere(root, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("tables")
    assert manifest(elsewhere, GOOD, root=str(root)).clips("train")[0].source == root / "a.wav"


def test_an_absolute_path_inside_the_root_is_taken_as_a_relative_one(root):
    assert manifest(root, GOOD.replace("a.wav", str(root / "a.wav"))).clips("train")[0].id == "a.wav"


def test_a_byte_order_mark_windows_line_ends_and_blank_lines_do_no_harm(root):
    content = "\ufeff" + GOOD.replace("\n", "\r\n\r\n,,\r\n")
    assert len(manifest(root, content).clips("train")) == 1
    content = "\ufeff" + json_lines({"path": "a.wav", "label": "dog", "split": "train"}).replace("\n", "\r\n\r\n")
    content += json_lines({"path": "b.wav", "label": "cat", "split": "valid"})
    assert len(manifest(root, content, "clips.jsonl").clips("valid")) == 1


@pytest.mark.parametrize(
    ("header", "missing"),
    [
        ("file,label,split", "no column 'path'"),
        ("path,category,split", "no column 'label' or 'labels'"),
        ("path,label,part", "no column 'split' or 'fold'"),
    ],
)
def test_a_missing_column_is_refused_with_the_columns_there_are(root, header, missing):
    message = refusal(root, GOOD.replace("path,label,split", header))
    assert missing in message
    assert f"columns found: {', '.join(header.split(','))}" in message


def test_a_missing_key_of_a_json_line_is_refused_with_its_line(root):
    rows = {"path": "a.wav", "label": "dog", "split": "train"}, {"path": "b.wav", "split": "valid"}
    said = refusal(root, json_lines(*rows), "clips.jsonl")
    assert "clips.jsonl:2: no column 'label' or 'labels'" in said
    assert "if it has another name: data.params.columns.label=NAME" in said


def test_a_fold_is_asked_for_with_the_folds_there_are(root):
    content = "path,label,fold\na.wav,dog,1\nb.wav,cat,3\n"
    for valid_fold in (0, 2):
        message = refusal(root, content, valid_fold=valid_fold)
        assert f"data.params.valid_fold is {valid_fold}, which does not divide" in message
        assert "folds: 1, 3;" in message
    assert "folds: 1;" in refusal(root, content.replace(",3", ",1"), valid_fold=1)
    assert "data.params.valid_fold is -1" in refusal(root, content, valid_fold=-1)
    message = refusal(root, GOOD, valid_fold=1)
    assert "no column 'fold'" in message
    assert "data.params.valid_fold is 1" in message


@pytest.mark.parametrize(
    ("bad", "wrong", "right"),
    [
        ("a.wav,dog,extra", "unknown split 'extra'", "splits: train, valid, test"),
        ("a.wav,dog,", "unknown split ''", "splits: train, valid, test"),
        ("a.wav, ,train", "label is empty", "data.params.multi_label=true"),
        ("a.wav,dog;cat,train", "several labels: dog, cat", "data.params.multi_label=true"),
        ("b.wav,cat,train", "id 'b.wav' is already in line 3", "add a column 'id'"),
        ("../x.wav,dog,train", "path '../x.wav' is outside of", "data.params.root"),
        ("/etc/x.wav,dog,train", "path '/etc/x.wav' is outside of", "data.params.root"),
        ("sub/../../x.wav,dog,train", "path 'sub/../../x.wav' is outside of", "data.params.root"),
        (",dog,train", "path '' is outside of", "data.params.root"),
        ("a.wav,dog", "2 values for 3 columns", "quote a value"),
        ("a.wav,dog,train,x", "4 values for 3 columns", "quote a value"),
        ('"a.wav"x,dog,train', "not CSV", "commas"),
    ],
)
def test_a_bad_line_is_refused_with_its_number(root, bad, wrong, right):
    message = refusal(root, GOOD + bad + "\n")
    assert f"clips.csv:4: {wrong}" in message
    assert right in message


@pytest.mark.parametrize("bad", ["-1,", "nan,", "x,", ",0", ",-2", ",inf"])
def test_times_that_are_none_are_refused_with_their_line(root, bad):
    message = refusal(root, f"path,label,split,start,duration\na.wav,dog,train,0,1\nb.wav,cat,valid,{bad}\n")
    assert "clips.csv:3: " in message
    assert "it is a number of seconds" in message


@pytest.mark.parametrize("bad", ["0", "1.5", "-1", "x", "", "9" * 5000])
def test_a_fold_that_is_none_is_refused_with_its_line(root, bad):
    message = refusal(root, f"path,label,fold\na.wav,dog,1\nb.wav,cat,{bad}\n", valid_fold=1)
    assert f"clips.csv:3: fold is {bad!r}" in message


@pytest.mark.parametrize("label", [{"dog": 1}, ["dog", 1], [None]])
def test_a_label_that_is_no_text_is_refused_with_its_line(root, label):
    message = refusal(root, json_lines({"path": "a.wav", "label": label, "split": "train"}), "clips.jsonl")
    assert f"clips.jsonl:1: label is {label!r}" in message


def test_an_unknown_label_is_refused_with_its_line(root):
    (root / "labels.txt").write_text("dog\nowl\n")
    message = refusal(root, GOOD, labels=str(root / "labels.txt"))
    assert "clips.csv:3: unknown label 'cat'" in message
    assert "labels.txt (data.params.labels)" in message


def test_a_bad_file_of_labels_is_refused(root):
    path = root / "labels.txt"
    path.write_text("dog\ncat\n\ndog\n")
    assert "labels.txt:4: label 'dog' is already in line 1" in refusal(root, GOOD, labels=str(path))
    path.write_text("\n")
    assert "has no labels (data.params.labels)" in refusal(root, GOOD, labels=str(path))
    path.unlink()
    assert f"cannot read {path} (data.params.labels)" in refusal(root, GOOD, labels=str(path))


def test_files_that_do_not_exist_are_counted_and_the_first_three_named(root):
    message = refusal(root, GOOD + "".join(f"x{number}.wav,dog,train\n" for number in range(5)))
    assert "5 of 7 clips have no file" in message
    assert f"line 4: {root / 'x0.wav'}" in message
    assert "line 6:" in message
    assert "line 7:" not in message
    assert "data.params.root" in message


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_several_labels_may_use_the_separator_of_the_table_in_quotes(root, separator):
    lines = [["path", "label", "split"], ["a.wav", '"dog;cat"', "train"], ["b.wav", "cat", "valid"]]
    text = "\n".join(separator.join(line) for line in lines)
    found = manifest(root, text.encode("utf-16"), "clips.tsv", multi_label=True)
    assert found.clips("train")[0].labels == ("dog", "cat")
    assert "several labels: dog, cat" in refusal(root, text, "clips.txt")


@pytest.mark.parametrize(("train", "valid", "test"), [("training", "val", "testing"), ("Train", "DEV", "Test")])
def test_usual_names_of_splits_are_read(root, train, valid, test):
    lines = [
        "path,label,split",
        f"a.wav,dog,{train}",
        f"b.wav,cat,{train}",
        f"c.wav,dog,{valid}",
        f"e.wav,cat,{test}",
    ]
    for name in ("c.wav", "e.wav"):
        (root / name).touch()
    found = manifest(root, "\n".join(lines))
    assert [len(found.clips(split)) for split in ("train", "valid", "test")] == [2, 1, 1]


@pytest.mark.parametrize("params", [{}, {"valid_fold": 1}, {"folds": 2, "valid_fold": 1}])
def test_a_name_of_a_split_that_may_mean_several_is_refused(root, params):
    fold = ",fold" if params == {"valid_fold": 1} else ""
    rows = [f"a.wav,dog,train{fold and ',1'}", f"b.wav,cat,Eval{fold and ',2'}"]
    message = refusal(root, "\n".join([f"path,label,split{fold}", *rows]), **params)
    assert "clips.csv:3: unknown split 'Eval'" in message
    assert "call it train for clips to learn from, valid for those that choose the best epoch, test for" in message


def test_a_column_that_stands_twice_is_refused(root):
    assert "clips.csv:1: a column stands twice" in refusal(root, GOOD.replace("path,label", "path,path"))
    assert "both columns 'label' and 'labels'" in refusal(root, "path,label,labels,split\na.wav,x,y,train\n")


def test_other_encodings_are_refused_with_the_line(root):
    message = refusal(root, "path,label,split\na.wav,dog,train\nb.wav,Küche,valid\n".encode("latin-1"))
    assert "clips.csv:3: not UTF-8 (data.params.path)" in message


@pytest.mark.parametrize("bad", ["{", "[1]", "3", '{"path": NaN', '"a.wav"'])
def test_a_line_that_is_no_json_object_is_refused_with_its_number(root, bad):
    good = json_lines({"path": "a.wav", "label": "dog", "split": "train"})
    assert "clips.jsonl:2: not a JSON object" in refusal(root, good + bad + "\n", "clips.jsonl")


def test_a_manifest_without_clips_or_with_an_empty_split_is_refused(root):
    assert "lists no clips" in refusal(root, "")
    assert "lists no clips" in refusal(root, "path,label,split\n")
    message = refusal(root, GOOD.replace("valid", "test"))
    assert "no clip in split 'valid'" in message
    assert "found: test, train" in message


def test_a_manifest_that_cannot_be_read_is_refused_by_name(root):
    for name, wrong in (("none.csv", "cannot read"), ("no/clips.csv", "cannot read"), ("a.wav", "is not a manifest")):
        with pytest.raises(UserError, match=wrong) as caught:
            Manifest(ManifestParams(str(root / name)))
        assert f"{root / name} (data.params.path)" in str(caught.value)


def test_bad_settings_are_refused_by_their_key(root):
    assert "data.params.label_separator is empty" in refusal(root, GOOD, label_separator="")
    assert f"{root / 'no'} is not a folder (data.params.root)" in refusal(root, GOOD, root=str(root / "no"))


def test_an_unknown_split_is_refused(root):
    with pytest.raises(UserError, match="no split 'test'"):
        manifest(root, GOOD).clips("test")


@pytest.mark.parametrize("link", ["c.wav", "out/c.wav"])
def test_a_link_that_leads_out_of_the_root_is_refused_by_its_line(root, tmp_path_factory, link):
    outside = tmp_path_factory.mktemp("outside")
    (outside / "c.wav").touch()
    (root / "c.wav").unlink()
    (root / link.partition("/")[0]).symlink_to(outside / "c.wav" if link == "c.wav" else outside)
    said = refusal(root, GOOD + f"{link},cat,train\n")
    assert f"clips.csv:4: path {link!r} is a link that leads out of {root}" in said


def test_a_file_of_another_normal_form_that_is_a_link_out_of_the_root_is_refused_too(root, tmp_path_factory):
    outside = tmp_path_factory.mktemp("outside") / "x.wav"
    outside.touch()
    name = "caf\N{LATIN SMALL LETTER E WITH ACUTE}.wav"
    (root / unicodedata.normalize("NFD", name)).symlink_to(outside)
    assert f"clips.csv:4: path {name!r} is a link that leads out of {root}" in refusal(
        root, GOOD + f"{name},cat,train\n"
    )


def test_a_link_inside_the_root_and_a_root_that_is_a_link_are_followed(root, tmp_path_factory):
    (root / "c.wav").unlink()
    (root / "c.wav").symlink_to("a.wav")
    alias = tmp_path_factory.mktemp("alias") / "root"
    alias.symlink_to(root)
    assert len(manifest(alias, GOOD + "c.wav,cat,train\n").clips("train")) == 2


def test_the_lines_of_a_file_that_is_no_list_of_labels_are_not_shown(root):
    (root / "shadow").write_text("root:secret\nroot:secret\n")
    said = refusal(root, GOOD, labels=str(root / "shadow"))
    assert "shadow:2: this label is already in line 1" in said
    assert "secret" not in said
