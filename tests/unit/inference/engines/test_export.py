"""A network as a folder that others run."""

import json
import subprocess
import sys
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import numpy as np
import paddle
import pytest
import soundfile
import tiny_sounds
from small_parts import RATE_HZ, catalog, tone_clips
from tiny_bundle import make_bundle
from tiny_sounds import DriftingLayer, WaveringLayer, noise

from pannsdist.audio.reader import Recording
from pannsdist.contracts import Clip
from pannsdist.inference.bundle import PluginRecord
from pannsdist.inference.engines.export import dataset_clips, export
from pannsdist.inference.engines.export_check import check_export
from pannsdist.inference.engines.graph import save_graph
from pannsdist.inference.engines.onnx_runtime import convert_to_onnx, load_onnx
from pannsdist.inference.engines.output_layer import SoundLayer
from pannsdist.inference.engines.paddle_inference import load_paddle
from pannsdist.inference.engines.selection import build_engine
from pannsdist.inference.predictor import Predictor
from pannsdist.inference.windowing import Windowing, windowing
from pannsdist.registry import Origin
from pannsdist.runtime.errors import UserError

DOCS = Path(__file__).resolve().parents[4] / "docs"
CLIPS = tone_clips(3)


@pytest.fixture(params=["paddle", "onnx"])
def form(request):
    tiny_sounds.skip_unless_installed(request.param)
    return request.param


def snippets(page="en/export.md"):
    """The Python code of the documentation: for Paddle Inference, for onnxruntime, and for files with either."""
    blocks = [block.split("```")[0] for block in (DOCS / page).read_text(encoding="utf-8").split("```python\n")[1:]]
    assert len(blocks) == 3
    return dict(zip(("paddle", "onnx", "files"), blocks, strict=True))


