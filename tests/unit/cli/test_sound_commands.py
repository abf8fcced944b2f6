"""`pannsdist tag`, `detect` and `embed`, with published weights on real recordings."""

import csv
import io
import json

import numpy as np
import paddle
import pytest
import soundfile
import tiny_sounds
from matplotlib.image import imread

from pannsdist.builtin.panns import Cnn6
from pannsdist.builtin.tones import Tones, TonesParams
from pannsdist.cli.command_line import main
from pannsdist.contracts.event_files import LabelFiles, read_label_files
from pannsdist.contracts.sound_labels import sound_labels
from pannsdist.inference.bundle import BundleRecord, PluginRecord, write_bundle
from pannsdist.registry import Origin

pytestmark = pytest.mark.slow
CLIPS = {"1-100032-A-0": "Dog", "1-17367-A-10": "Rain", "1-26806-A-1": "Chicken, rooster", "1-116765-A-41": "Chainsaw"}
UNCOMPILED = ("--engine", "dygraph")
"""For what is asked of one sound again and again, since compiling takes longer than hearing it."""


@pytest.fixture
def tagger(shared):
    return ["--model", "efficientat_mn04", "--weights", str(shared / "weights" / "mn04_as_mAP_432.pt")]


@pytest.fixture
def audio(shared):
    return shared / "data" / "ESC-10" / "audio"


def test_the_right_family_is_among_the_first_tags(tagger, audio, capsys):
    files = [str(audio / f"{name}.ogg") for name in CLIPS]
    assert main(["tag", *tagger, "--topk", "3", "--format", "csv", *files]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    heard = {name: [row["label"] for row in rows if name in row["path"]] for name in CLIPS}
    for name, label in CLIPS.items():
        assert label in heard[name], heard


def test_tags_below_a_threshold_are_left_out_of_the_file_that_is_written(tagger, audio, capsys, tmp_path):
    files = [str(audio / f"{name}.ogg") for name in CLIPS][:2]
    for ending in ("csv", "jsonl"):
        assert main(["tag", *tagger, "--threshold", "0.5", "-o", str(tmp_path / f"tags.{ending}"), *files]) == 0
    assert capsys.readouterr().out == ""
    rows = list(csv.DictReader(io.StringIO((tmp_path / "tags.csv").read_text(encoding="utf-8"))))
    assert rows and all(float(row["score"]) >= 0.5 for row in rows)
    lines = [json.loads(line) for line in (tmp_path / "tags.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [(line["path"], list(line["scores"])) for line in lines] == [
        (file, [row["label"] for row in rows if row["path"] == file]) for file in files
    ]
    assert main(["tag", *tagger, "--threshold", "1", files[0]]) == 0
    assert capsys.readouterr().out == f"{files[0]}  nothing\n"
    assert main(["tag", *tagger, "--threshold", "nan", files[0]]) == 2
    assert "the threshold is nan" in capsys.readouterr().err


def test_a_list_of_files_is_read_from_standard_input(tagger, audio, capsys, monkeypatch):
    files = [str(audio / f"{name}.ogg") for name in CLIPS][:2]
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO("\n".join(files).encode())))
    assert main(["tag", *tagger, "--topk", "1", "--format", "jsonl", "-"]) == 0
    answers = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [answer["path"] for answer in answers] == files
    assert all(len(answer["scores"]) == 1 for answer in answers)


def test_events_lie_within_the_file_and_a_bark_lasts_a_moment(tagger, audio, capsys):
    file = str(audio / "1-100032-A-0.ogg")
    assert main(["detect", *tagger, "--window", "1", "--hop", "0.25", "--format", "json", file]) == 0
    (answer,) = json.loads(capsys.readouterr().out)
    assert all(0 <= event["onset_s"] < event["offset_s"] <= 5.002 for event in answer["events"])
    (bark,) = [event for event in answer["events"] if event["label"] == "Dog"]
    assert bark["offset_s"] - bark["onset_s"] < 2
    assert 0.3 <= bark["score"] <= 1


def test_embeddings_are_written_with_their_paths_and_a_bad_file_is_named(tagger, audio, tmp_path, capsys):
    (tmp_path / "bad.wav").write_text("words", encoding="utf-8")
    files = [str(audio / "1-100032-A-0.ogg"), str(tmp_path / "bad.wav")]
    assert main(["embed", *tagger, "-o", str(tmp_path / "e.npz"), *files]) == 2
    assert "bad.wav" in capsys.readouterr().err
    with np.load(tmp_path / "e.npz") as written:
        assert written["paths"].tolist() == files[:1]
        assert written["embeddings"].shape == (1, 384)


