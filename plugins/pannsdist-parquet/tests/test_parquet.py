"""What the dataset `parquet` makes of tables in the layouts that Hugging Face `datasets` writes."""

import json
import pickle

import pyarrow
import pytest
from pannsdist_parquet import Parquet, sources
from pyarrow import ipc
from tables_of_sounds import (
    AUDIO,
    CLASS,
    NAMES,
    described,
    hub,
    loose,
    saved,
    sound,
    structs,
    table,
    write,
    write_arrow,
)

from pannsdist.contracts import UserError
from pannsdist.devkit import conformance

CARD = """---
dataset_info:
- config_name: default
  features:
  - name: audio
    dtype: {audio: {sampling_rate: 8000}}
  - name: label
    dtype: {class_label: {names: {'0': dog, '1': cat}}}
configs:
- config_name: default
  data_files:
  - {split: train, path: 'sounds/a-*'}
  - {split: validation, path: ['sounds/b.parquet']}
---
"""
TWO = {"splits": {"train": "a-1", "valid": "b"}}


def opened(root, **params):
    return Parquet(Parquet.Params(str(root), **params))


def refusal(root, **params):
    with pytest.raises(UserError) as caught:
        opened(root, **params)
    return str(caught.value)


def everything(root, **params):
    """(id, labels, content) of every clip by split."""
    dataset = opened(root, **params)
    return {
        split: [(clip.id, clip.labels, clip.source.open().read()) for clip in dataset.clips(split)]
        for split in dataset.splits
    }


def one(folder, made, **params):
    """A table in one file that nothing divides, half of which is held out."""
    write(folder / "sounds.parquet", made)
    return opened(folder / "sounds.parquet", **{"valid_fraction": 0.5, **params})


def clips_of(dataset):
    return sorted((clip for split in dataset.splits for clip in dataset.clips(split)), key=lambda clip: clip.id)


@pytest.mark.parametrize("make", [hub, saved])
def test_both_layouts_hold_the_sounds_that_were_written(make, tmp_path):
    assert everything(make(tmp_path)) == {
        split: [(f"{number}.wav", (NAMES[number % 2],), sound(number)) for number in span]
        for split, span in {"train": range(6), "valid": range(6, 8), "test": range(8, 10)}.items()
    }


def miniature(folder):
    return Parquet.Params(str(hub(folder)))


test_parquet_keeps_the_contract = conformance(Parquet, miniature)


@pytest.mark.parametrize("make", [hub, saved])
def test_ids_and_order_do_not_depend_on_the_place(make, tmp_path):
    here, there = everything(make(tmp_path / "here"), ids="row"), everything(make(tmp_path / "there"), ids="row")
    assert here == there
    assert all("#" in name and str(tmp_path) not in name for clips in here.values() for name, _, _ in clips)


def test_listing_reads_no_sound(tmp_path):
    path = hub(tmp_path) / "data/train-00000-of-00002.parquet"
    content = path.read_bytes()
    place = content.index(sound(0)[100:400])
    path.write_bytes(content[:4] + bytes(place - 4) + content[place:])
    damaged = opened(tmp_path)
    with pytest.raises(OSError, match="damaged"):
        damaged.clips("train")[0].source.open()


def test_a_row_group_is_decoded_once_and_a_few_are_kept(tmp_path, monkeypatch):
    decoded = []
    own = sources._decoded
    monkeypatch.setattr(sources, "_decoded", lambda *place: decoded.append(place[2]) or own(*place))
    monkeypatch.setattr(sources, "_HELD", sources._Groups())
    clips = opened(hub(tmp_path)).clips("train")[:4]
    for clip in (*clips, *clips):
        clip.source.open()
    assert decoded == [0, 1]
    monkeypatch.setattr(sources, "HELD_BYTES", 3 * len(sound(0)))
    monkeypatch.setattr(sources, "_HELD", sources._Groups())
    for clip in (clips[0], clips[2], clips[3], clips[1]):
        clip.source.open()
    assert decoded == [0, 1, 0, 1, 0]


def test_a_table_that_changes_after_the_listing_stops_the_run(tmp_path):
    for make, name in ((hub, "data/train-00000-of-00002.parquet"), (saved, "train/data-00000-of-00001.arrow")):
        root = make(tmp_path / make.__name__)
        clip = opened(root).clips("train")[0]
        before = clip.source.state()
        (root / name).write_bytes((root / name).read_bytes() + b" ")
        assert clip.source.state() != before
        with pytest.raises(OSError, match="changed") as caught:
            clip.source.open()
        (root / name).unlink()
        for read in (clip.source.open, clip.source.state):
            with pytest.raises(OSError, match="cannot be read any more") as caught:
                read()
            assert not isinstance(caught.value, FileNotFoundError), "a lost disk is no bad clip"


