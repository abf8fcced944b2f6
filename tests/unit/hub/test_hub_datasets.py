"""hub.datasets.ESC50 and hub.env: what PaddleHub's users look for by name."""

import csv
from pathlib import Path

import numpy as np
import paddle
import pytest
import soundfile

from pannsdist import hub
from pannsdist.builtin.logmel import LogMel, LogMelParams
from pannsdist.hub import datasets
from pannsdist.hub.datasets import ESC50
from pannsdist.hub.env import DATA_HOME, HUB_HOME, MODULE_HOME
from pannsdist.inference import audioset
from pannsdist.registry import Catalog, Registry
from pannsdist.runtime.errors import UserError

CATEGORIES = ("dog", "insects", "drinking_sipping", "door_wood_knock", "door_wood_creaks", "hand_saw")
TARGETS = (0, 7, 29, 30, 33, 49)


@pytest.fixture
def corpus(tmp_path):
    """Six clips of 44.1 kHz in the layout of the download, two of them in the first fold."""
    root = tmp_path / "ESC-50-master"
    (root / "audio").mkdir(parents=True)
    (root / "meta").mkdir()
    rows = []
    for number, (target, category) in enumerate(zip(TARGETS, CATEGORIES, strict=True)):
        name, fold = f"{number}.wav", 1 if number < 2 else 2
        samples = np.random.default_rng(number).normal(0.0, 0.1, 220500 if number else 300000)
        soundfile.write(root / "audio" / name, samples, 44100, subtype="FLOAT")
        rows.append([name, fold, target, category, False, number, "A"])
    with (root / "meta" / "esc50.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["filename", "fold", "target", "category", "esc10", "src_file", "take"], *rows])
    return root


def test_the_class_is_known_before_there_is_a_corpus():
    assert (ESC50.sample_rate, ESC50.input_length, ESC50.num_class) == (44100, 220500, 50)
    assert len(ESC50.label_list) == len(set(ESC50.label_list)) == 50
    assert [ESC50.label_list[number] for number in (0, 5, 7, 19, 20, 29, 37, 40, 49)] == [
        "Dog",
        "Cat",
        "Insects (flying)",
        "Thunderstorm",
        "Crying baby",
        "Drinking, sipping",
        "Clock alarm",
        "Helicopter",
        "Hand saw",
    ]
    assert hub.datasets.ESC50 is ESC50


def test_the_names_are_in_the_order_of_the_real_corpus(shared):
    with (shared / "data" / "ESC-10" / "meta" / "esc50.csv").open() as file:
        found = {int(row["target"]): row["category"] for row in csv.DictReader(file)}
    assert len(found) == 10
    for target, category in found.items():
        assert ESC50.label_list[target] == category.replace("_", " ").capitalize()


def test_without_the_corpus_it_says_how_to_get_it_there(home, monkeypatch):
    with pytest.raises(UserError) as caught:
        ESC50(mode="train")
    datasets = home.parent / "datasets"
    assert str(caught.value).startswith(f"ESC-50 not found in {datasets / 'ESC-50-master'}\n")
    assert (
        f"download https://github.com/karolpiczak/ESC-50/archive/master.zip (600 MB) and unpack it in {datasets}"
        in (str(caught.value))
    )
    assert "or set PANNSDIST_ESC50 to the folder that contains meta/esc50.csv and audio/" in str(caught.value)
    monkeypatch.setenv("PANNSDIST_ESC50", "/nowhere")
    with pytest.raises(UserError, match=r"ESC-50 not found in /nowhere \(PANNSDIST_ESC50\)"):
        ESC50(mode="train")


def test_the_first_fold_is_the_development_set(corpus, monkeypatch):
    monkeypatch.setenv("PANNSDIST_ESC50", str(corpus))
    labels = {mode: [int(label) for _, label in ESC50(mode=mode, feat_type="raw")] for mode in ("train", "dev", "test")}
    assert labels == {"train": [29, 30, 33, 49], "dev": [0, 7], "test": [0, 7]}


def test_the_corpus_is_found_in_the_home_folder(corpus, home):
    (home.parent / "datasets").mkdir(parents=True)
    corpus.rename(home.parent / "datasets" / "ESC-50-master")
    assert len(ESC50(mode="train")) == 4


def test_features_are_those_of_our_front_end(corpus, monkeypatch):
    monkeypatch.setenv("PANNSDIST_ESC50", str(corpus))
    dataset = ESC50(mode="dev")
    features, label = dataset[1]
    assert (features.shape, features.dtype, label.dtype) == ((501, 64), np.float32, np.int64)
    waveform, _ = soundfile.read(corpus / "audio" / "1.wav", dtype="float32")
    import soxr

    resampled = soxr.resample(waveform, 44100, 32000, quality="HQ").astype(np.float32)
    layer = LogMel(LogMelParams()).build()
    assert np.array_equal(features, layer(paddle.to_tensor(resampled[None]))[0, 0].numpy())
    assert dataset[1][0] is features, "computed once"
    assert dataset[0][0].shape == (501, 64), "a longer clip is cut"


def test_raw_items_are_samples_at_the_rate_of_the_corpus(corpus, monkeypatch):
    monkeypatch.setenv("PANNSDIST_ESC50", str(corpus))
    samples, label = ESC50(mode="dev", feat_type="raw")[0]
    assert (samples.shape, samples.dtype, int(label)) == ((220500,), np.float32, 0)
    assert np.array_equal(samples, soundfile.read(corpus / "audio" / "0.wav", dtype="float32")[0][:220500])


def test_a_category_that_esc50_has_not_is_refused(corpus, monkeypatch):
    table = corpus / "meta" / "esc50.csv"
    table.write_text(table.read_text().replace("hand_saw", "theremin"))
    monkeypatch.setenv("PANNSDIST_ESC50", str(corpus))
    with pytest.raises(UserError, match="clip '5' has the category 'theremin'"):
        list(ESC50(mode="train", feat_type="raw"))


def test_an_unknown_feature_is_refused():
    with pytest.raises(UserError, match="feat_type is 'mfcc'\n  allowed: mel, raw"):
        ESC50(feat_type="mfcc")


def test_the_label_file_is_there_when_the_folder_is_known():
    lines = Path(MODULE_HOME, "panns_cnn14", "audioset_labels.txt").read_text("utf-8").splitlines()
    assert tuple(lines) == audioset.labels()
    assert all(isinstance(place, str) for place in (HUB_HOME, DATA_HOME, MODULE_HOME))
    assert hub.env.MODULE_HOME == MODULE_HOME


def test_files_and_labels_are_known_as_in_paddlehub_and_without_reading_a_sound(corpus, monkeypatch):
    monkeypatch.setenv("PANNSDIST_ESC50", str(corpus))
    dataset = ESC50(mode="train")
    assert [Path(path).name for path in dataset.files] == ["2.wav", "3.wav", "4.wav", "5.wav"]
    assert all(Path(path).is_file() for path in dataset.files)
    assert dataset.labels == [29, 30, 33, 49] == [int(dataset[row][1]) for row in range(4)]


def test_without_its_plugin_it_says_what_to_install():
    with pytest.raises(UserError) as caught:
        datasets.corpus(Catalog({"dataset": Registry("dataset", {})}))
    assert str(caught.value) == (
        "dataset 'esc50' (for hub.datasets.ESC50) is not installed\n"
        "  the distribution pannsdist-esc50 provides it\n"
        "  next: pip install pannsdist-esc50"
    )
