"""What the dataset `panns_hdf5` makes of PANNs' packed files, and the runs on them."""

import json
import pickle
import re

import h5py
import numpy as np
import pytest
from panns_packing import LABELS, RATE_HZ, folded, index, loose, pack, packed_samples, sound, targets, workspace
from pannsdist_hdf5 import PannsHdf5, source
from pannsdist_hdf5.source import FULL_SCALE

import pannsdist
from pannsdist.cli.command_line import main
from pannsdist.contracts import UserError
from pannsdist.devkit import conformance
from pannsdist.inference import audioset

EVAL = "hdf5s/waveforms/eval.h5"
ANY_LABELS = {"train": "hdf5s/waveforms/balanced_train.h5", "valid": EVAL}


def opened(root, **params):
    labels = {} if "labels" in params or not (root / "labels.txt").is_file() else {"labels": str(root / "labels.txt")}
    return PannsHdf5(PannsHdf5.Params(str(root), **{**labels, **params}))


def refusal(root, **params):
    with pytest.raises(UserError) as caught:
        opened(root, **params)
    return str(caught.value)


@pytest.mark.parametrize("params", [{}, ANY_LABELS, {"train": "hdf5s/indexes/balanced_train.h5", "valid": EVAL}])
def test_waveforms_are_read_as_panns_reads_them(params, tmp_path):
    dataset = opened(workspace(tmp_path), **params)
    assert (dataset.splits, tuple(dataset.labels), dataset.multi_label) == (("train", "valid"), LABELS, True)
    clips = [clip for split in dataset.splits for clip in dataset.clips(split)]
    assert [(clip.id, clip.labels) for clip in clips] == [(f"Y{n}.wav", (LABELS[n % 3],)) for n in range(9)]
    for number, clip in enumerate(clips):
        samples, rate_hz = clip.source.samples()
        assert (samples.dtype, rate_hz, clip.source.duration_s) == (np.float32, RATE_HZ, 0.25)
        assert np.array_equal(samples, (packed_samples(number) / 32767.0).astype(np.float32))


def test_every_integer_becomes_the_number_that_panns_makes_of_it():
    every = np.arange(-32768, 32768).astype(np.int16)
    assert np.array_equal(every.astype(np.float32) / FULL_SCALE, (every / 32767.0).astype(np.float32))


def test_older_files_hold_floats_and_their_indexes_names(tmp_path):
    workspace(tmp_path)
    packed = tmp_path / "hdf5s/waveforms/eval.h5"
    pack(packed, range(6, 9), waveform=np.array([sound(number) for number in range(6, 9)]))
    index(tmp_path / "hdf5s/indexes/eval.h5", packed, "eval.h5", key="hdf5_name")
    samples, _ = opened(tmp_path).clips("valid")[1].source.samples()
    assert np.array_equal(samples, sound(7))


def test_names_of_audioset_are_those_of_the_published_networks(tmp_path):
    several = np.zeros((2, 527), bool)
    several[:, [0, 526]] = True
    for name, numbers in (("train", (0, 1)), ("valid", (2, 3))):
        pack(tmp_path / f"{name}.h5", numbers, target=several)
    dataset = opened(tmp_path, train="train.h5", valid="valid.h5")
    assert tuple(dataset.labels) == audioset.labels()
    assert dataset.clips("train")[0].labels == ("Speech", audioset.labels()[526])


def test_folds_of_a_column(tmp_path):
    path = folded(tmp_path)
    labels = str(tmp_path / "labels.txt")
    assert PannsHdf5.folds(PannsHdf5.Params(str(path))) == (1, 2, 3)
    dataset = opened(path, labels=labels, valid_fold=2, multi_label=False)
    assert [clip.id for clip in dataset.clips("valid")] == ["Y1.wav", "Y4.wav", "Y7.wav"]
    assert dataset.clips("train")[0].source.samples()[1] == 32000
    assert opened(path, labels=labels, valid_fold=2, sample_rate_hz=16000).clips("valid")[0].source.rate_hz == 16000
    assert "folds: 1, 2, 3" in refusal(path, labels=labels, valid_fold=4)


def test_several_files_in_a_folder(tmp_path):
    workspace(tmp_path)
    pack(tmp_path / "parts/part00.h5", range(3))
    pack(tmp_path / "parts/part01.h5", range(3, 6))
    assert [clip.id for clip in opened(tmp_path, train="parts").clips("train")] == [f"Y{n}.wav" for n in range(6)]


def test_rows_that_were_not_downloaded_are_missing(tmp_path):
    workspace(tmp_path)
    names = np.array([b"Y6.wav", b"", b"Y8.wav"], "S20")
    pack(tmp_path / EVAL, range(6, 9), audio_name=names)
    dataset = opened(tmp_path, valid=EVAL)
    assert [clip.id for clip in dataset.clips("valid")] == ["Y6.wav", "Y8.wav"]
    assert len(dataset.missing) == 1