@pytest.mark.parametrize("make", [hub, saved])
def test_sources_are_values(make, tmp_path):
    clips = opened(make(tmp_path)).clips("train")
    assert pickle.loads(pickle.dumps(clips)) == clips
    assert len({clip.source for clip in (*clips, *opened(tmp_path).clips("train"))}) == len(clips)
    assert clips[3].source.name.endswith(":3/3.wav")


# columns


def test_labels_of_each_kind(tmp_path):
    texts = ["cat", "dog", "cat", "dog"]
    assert one(tmp_path, table(range(4), texts, {})).labels == ("cat", "dog")
    assert one(tmp_path, table(range(4), texts, {}), names=["dog", "cat", "owl"]).labels == ("dog", "cat", "owl")
    assert one(tmp_path, table(range(4), None, {}), names=["a", "b"]).labels == ("a", "b")
    coded = pyarrow.array(texts).dictionary_encode()
    assert one(tmp_path, table(range(4), coded, {})).labels == ("cat", "dog")
    lists = {"audio": AUDIO, "label": {"feature": CLASS, "_type": "List"}}
    many = one(tmp_path, table(range(4), [[0, 1], [0], [1], []], lists))
    assert (many.multi_label, many.labels) == (True, ("dog", "cat"))
    assert [clip.labels for clip in clips_of(many)] == [("dog", "cat"), ("dog",), ("cat",), ()]
    older = {"audio": AUDIO, "label": [CLASS]}
    assert one(tmp_path, table(range(4), [[0, 1], [0], [1], [0]], older)).multi_label


def test_sounds_of_each_kind(tmp_path):
    contents = [sound(number) for number in range(4)]
    plain = described(pyarrow.table({"audio": contents, "label": ["a", "b", "a", "b"]}), {})
    clips = clips_of(one(tmp_path, plain))
    assert [clip.source.open().read() for clip in clips] == contents
    assert [clip.id for clip in clips] == [f"sounds.parquet#{number}" for number in range(4)]
    for number in range(4):
        (tmp_path / f"{number}.wav").write_bytes(contents[number])
    names = [f"{number}.wav" for number in range(4)]
    for column in (pyarrow.array(names), structs([None] * 4, names)):
        listed = clips_of(one(tmp_path, pyarrow.table({"audio": column, "label": ["a", "b", "a", "b"]})))
        assert [clip.source for clip in listed] == [tmp_path / name for name in names]


def test_columns_have_the_names_that_the_params_say(tmp_path):
    made = pyarrow.table(
        {
            "clip": structs([sound(number) for number in range(4)], [None] * 4),
            "kind": ["a", "b", "a", "b"],
            "key": [10, 11, 12, 13],
            "use": ["train", "train", "dev", "dev"],
            "by": ["x", "x", "y", "y"],
            "begin": [0.0, 0.1, 0.0, 0.0],
            "long": [0.1, 0.1, None, 0.1],
        }
    )
    roles = {"audio": "clip", "label": "kind", "id": "key", "split": "use", "start": "begin", "duration": "long"}
    dataset = one(tmp_path, made, columns=roles, group="by", valid_fraction=0.0)
    assert [(clip.id, clip.group, clip.start_s, clip.duration_s) for clip in dataset.clips("train")] == [
        ("10", "x", 0.0, 0.1),
        ("11", "x", 0.1, 0.1),
    ]
    assert [clip.duration_s for clip in dataset.clips("valid")] == [None, 0.1]


def test_folds_of_a_column_and_drawn_ones(tmp_path):
    write(tmp_path / "train.parquet", table(range(8), fold=[1, 1, 2, 2, 3, 3, 1, 2]))
    assert Parquet.folds(Parquet.Params(str(tmp_path))) == (1, 2, 3)
    assert [clip.id for clip in opened(tmp_path, valid_fold=3).clips("valid")] == ["4.wav", "5.wav"]
    assert "folds: 1, 2, 3" in refusal(tmp_path, valid_fold=4)
    assert Parquet.folds(Parquet.Params(str(tmp_path), folds=2)) == (1, 2)
    assert len(opened(tmp_path, folds=2, valid_fold=1).clips("valid")) == 4