def test_weights_of_other_classes_do_not_tag(shared, audio, capsys):
    weights = str(shared / "golden" / "Cnn6_golden.pth")
    assert main(["tag", "--model", "panns_cnn10", "--weights", weights, str(audio / "1-100032-A-0.ogg")]) == 2
    assert "Cnn6_golden.pth" in capsys.readouterr().err


def test_a_window_shorter_than_the_network_hears_is_refused(tagger, audio, capsys):
    assert main(["detect", *tagger, "--window", "0.01", str(audio / "1-100032-A-0.ogg")]) == 2
    assert "the window is 0.01 s\n  the network needs at least 0.013 s" in capsys.readouterr().err


@pytest.fixture
def bark(audio):
    return str(audio / "1-100032-A-0.ogg")


def test_a_picture_is_drawn_of_what_is_detected(tagger, bark, tmp_path, capsys):
    order = ["detect", *tagger, *UNCOMPILED, "--window", "1", "--hop", "0.25", "--format", "csv", bark]
    assert main(order) == 0
    without = capsys.readouterr().out
    assert main([*order, "--plot", str(tmp_path / "bark.png")]) == 0
    assert capsys.readouterr().out == without
    image = imread(tmp_path / "bark.png")
    assert (image.shape[1], image.std() > 0.05) == (1100, True)
    (tmp_path / "bad.wav").write_text("words", encoding="utf-8")
    assert main(["detect", *tagger, "--plot", str(tmp_path / "bad.png"), str(tmp_path / "bad.wav")]) == 2
    assert "bad.wav" in capsys.readouterr().err
    assert not (tmp_path / "bad.png").exists()


def test_short_events_are_dropped_and_short_silences_closed(tagger, bark, capsys):
    order = ["detect", *tagger, *UNCOMPILED, "--window", "1", "--hop", "0.25", "--format", "json", bark]

    def spans(*more):
        assert main([*order, *more]) == 0
        (answer,) = json.loads(capsys.readouterr().out)
        return {(event["label"], event["onset_s"], event["offset_s"]) for event in answer["events"]}

    plain = spans()
    longer = {event for event in plain if event[2] - event[1] >= 1.4}
    assert spans("--min-duration", "1.4") == longer
    assert 0 < len(longer) < len(plain)
    assert spans("--min-gap", "0.1") == plain


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (["--plot", "bark.svg"], "--plot bark.svg is not a .png file"),
        (["--plot", "gone/bark.png"], "there is no folder gone"),
        (["--threshold", "0"], "the threshold is 0"),
        (["--threshold", "2"], "the threshold is 2"),
        (["--min-gap", "-1"], "min_gap_s is -1"),
        (["--min-duration", "nan"], "min_duration_s is nan"),
    ],
)
def test_orders_that_mean_nothing_are_refused_before_a_model_is_loaded(tmp_path, more, says, capsys):
    (tmp_path / "a.wav").touch()
    assert main(["detect", "--model", "no_such_model", *more, str(tmp_path / "a.wav")]) == 2
    assert says in capsys.readouterr().err


def test_a_picture_of_several_sounds_is_refused(tmp_path, capsys):
    files = [tmp_path / "a.wav", tmp_path / "b.wav"]
    for file in files:
        file.touch()
    order = ["detect", "--model", "no_such_model", "--plot", str(tmp_path / "a.png")]
    assert main([*order, *map(str, files)]) == 2
    assert "--plot draws one sound, but 2 are given" in capsys.readouterr().err


def test_weights_beside_a_model_folder_are_refused(tmp_path, capsys):
    (tmp_path / "a.wav").touch()
    assert main(["detect", "--model", str(tmp_path), "--weights", "audioset", str(tmp_path / "a.wav")]) == 2
    assert "weights 'audioset' beside the model folder" in capsys.readouterr().err


@pytest.fixture
def own_model(tmp_path):
    """The model folder of a run on generated tones, with random weights."""
    paddle.seed(0)
    core = Origin("pannsdist", "0.1.0")
    labels = tuple(Tones(TonesParams()).labels)
    layer = Cnn6(Cnn6.Params()).build(labels, Cnn6.front_end)
    model, feature, dataset = (PluginRecord(name, {}, core) for name in ("panns_cnn6", "logmel", "tones"))
    parts = (model, feature, dataset, Cnn6.front_end, labels, False, 0.5, "valid/accuracy", {}, {})
    arrays = {name: tensor.numpy() for name, tensor in layer.state_dict().items()}
    write_bundle(tmp_path / "model", BundleRecord(*parts), arrays)
    return tmp_path / "model"