def test_every_process_opens_the_file_itself(tmp_path, monkeypatch):
    clip = opened(workspace(tmp_path)).clips("train")[0]
    before, _ = clip.source.samples()
    assert pickle.loads(pickle.dumps(clip)) == clip
    handles = dict(source.OPEN._files)
    monkeypatch.setattr(source.os, "getpid", lambda: -1)
    assert np.array_equal(clip.source.samples()[0], before)
    assert all(handles.get(key) is not file for key, file in source.OPEN._files.items())


def test_a_file_that_changes_or_goes_stops_the_run(tmp_path):
    clip = opened(workspace(tmp_path)).clips("valid")[0]
    (tmp_path / EVAL).write_bytes((tmp_path / EVAL).read_bytes() + b" ")
    with pytest.raises(UserError, match="has changed since"):
        clip.source.samples()
    (tmp_path / EVAL).unlink()
    with pytest.raises(UserError, match="row 0 cannot be read"):
        clip.source.samples()


def test_a_file_that_is_packed_again_is_listed_and_read_anew(tmp_path):
    opened(workspace(tmp_path)).clips("valid")[0].source.samples()
    again = tmp_path / "again.h5"
    pack(again, range(9, 14))
    with (tmp_path / EVAL).open("r+b") as file:  # the same file of the file system
        file.truncate(0)
        file.write(again.read_bytes())
    clips = opened(tmp_path, valid=EVAL).clips("valid")
    assert [clip.id for clip in clips] == [f"Y{number}.wav" for number in range(9, 14)]
    assert np.array_equal(clips[0].source.samples()[0], (packed_samples(9) / 32767.0).astype(np.float32))


# runs


def miniature(folder):
    return PannsHdf5.Params(str(workspace(folder, 527)))


test_panns_hdf5_keeps_the_contract = conformance(PannsHdf5, miniature)


def settings(name, data):
    model = {"name": "panns_leenet11", "weights": ""}
    train = {"epochs": 2, "batch_size": 2, "crop_s": 0.2}
    rest = {"train": train, "valid": {"batch_size": 2}, "trackers": {"visualdl": None}}
    return {"name": name, "model": model, "data": {**data, "workers": 0}, **rest}


def packed_data(root):
    return {"name": "panns_hdf5", "params": {"root": str(root), "labels": str(root / "labels.txt")}}


def test_two_epochs_are_those_of_loose_files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    root = workspace(tmp_path / "workspace")
    files = {"path": str(loose(tmp_path / "files")), "labels": str(root / "labels.txt"), "multi_label": True}
    found = []
    for name, data in (("files", {"name": "manifest", "params": files}), ("packed", packed_data(root))):
        run = pannsdist.train(settings(name, data))
        lines = [json.loads(line) for line in (run.folder / "scores.jsonl").read_text().splitlines()]
        scores = [{key: line[key] for key in line if key.startswith(("train/loss", "valid/"))} for line in lines]
        found.append(((run.folder / "best_model/model.pdparams").read_bytes(), scores))
    assert len(found[0][1]) == 2
    assert found[0] == found[1]


def test_data_check_reads_every_clip(tmp_path, capsys):
    root = workspace(tmp_path / "workspace")
    (tmp_path / "check.yaml").write_text(json.dumps(settings("check", packed_data(root))))
    assert main(["data", "check", "-c", str(tmp_path / "check.yaml")]) == 0
    assert re.search(r"^all +6 +3$", capsys.readouterr().out, re.MULTILINE)


# bad input