# layouts


def test_features_and_files_of_a_card(tmp_path):
    write(tmp_path / "sounds/a-1.parquet", table(range(4), None, {}))
    write(tmp_path / "sounds/b.parquet", table(range(4, 6), None, {}))
    assert "nothing says their names" in refusal(tmp_path, **TWO)
    (tmp_path / "README.md").write_text(CARD)
    dataset = opened(tmp_path)
    assert dataset.labels == ("dog", "cat")
    assert {split: len(dataset.clips(split)) for split in dataset.splits} == {"train": 4, "valid": 2}
    (tmp_path / "README.md").write_text(CARD.replace("b.parquet", "gone.parquet"))
    assert "lists 'sounds/gone.parquet' for validation, but there is no such table" in refusal(tmp_path)
    (tmp_path / "README.md").write_text("---\n{: no\n---\n")
    assert "the YAML at its head cannot be read" in refusal(tmp_path)


@pytest.mark.parametrize(
    "names",
    [
        ("train.parquet", "valid.parquet"),
        ("train/0000.parquet", "validation/0000.parquet"),
        ("default/train/0000.parquet", "default/val/0000.parquet"),
        ("my-train-00000-of-00001.parquet", "my-dev-00000-of-00001.parquet"),
        ("data/train.clean.100-00000-of-00001.parquet", "data/validation.clean-00000-of-00001.parquet"),
        ("esc-train-00000-of-00001.arrow", "esc-validation-00000-of-00001.arrow"),
    ],
)
def test_splits_are_found_in_names(names, tmp_path):
    for name, span in zip(names, (range(4), range(4, 6)), strict=True):
        (write_arrow if name.endswith(".arrow") else write)(tmp_path / name, table(span))
    write_arrow(tmp_path / "cache-0123.arrow", table(range(3)))
    if not names[0].endswith(".arrow"):
        (tmp_path / "cache-0123.arrow").unlink()
    dataset = opened(tmp_path)
    assert {split: len(dataset.clips(split)) for split in dataset.splits} == {"train": 4, "valid": 2}


def test_an_unclear_split_is_refused_and_can_be_named(tmp_path):
    write(tmp_path / "train.parquet", table(range(4)))
    write(tmp_path / "eval.parquet", table(range(4, 6)))
    assert "'eval' may mean several" in refusal(tmp_path)
    dataset = opened(tmp_path, splits={"train": "train", "valid": "eval"})
    assert len(dataset.clips("valid")) == 2
    assert set(opened(tmp_path, splits={"train": "train"}, valid_fraction=0.5).splits) == {"train", "valid"}


def test_a_missing_split_is_refused_and_can_be_drawn(tmp_path):
    write(tmp_path / "train.parquet", table(range(8)))
    write(tmp_path / "test.parquet", table(range(8, 10)))
    assert "no clips in split 'valid'" in refusal(tmp_path)
    dataset = opened(tmp_path, valid_fraction=0.25)
    assert {split: len(dataset.clips(split)) for split in dataset.splits} == {"train": 6, "valid": 2, "test": 2}
    assert "valid_fraction is 0.2, but" in refusal(hub(tmp_path / "other"), valid_fraction=0.2)


def test_subsets(tmp_path):
    for subset, first in (("near", 0), ("far", 10)):
        write(tmp_path / subset / "train.parquet", table(range(first, first + 2)))
        write(tmp_path / subset / "valid.parquet", table(range(first + 2, first + 4)))
    assert "has 2 subsets\n  subsets: far, near" in refusal(tmp_path)
    assert "data.params.config is 'mid'" in refusal(tmp_path, config="mid")
    assert [clip.id for clip in opened(tmp_path, config="far").clips("train")] == ["10.wav", "11.wav"]


def test_a_snapshot_of_the_hub_has_links_to_its_blobs_and_other_links_are_refused(tmp_path):
    snapshot = tmp_path / "datasets--a--b/snapshots/0123"
    hub(snapshot)
    blobs = tmp_path / "datasets--a--b/blobs"
    blobs.mkdir()
    for number, path in enumerate(sorted(snapshot.rglob("*.parquet"))):
        path.rename(blobs / str(number))
        path.symlink_to(blobs / str(number))
    assert len(opened(snapshot).clips("train")) == 6
    moved = (blobs / "0").rename(tmp_path / "outside.parquet")
    path = min(snapshot.rglob("*.parquet"))
    path.unlink()
    path.symlink_to(moved)
    assert "is a link that leads out of" in refusal(snapshot)