@pytest.mark.parametrize("engine", ["dygraph", "paddle", "onnx"])
def test_every_engine_tags_and_embeds_alike(own_model, tmp_path, capsys, engine):
    tiny_sounds.skip_unless_installed(engine)
    tagger, files = ["--model", str(own_model)], [str(tmp_path / "a.wav"), str(tmp_path / "b.wav")]
    for seed, file in enumerate(files):
        soundfile.write(file, tiny_sounds.noise(1, 16000, seed)[0], 32000)
    assert main(["tag", *tagger, "--engine", engine, "--topk", "527", "--format", "jsonl", *files]) == 0
    found = [json.loads(line)["scores"] for line in capsys.readouterr().out.splitlines()]
    assert main(["tag", *tagger, "--topk", "527", "--format", "jsonl", *files]) == 0
    expected = [json.loads(line)["scores"] for line in capsys.readouterr().out.splitlines()]
    assert [dict(scores) for scores in found] == [pytest.approx(scores, abs=1e-5) for scores in expected]
    vectors = []
    for chosen in ([], ["--engine", engine]):
        assert main(["embed", *tagger, *chosen, "-o", str(tmp_path / "e.npz"), *files]) == 0
        with np.load(tmp_path / "e.npz") as written:
            vectors.append(written["embeddings"])
    np.testing.assert_allclose(*vectors, rtol=0, atol=1e-5 * np.abs(vectors[0]).max())


def test_an_engine_that_there_is_not_is_refused(tagger, audio, capsys):
    with pytest.raises(SystemExit):
        main(["tag", *tagger, "--engine", "tensorrt", str(audio / "1-100032-A-0.ogg")])
    assert "choose from" in capsys.readouterr().err


@pytest.mark.parametrize("form", ["paddle", "onnx"])
def test_a_published_model_is_exported_once_there_is_sound_to_compare_on(tagger, audio, tmp_path, capsys, form):
    tiny_sounds.skip_unless_installed(form)
    command = ["export", *tagger, "--format", form, "-o", str(tmp_path / "out")]
    assert main(command) == 2
    assert "give sound files as --check FILE..." in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    assert main([*command, "--check", str(audio / "1-100032-A-0.ogg")]) == 0
    assert "1-100032-A-0.ogg" in capsys.readouterr().out
    assert (tmp_path / "out" / "export.json").is_file()


def test_a_model_of_ones_own_is_exported_on_the_clips_of_its_dataset(own_model, tmp_path, capsys):
    assert main(["export", "--model", str(own_model), "-o", str(tmp_path / "out")]) == 0
    said = capsys.readouterr().out
    clips = [clip.id for clip in Tones(TonesParams()).clips("valid")][:3]
    assert f"verified with {', '.join(clips)}\n" in said
    assert main(["export", "--model", str(own_model), "-o", str(tmp_path / "out")]) == 2
    assert "exists already" in capsys.readouterr().err


def test_events_are_written_as_labels_that_a_dataset_reads(tagger, audio, tmp_path, capsys):
    files = [str(audio / f"{name}.ogg") for name in CLIPS][:2]
    order = ["detect", *tagger, *UNCOMPILED, "--window", "1", "--hop", "0.25"]
    assert main([*order, "--format", "json", *files]) == 0
    found = json.loads(capsys.readouterr().out)
    for name, target in (("dcase", "all.tsv"), ("jsonl", "all.jsonl"), ("audacity", "tracks"), ("raven", "tables")):
        assert main([*order, "--format", name, "-o", str(tmp_path / target), *files]) == 0
        labels = sound_labels(read_label_files(LabelFiles([tmp_path / target], format=name)))
        number, left = labels.matched([f"{clip}.ogg" for clip in CLIPS][:2])
        assert len(left) == 0
        for sound, answer in zip(number.tolist(), found, strict=True):
            events = labels.events.row(sound, labels.label_names)
            assert [(event.onset_s, event.offset_s, event.label) for event in events] == [
                (event["onset_s"], event["offset_s"], event["label"]) for event in answer["events"]
            ]
    assert main([*order, "--format", "audacity", *files]) == 2
    assert "-o FOLDER" in capsys.readouterr().err