def snippet_answers(form, folder, names):
    """What the printed code says of files in `folder`, beside an export in `exported`, in a process of its own."""
    code = f"""{snippets()[form]}{snippets()["files"]}
import sys
answers = [[function(read(name))[0].tolist() for function in (predict, predict_long)] for name in {names!r}]
json.dump(answers, open("answers.json", "w", encoding="utf-8"))
assert not [name for name in sys.modules if name.split(".")[0] == "pannsdist"]
"""
    (folder / "run.py").write_text(code, encoding="utf-8")
    command = [sys.executable, "-W", "ignore", "run.py"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads((folder / "answers.json").read_text(encoding="utf-8")), done.stdout


def predicted(inference_model, sources):
    """(N, C): what `predict` says, in the order of the labels."""
    answers = [dict(one.scores) for one in Predictor(inference_model).predict(sources)]
    return np.array([[answer[label] for label in inference_model.labels] for answer in answers])


WINDOW = round(tiny_sounds.WINDOW_S * RATE_HZ)
LENGTHS = (1, 300, 511, WINDOW - 1, WINDOW, WINDOW + 1, 2 * WINDOW - 1, 2 * WINDOW, 2 * WINDOW + 1, 9 * WINDOW + 77)
"""In samples: shorter than the network takes, shorter than the crop, equal to it, longer, much longer."""


@pytest.mark.parametrize("trained", [True, False], ids=["trained", "published"])
def test_the_printed_code_gives_the_scores_of_predict_at_every_length(form, trained, tmp_path):
    inference_model = tiny_sounds.inference_model(multi_label=True, trained=trained)
    export(inference_model, form, tmp_path / "exported", CLIPS)
    names = ["dog.wav", *(f"{samples}.wav" for samples in LENGTHS)]
    soundfile.write(tmp_path / "dog.wav", noise(2, 44100).T, 44100)
    for name, samples in zip(names[1:], LENGTHS, strict=True):
        soundfile.write(tmp_path / name, noise(1, samples, samples)[0], RATE_HZ, "FLOAT")
    answers, printed = snippet_answers(form, tmp_path, names)
    expected = predicted(inference_model, [tmp_path / name for name in names])
    assert np.ptp(expected, axis=0).max() > 1e-2
    for place in (0, 1):
        np.testing.assert_allclose([answer[place] for answer in answers], expected, rtol=0, atol=1e-5)
    assert printed.split()[0] == inference_model.labels[expected[0].argmax()]


def test_a_batch_of_sounds_gets_what_each_gets_alone(form, tmp_path):
    inference_model = tiny_sounds.inference_model(multi_label=True)
    lengths = windowing(inference_model)
    program = save_graph(SoundLayer(inference_model.network, True, lengths), tmp_path)
    if form == "onnx":
        convert_to_onnx(program, tmp_path / "model.onnx")
    graph = load_onnx(tmp_path / "model.onnx") if form == "onnx" else load_paddle(program)
    for samples in (300, WINDOW, 2 * WINDOW + 1):
        batch = noise(3, samples)
        expected = predicted(inference_model, [Recording("row", row, RATE_HZ) for row in batch])
        np.testing.assert_allclose(graph(batch), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("hop", [1, 700, 1600])
def test_the_layer_of_a_sound_cuts_the_windows_that_predict_cuts(hop):
    inference_model = tiny_sounds.inference_model(multi_label=True)
    layer = SoundLayer(inference_model.network, True, Windowing(WINDOW, hop, WINDOW))
    predictor = Predictor(inference_model, hop_s=hop / RATE_HZ, engine=build_engine(inference_model, "dygraph"))
    for samples in (300, WINDOW, WINDOW + 1, WINDOW + 701):
        sound = noise(1, samples)
        (answer,) = predictor.predict([Recording("a", sound[0], RATE_HZ)])
        expected = [dict(answer.scores)[label] for label in inference_model.labels]
        np.testing.assert_allclose(layer(paddle.to_tensor(sound)).numpy()[0], expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", ["paddle", "onnx", "files"])
def test_both_languages_show_the_same_code(name):
    assert snippets()[name] == snippets("zh/export.md")[name]


def test_the_record_says_what_goes_in_and_what_comes_out(form, tmp_path):
    checked = export(tiny_sounds.inference_model(), form, tmp_path / "out", CLIPS)
    record = json.loads((tmp_path / "out" / "export.json").read_text(encoding="utf-8"))
    assert record["format"] == form
    assert sorted([*record["files"], "export.json"]) == sorted(path.name for path in (tmp_path / "out").iterdir())
    assert record["input"] == {
        "name": "waveform",
        "axes": ["batch", "samples"],
        "type": "float32",
        "rate_hz": RATE_HZ,
    }
    assert record["output"] == {"axes": ["batch", "labels"], "type": "float32", "is": "probabilities"}
    assert (record["labels"], record["multi_label"]) == (["a", "b", "c"], False)
    windows = record["windows"]
    assert windows["in_graph"] is True
    assert [windows[name] for name in ("crop_s", "window_s", "hop_s", "pad_to_s")] == [0.2] * 4
    assert (windows["pad_to_samples"], windows["window_samples"], windows["hop_samples"]) == (WINDOW,) * 3
    assert windows["average"] == "mean of the probabilities of the windows"
    assert record["front_end"]["kind"] == "logmel"
    assert record["checked"]["clips"] == [clip.id for clip in CLIPS] == list(checked.clips)
    assert record["checked"]["difference"] == checked.difference < 1e-5
    assert record["checked"]["samples"] == list(checked.samples)
    assert checked.samples[0] < WINDOW and WINDOW in checked.samples and checked.samples[-1] > 2 * WINDOW


def test_an_export_that_gives_other_scores_is_refused_and_leaves_nothing(form, tmp_path):
    with pytest.raises(UserError, match=r"the export gives other scores than the model: they differ by "):
        export(tiny_sounds.inference_model(WaveringLayer), form, tmp_path / "out", CLIPS)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("drift", "refused"), [(1e-2, True), (1e-3, True), (1e-5, False)])
def test_an_export_is_refused_where_a_score_differs_by_more_than_the_tolerance(drift, refused, tmp_path, monkeypatch):
    monkeypatch.setattr(DriftingLayer, "DRIFT", drift)
    inference_model = tiny_sounds.inference_model(DriftingLayer, multi_label=True)
    with pytest.raises(UserError, match=r"the tolerance is 0\.0001") if refused else nullcontext():
        export(inference_model, "paddle", tmp_path / "out", CLIPS)


@pytest.mark.parametrize("samples", [WINDOW // 3, 3 * WINDOW], ids=["shorter than the crop", "longer"])
def test_a_graph_that_is_wrong_at_one_length_only_is_refused(samples):
    inference_model = tiny_sounds.inference_model(multi_label=True)
    layer = SoundLayer(inference_model.network, True, windowing(inference_model))

    def graph(waveforms):
        return layer(paddle.to_tensor(waveforms)).numpy() + 3e-4 * (waveforms.shape[1] == samples)

    sounds = [noise(1, WINDOW)[0]]
    with pytest.raises(UserError, match=f"at {samples} samples"):
        check_export(graph, inference_model, sounds, ["a"])


def test_a_graph_without_the_padding_is_refused_though_every_file_is_as_long_as_the_crop():
    inference_model = tiny_sounds.inference_model(multi_label=True)
    unpadded = build_engine(inference_model, "dygraph")
    with pytest.raises(UserError, match="the export gives other scores than the model"):
        check_export(lambda batch: unpadded.run("scores", batch), inference_model, [noise(1, WINDOW)[0]], ["a"])


def test_without_sound_to_compare_on_an_export_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"no sound to compare .*\n  give sound files as --check FILE\.\.\."):
        export(tiny_sounds.inference_model(), "paddle", tmp_path / "out", [])
    assert list(tmp_path.iterdir()) == []


def test_a_file_to_compare_on_that_is_no_sound_is_refused_by_name(tmp_path):
    (tmp_path / "words.wav").write_text("words", encoding="utf-8")
    with pytest.raises(UserError, match=r"the export cannot be checked: .*words\.wav"):
        export(
            tiny_sounds.inference_model(), "paddle", tmp_path / "out", [Clip("words.wav", tmp_path / "words.wav", ())]
        )
    assert not (tmp_path / "out").exists()


def test_what_exists_already_is_not_overwritten(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").touch()
    with pytest.raises(UserError, match="exists already"):
        export(tiny_sounds.inference_model(), "paddle", tmp_path / "out", CLIPS)
    assert (tmp_path / "out" / "mine").exists()


def test_the_clips_of_the_models_own_dataset_are_found_and_a_lost_one_gives_none(tmp_path):
    record = make_bundle(tmp_path).record
    listed = PluginRecord("listed", {}, Origin("small-parts", "1.0"))
    assert [clip.id for clip in dataset_clips(replace(record, dataset=listed), catalog())] == ["valid/0", "valid/1"]
    lost = PluginRecord("folder", {"root": str(tmp_path / "gone")}, Origin("pannsdist", "0.1.0"))
    assert dataset_clips(replace(record, dataset=lost), catalog()) == []
    assert dataset_clips(replace(record, dataset=replace(listed, name="uninstalled")), catalog()) == []


def test_files_are_read_at_the_models_rate(tmp_path):
    soundfile.write(tmp_path / "a.wav", noise(2, 44100).T, 44100)
    checked = export(tiny_sounds.inference_model(), "paddle", tmp_path / "out", [Clip("a.wav", tmp_path / "a.wav", ())])
    assert checked.difference < 1e-5