# bad input


def test_a_table_cut_short_is_refused(tmp_path):
    for make, name in ((hub, "data/train-00000-of-00002.parquet"), (saved, "train/data-00000-of-00001.arrow")):
        path = make(tmp_path / make.__name__) / name
        whole = path.read_bytes()
        for kept in (0, 3, 7, 8, 100, len(whole) // 2, len(whole) - 100, len(whole) - 8, len(whole) - 1):
            path.write_bytes(whole[:kept])
            assert f"{path} is damaged, or no table" in refusal(tmp_path / make.__name__), kept


def test_damage_at_any_place_never_crashes(tmp_path):
    for make, name in ((hub, "data/train-00000-of-00002.parquet"), (saved, "train/data-00000-of-00001.arrow")):
        root = make(tmp_path / make.__name__)
        whole = (root / name).read_bytes()
        for place in range(4, len(whole), max(1, len(whole) // 60)):
            (root / name).write_bytes(
                whole[:place] + bytes(byte ^ 0xFF for byte in whole[place : place + 3]) + whole[place + 3 :]
            )
            try:
                for clip in opened(root).clips("train"):
                    clip.source.open()
            except (UserError, OSError):
                pass


def test_a_batch_of_a_false_length_is_refused(tmp_path):
    path = saved(tmp_path) / "train/data-00000-of-00001.arrow"
    whole = path.read_bytes()
    two, refused = (2).to_bytes(8, "little"), 0
    for place in range(0, len(whole) - 8, 8):
        if whole[place : place + 8] == two:  # the lengths of a batch and of its columns are among these
            path.write_bytes(whole[:place] + (-(1 << 56)).to_bytes(8, "little", signed=True) + whole[place + 8 :])
            try:
                opened(tmp_path)
            except UserError:
                refused += 1
    assert refused >= 5


def test_what_is_no_table_is_refused(tmp_path):
    (tmp_path / "train.parquet").write_text("hello\n" * 100)
    assert "is damaged, or no table" in refusal(tmp_path)
    (tmp_path / "train.parquet").write_bytes(b"PAR1" + b"\xff" * 100 + b"PARE")
    assert "is damaged, or no table" in refusal(tmp_path)
    assert "a table ends with .parquet or .arrow" in refusal(loose(tmp_path) / "clips.csv")
    (tmp_path / "train.parquet").unlink()
    assert "has no table" in refusal(tmp_path)
    assert "where there is no folder" in refusal(tmp_path / "nowhere")


def test_tables_that_differ_are_refused(tmp_path):
    hub(tmp_path)
    path = tmp_path / "data/validation-00000-of-00001.parquet"
    write(path, table(range(6, 8), ["dog", "cat"], {}))
    assert f"{path} has other columns or class names than" in refusal(tmp_path)
    write(path, table(range(6, 8), None, {"audio": AUDIO, "label": {**CLASS, "names": ["cat", "dog"]}}))
    assert f"{path} has other columns or class names than" in refusal(tmp_path)
    write(path, pyarrow.table({"sound": ["a"], "label": ["b"]}))
    assert "no column 'audio'\n  columns found: sound, label" in refusal(tmp_path)


def test_a_missing_shard_is_refused(tmp_path):
    (hub(tmp_path) / "data/train-00001-of-00002.parquet").unlink()
    assert "1 of the 2 tables of data/train: number 1 is missing" in refusal(tmp_path)
    (saved(tmp_path / "saved") / "train/data-00000-of-00001.arrow").unlink()
    assert "is missing, which state.json lists" in refusal(tmp_path / "saved")


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"audio": structs([b"a", b"b"], ["x.wav", "x.wav"])}, "row 1 has the id 'x.wav' of"),
        ({"audio": structs([None, None], ["x.wav", None])}, "row 0: audio has no bytes, and there is no file 'x.wav'"),
        ({"audio": structs([None, None], [None, None])}, "row 0: audio is null"),
        ({"audio": structs([None, None], ["../x.wav", None])}, "path '../x.wav' is outside of the folder"),
        ({"audio": structs([None, None], ["/etc/hosts", None])}, "path '/etc/hosts' is outside of the folder"),
        ({"audio": [0.5, 0.25]}, "column 'audio' is double, which holds no sound files"),
        ({"audio": [{"array": [0.5]}, {"array": [0.5]}]}, "which holds no sound files"),
        ({"audio": [{"bytes": "text"}, {"bytes": "text"}]}, "which holds no sound files"),
        ({"label": [0, 2]}, "row 1: label is 2\n  2 names are known, so it is 0 to 1"),
        ({"label": [0, -1]}, "-1 stands for clips without labels"),
        ({"label": [0, None]}, "row 1: label is null"),
        ({"label": [0.5, 1.0]}, "column 'label' is double, which is no label"),
        ({"label": ["a", " "]}, "row 1: label is ' '"),
    ],
)
def test_rows_that_cannot_be_used_are_refused(columns, said, tmp_path):
    made = {"audio": structs([sound(0), sound(1)], ["0.wav", "1.wav"]), "label": [0, 1], **columns}
    write(tmp_path / "train.parquet", described(pyarrow.table(made), {"label": CLASS}))
    assert said in refusal(tmp_path)
    write_arrow(tmp_path / "sounds.arrow", described(pyarrow.table(made), {"label": CLASS}))
    assert said in refusal(tmp_path / "sounds.arrow")