def test_a_file_cut_short_is_refused(tmp_path):
    whole = (workspace(tmp_path) / EVAL).read_bytes()
    for kept in (0, 7, 8, 100, len(whole) // 2, len(whole) - 1):
        (tmp_path / EVAL).write_bytes(whole[:kept])
        assert "eval.h5 is damaged, or no HDF5" in refusal(tmp_path), kept


def test_damage_at_any_place_never_crashes(tmp_path):
    path = workspace(tmp_path) / EVAL
    whole = path.read_bytes()
    for place in range(0, len(whole), max(1, len(whole) // 80)):
        changed = bytes(byte ^ 0xFF for byte in whole[place : place + 3])
        path.unlink()  # HDF5 takes a file that it has open already for the same one
        path.write_bytes(whole[:place] + changed + whole[place + 3 :])
        try:
            for clip in opened(tmp_path, valid=EVAL).clips("valid"):
                clip.source.samples()
        except UserError:
            pass


@pytest.mark.parametrize(
    ("datasets", "said"),
    [
        ({"waveform": None}, "it has no 'waveform'\n  it has: audio_name, target"),
        ({"target": None}, "it has no 'target'"),
        ({"waveform": np.zeros((3, 2000))}, "waveform has the type float64"),
        ({"waveform": np.zeros((3, 2000), np.int32)}, "waveform has the type int32"),
        ({"waveform": np.zeros(2000, np.int16)}, "'waveform' has the type int16 and the shape (2000,)"),
        ({"waveform": np.zeros((2, 2000), np.int16)}, "it has 2 waveforms for 3 names"),
        ({"waveform": np.zeros((3, 0), np.int16)}, "waveform has 0 samples in a row"),
        ({"target": targets([6, 7])}, "target has the shape (2, 3) for 3 names"),
        ({"target": np.full((3, 3), 0.5)}, "row 0: target is 0.5 for class 0\n  it is 0 or 1"),
        ({"target": np.full((3, 3), np.nan)}, "row 0: target is nan"),
        ({"target": np.zeros((3, 4), bool)}, "have 3 and 4 classes"),
        ({"audio_name": np.array([b"Y6.wav", b"Y6.wav", b"Y8.wav"])}, "row 1 has the audio_name 'Y6.wav' of"),
        ({"audio_name": np.array([b"Y6.wav", b"Y0.wav", b"Y8.wav"])}, "row 1 has the audio_name 'Y0.wav' of"),
        ({"audio_name": np.array([1, 2, 3])}, "'audio_name' has the type int64"),
        ({"fold": np.array([0, 1, 2])}, "fold is not one number for each name"),
        ({"rate_hz": 10}, "its sample_rate is 10"),
        ({"rate_hz": 2**31 - 1}, "its sample_rate is 2147483647"),
    ],
)
def test_files_that_do_not_fit_are_refused(datasets, said, tmp_path):
    pack(workspace(tmp_path) / EVAL, range(6, 9), **datasets)
    assert said in refusal(tmp_path, valid=EVAL)


def test_huge_declared_sizes_are_refused(tmp_path):
    path = workspace(tmp_path) / EVAL
    for shape in ((1 << 40, 2000), (3, 1 << 40)):
        pack(path, range(6, 9), waveform=None)
        with h5py.File(path, "a") as file:
            file.create_dataset("waveform", shape, np.int16, chunks=(1, 1000))
        assert "waveform" in refusal(tmp_path, valid=EVAL)


def test_what_is_not_in_the_file_itself_is_refused(tmp_path):
    path = workspace(tmp_path) / EVAL
    for place in (
        h5py.ExternalLink(str(tmp_path / "hdf5s/waveforms/balanced_train.h5"), "/waveform"),
        h5py.SoftLink("/target"),
    ):
        pack(path, range(6, 9), waveform=None)
        with h5py.File(path, "a") as file:
            file["waveform"] = place
        assert "'waveform' is no dataset of the file itself" in refusal(tmp_path, valid=EVAL)
    pack(path, range(6, 9), waveform=None)
    with h5py.File(path, "a") as file:
        file.create_dataset("waveform", (3, 2000), np.int16, external=str(tmp_path / "labels.txt"))
    assert "'waveform' is no dataset of the file itself" in refusal(tmp_path, valid=EVAL)


@pytest.mark.parametrize("place", ["../../../etc/passwd", "/etc/passwd", "..", "", "nowhere.h5"])
def test_an_index_that_names_a_file_elsewhere_is_refused(place, tmp_path):
    workspace(tmp_path)
    index(tmp_path / "hdf5s/indexes/eval.h5", tmp_path / EVAL, place)
    assert f"it names {place!r}, which is not there" in refusal(tmp_path)


def test_an_index_with_a_row_that_is_not_there_is_refused(tmp_path):
    workspace(tmp_path)
    for row in (3, -1):
        index(tmp_path / "hdf5s/indexes/eval.h5", tmp_path / EVAL, "waveforms/eval.h5", [0, row, 2])
        assert f"row 1: index_in_hdf5 is {row}" in refusal(tmp_path)


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"train": "../train.h5"}, "data.params.train is '../train.h5', which is not below"),
        ({"train": ""}, "data.params.train is ''"),
        ({"valid": ""}, "data.params.valid lists no clips"),
        ({"valid": "hdf5s"}, "has no files with .h5 or .hdf5"),
        ({"valid_fold": 1}, "folds: none: it has no fold"),
        ({"labels": ""}, "the files have 3 classes, and nothing says their names"),
        ({"sample_rate_hz": 16000}, "its sample_rate is 8000, but data.params.sample_rate_hz 16000"),
    ],
)
def test_params_that_do_not_fit_are_refused(params, said, tmp_path):
    assert said in refusal(workspace(tmp_path), **params)


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.txt", "dog\ncat\n", "has 2 labels, the files have 3 classes"),
        ("a.txt", "dog\ncat\ncat\n", "has 2 labels, the files have 3 classes"),
        ("a.csv", "index,mid,display_name\n0,/m/0,dog\n2,/m/2,cat\n1,/m/1,rain\n", "a.csv:3: index is '2'"),
    ],
)
def test_labels_that_do_not_fit_are_refused(name, text, said, tmp_path):
    (workspace(tmp_path) / name).write_text(text)
    assert said in refusal(tmp_path, labels=str(tmp_path / name))
    (tmp_path / name).write_text("index,mid,display_name\n0,/m/0,dog\n1,/m/1,cat\n2,/m/2,rain\n")
    if name.endswith(".csv"):
        assert tuple(opened(tmp_path, labels=str(tmp_path / name)).labels) == LABELS


def test_several_labels_are_refused_where_a_clip_has_one(tmp_path):
    pack(workspace(tmp_path) / EVAL, range(6, 9), target=np.ones((3, 3), bool))
    assert "row 0 has 3 labels" in refusal(tmp_path, valid=EVAL, multi_label=False)