def test_a_single_null_is_a_clip_that_cannot_be_read(tmp_path):
    write(
        tmp_path / "train.parquet",
        table(range(4)).set_column(0, "audio", structs([b"a", None, b"c", b"d"], list("abcd"))),
    )
    clips = clips_of(opened(tmp_path, valid_fraction=0.5))
    with pytest.raises(FileNotFoundError, match="its audio is null"):
        clips[1].source.open()


def test_no_rows_are_refused(tmp_path):
    write(tmp_path / "train.parquet", table([], pyarrow.array([], pyarrow.int64())))
    assert "have no rows that are used" in refusal(tmp_path)


def test_one_clip_in_two_splits_is_refused(tmp_path):
    write(tmp_path / "train.parquet", table(range(4)))
    write(tmp_path / "valid.parquet", table(range(3, 5)))
    assert "valid.parquet: row 0 has the id '3.wav' of" in refusal(tmp_path)
    assert len(opened(tmp_path, ids="row").clips("valid")) == 2


def test_a_large_row_group_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("pannsdist_parquet.tables.MAX_GROUP_BYTES", 2 * len(sound(0)) - 1)
    assert "row group 0 holds" in refusal(hub(tmp_path))


def test_compressed_arrow_files_are_refused(tmp_path):
    options = ipc.IpcWriteOptions(compression="lz4")
    write_arrow(tmp_path / "train.arrow", table(range(4)), options=options)
    assert "its sounds are compressed" in refusal(tmp_path)
    write_arrow(tmp_path / "train.arrow", table(range(4)), new=ipc.new_file)
    assert len(clips_of(opened(tmp_path, valid_fraction=0.5))) == 4


@pytest.mark.parametrize("name", ["../train", "/tmp"])
def test_a_state_that_leads_out_is_refused(name, tmp_path):
    root = saved(tmp_path / "saved")
    (root / "dataset_dict.json").write_text(json.dumps({"splits": [name]}))
    assert "which is outside of it" in refusal(root)
    (root / "dataset_dict.json").write_text('{"splits": ["train"]')
    assert "dataset_dict.json is no JSON" in refusal(root)
    saved(root)
    (root / "train/state.json").write_text(json.dumps({"_data_files": [{"filename": f"{name}/a.arrow"}]}))
    assert "which is outside of it" in refusal(root)


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"columns": {"sound": "audio"}}, "data.params.columns has 'sound'"),
        ({"splits": {"dev": "validation"}}, "data.params.splits has 'dev'"),
        ({"columns": {"label": "kind"}}, "no column 'kind'"),
        (
            {"group": "kind"},
            "no column 'kind'\n  columns found: audio, label; if it has another name: data.params.group",
        ),
        ({"names": ["a", "a"]}, "data.params.names has a name twice"),
        ({"ids": "file"}, "data.params.ids is 'file'"),
        ({"splits": {"train": "training"}}, "have no rows that are used\n  splits found: train, validation, test"),
    ],
)
def test_params_that_do_not_fit_are_refused(params, said, tmp_path):
    root = hub(tmp_path)
    said_of = refusal(root, **params)
    assert said in said_of or (said.endswith("validation, test") and "splits found: test, train, validation" in said_of)
