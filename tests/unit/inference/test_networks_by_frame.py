"""A trained network that answers by frame: its frames of a long sound, its clip, and its model folder."""

import json
from dataclasses import replace

import numpy as np
import paddle
import paddle.nn.functional as F
import pytest
from scipy.special import expit, logit
from tiny_sounds import skip_unless_installed

from pannsdist.audio.reader import Recording
from pannsdist.contracts import Clip, Samples
from pannsdist.contracts.event_decoding import decode, median_filtered, median_frames
from pannsdist.contracts.network import Network
from pannsdist.inference.bundle import BundleRecord, PluginRecord, load_bundle, write_bundle
from pannsdist.inference.decisions import Decisions
from pannsdist.inference.detection import Rule, events
from pannsdist.inference.engines.dygraph import Dygraph
from pannsdist.inference.engines.export import export
from pannsdist.inference.engines.onnx_runtime import load_onnx_outputs
from pannsdist.inference.engines.paddle_inference import load_paddle_outputs
from pannsdist.inference.inference_model import InferenceModel
from pannsdist.inference.model import Model
from pannsdist.inference.options import InferenceOptions
from pannsdist.inference.predictor import Predictor
from pannsdist.registry import Catalog, Origin
from pannsdist.runtime.errors import BadBundle

LABELS, RATE_HZ, FRAME = ("a", "b", "c"), 32000, 2560


def make_network(name, pooling="attention"):
    """A network with random weights, which tell frames apart."""
    paddle.seed(0)
    catalog = Catalog.installed()
    entry = catalog.models.find(name)
    plugin = entry.load()(entry.load().Params())
    feature = catalog.features.find(plugin.feature).load()
    layer = plugin.build_frames(LABELS, plugin.front_end, pooling)
    network = Network(feature(feature.Params()).build(), layer, frame_samples=plugin.frame_samples(plugin.front_end))
    head = network.model.fc_audioset if name.startswith("panns") else network.model.classifier[5]
    head.frames.weight.set_value(head.frames.weight * 20)
    network.eval()
    return plugin, network


def make_model(name, window_s=2.0, pooling="attention"):
    plugin, network = make_network(name, pooling)
    return InferenceModel(network, plugin.front_end, LABELS, True, window_s, window_s, 0.5, name, FRAME)


def bursts(samples, seed=0):
    """Noise whose level changes all the time."""
    rng = np.random.default_rng(seed)
    level = np.repeat(10 ** rng.uniform(-4, -0.5, 1 + samples // 8000), 8000)[:samples]
    return (level * rng.normal(0, 1, samples)).astype(np.float32)


def one_pass(model, waveform):
    with paddle.no_grad():
        return F.sigmoid(model.network(paddle.to_tensor(waveform[None]))).numpy()[0]


def window_frames(model, waveform):
    return one_pass(model, waveform)[:-1]


def predicted(model, waveform, **options):
    found = list(Predictor(model, engine=Dygraph(model), **options).frames(Recording("a", waveform, RATE_HZ)))
    return found, np.stack([frame.output for frame in found])


@pytest.mark.parametrize("name", ["panns_cnn6", pytest.param("panns_cnn10", marks=pytest.mark.slow)])
def test_a_long_sound_has_no_seam_where_frames_depend_on_what_is_near(name, monkeypatch):
    model = make_model(name)
    monkeypatch.setattr("pannsdist.inference.inference_model.LOCAL_WINDOW_S", 4.0)
    assert model.frame_windows.window <= 72
    waveform = bursts(16 * RATE_HZ + 7)
    found, frames = predicted(model, waveform)
    whole = one_pass(model, waveform)[:-1]
    assert len(frames) == -(-len(waveform) // FRAME)
    np.testing.assert_allclose(frames, whole, rtol=0, atol=1e-5)
    assert whole.std(axis=0).max() > 0.1
    assert found[-1].offset_s == len(waveform) / RATE_HZ
    assert [frame.onset_s for frame in found] == [frame * FRAME / RATE_HZ for frame in range(len(found))]


def test_a_sound_of_the_evaluation_length_is_one_pass_where_frames_depend_on_all_of_it():
    model = make_model("efficientat_mn01")
    waveform = bursts(2 * RATE_HZ)
    np.testing.assert_array_equal(predicted(model, waveform)[1], window_frames(model, waveform))


def test_a_longer_sound_is_cut_into_windows_of_that_length_whose_margins_are_left_out():
    model = make_model("efficientat_mn01")
    waveform = bursts(7 * RATE_HZ)
    _, frames = predicted(model, waveform)
    assert (model.frame_windows.window, model.frame_windows.margin) == (25, 2)
    np.testing.assert_allclose(frames[:23], window_frames(model, waveform[: 25 * FRAME])[:23], rtol=0, atol=1e-6)
    second = slice(21 * FRAME, 46 * FRAME)
    np.testing.assert_allclose(frames[23:44], window_frames(model, waveform[second])[2:23], rtol=0, atol=1e-6)
    last = waveform[(88 - 25) * FRAME :]
    np.testing.assert_allclose(frames[-4:], window_frames(model, last)[-4:], rtol=0, atol=1e-6)
    np.testing.assert_allclose(predicted(model, waveform, batch_size=1)[1], frames, rtol=0, atol=1e-6)


def test_a_shorter_sound_is_padded_as_in_the_evaluation():
    model = make_model("efficientat_mn01")
    waveform = bursts(RATE_HZ)
    expected = window_frames(model, np.pad(waveform, (0, RATE_HZ)))[:13]
    np.testing.assert_array_equal(predicted(model, waveform)[1], expected)


def test_predictions_are_of_the_row_of_the_clip():
    model = make_model("panns_cnn6")
    waveform = bursts(2 * RATE_HZ)
    (prediction,) = Model(model).predictor.predict([Recording("a", waveform, RATE_HZ)])
    expected = one_pass(model, waveform)[-1]
    np.testing.assert_allclose([dict(prediction.scores)[label] for label in LABELS], expected, rtol=0, atol=1e-6)


def test_events_are_of_frames_unless_a_window_is_given():
    model = make_model("panns_cnn6")
    sound = Recording("a", bursts(3 * RATE_HZ), RATE_HZ)
    timeline = list(Model(model).timeline(sound))
    assert timeline[0].offset_s == model.frame_s == 0.08
    assert len(timeline) == 38
    assert Model(model).detect(bursts(3 * RATE_HZ), RATE_HZ)[0].events == events(timeline, LABELS, Rule())
    windows = list(Model(model, options=InferenceOptions(window_s=1.0)).timeline(sound))
    assert windows[0].offset_s == 1.0


@pytest.fixture
def folder(tmp_path):
    """A model folder of `panns_cnn6` by frame."""
    plugin, network = make_network("panns_cnn6", "linear_softmax")
    origin = Origin("pannsdist", "1.0")
    model, other = PluginRecord("panns_cnn6", {}, origin), PluginRecord("logmel", {}, origin)
    dataset = PluginRecord("tones", {}, origin)
    record = BundleRecord(
        *(model, other, dataset, plugin.front_end, LABELS, True, 2.0, "valid/mAP", {}, {}),
        frame_samples=FRAME,
        pooling="linear_softmax",
    )
    write_bundle(tmp_path / "model", record, network.arrays())
    return tmp_path / "model", network


def test_a_model_folder_gives_the_frames_and_clips_of_the_network_that_was_saved(folder):
    path, network = folder
    bundle = load_bundle(path, Catalog.installed())
    model = bundle.inference_model
    assert (model.frame_s, model.has_framewise) == (0.08, True)
    waveform = paddle.to_tensor(bursts(RATE_HZ)[None])
    with paddle.no_grad():
        np.testing.assert_array_equal(bundle.network(waveform).numpy(), network(waveform).numpy())


def changed(path, **values):
    content = json.loads((path / "bundle.json").read_text())
    (path / "bundle.json").write_text(json.dumps(content | values))


@pytest.mark.parametrize(
    ("values", "wrong"),
    [
        ({"frame_samples": 1280}, "no longer answers by frames of 1280 samples"),
        ({"frame_samples": -1}, "frame_samples is no whole number"),
        ({"frame_samples": 2560.0}, "frame_samples is no whole number"),
        ({"pooling": "mean"}, "pooling is none of attention, linear_softmax"),
    ],
)
def test_a_folder_whose_frames_are_not_those_of_the_network_is_refused(folder, values, wrong):
    changed(folder[0], **values)
    with pytest.raises(BadBundle, match=wrong):
        load_bundle(folder[0], Catalog.installed())


@pytest.mark.parametrize("name", ["panns_cnn6", "efficientat_mn01"])
@pytest.mark.parametrize("form", ["paddle", "onnx"])
@pytest.mark.parametrize("pooling", ["attention", "linear_softmax"])
def test_an_export_has_the_scores_of_clips_and_a_graph_of_frames(name, form, pooling, tmp_path):
    skip_unless_installed(form)
    model = make_model(name, pooling=pooling)
    waveform = bursts(3 * RATE_HZ)
    export(model, form, tmp_path / "exported", [Clip("a", Samples(waveform, RATE_HZ), ("a",))])
    record = json.loads((tmp_path / "exported" / "export.json").read_text())
    frames = record["frames"]
    windows = model.frame_windows
    assert (frames["frame_samples"], frames["window_frames"]) == (FRAME, windows.window)
    assert (frames["hop_frames"], frames["frame_s"]) == (windows.step, 0.08)
    assert frames["difference"] < 1e-4
    files = sorted(str(path.relative_to(tmp_path / "exported")) for path in (tmp_path / "exported").rglob("*.*"))
    assert files == sorted(["export.json", *record["files"], *frames["files"]])


DECIDED = Decisions(1.7, (0.5,) * 3, 0.5, frame_thresholds=(0.3, 0.45, 0.6), median_s=(0.0, 0.4, 1.2))


@pytest.mark.parametrize("name", ["panns_cnn6", "efficientat_mn01"])
def test_detect_decides_by_the_thresholds_and_median_filters_of_the_frames(name):
    plain = make_model(name)
    sound, seconds = bursts(7 * RATE_HZ), 7.0
    model = Model(replace(plain, decisions=DECIDED))
    frames = np.stack([one.output for one in model.timeline(Recording("a", sound, RATE_HZ))])
    raw = np.stack([one.output for one in Model(plain).timeline(Recording("a", sound, RATE_HZ))])
    np.testing.assert_allclose(expit(logit(raw.astype(np.float64)) / DECIDED.temperature), frames, atol=1e-4)
    median = median_frames(DECIDED.median_s, plain.frame_s)
    wanted = decode(frames, DECIDED.frame_thresholds, plain.frame_s, seconds, median)
    found = model.detect(sound, RATE_HZ)[0].events
    assert len(found) > 1
    assert [(one.onset_s, one.offset_s, LABELS.index(one.label)) for one in found] == [
        (pytest.approx(onset_s), pytest.approx(offset_s), column)
        for onset_s, offset_s, column in zip(wanted.onsets_s, wanted.offsets_s, wanted.columns, strict=True)
    ]
    assert model.rule(0.2).thresholds == () and model.rule(0.2).median_frames == tuple(median)
    by_window = Model(replace(plain, decisions=DECIDED), options=InferenceOptions(window_s=1.0)).rule()
    assert (by_window.thresholds, by_window.median_frames) == (DECIDED.thresholds, ())


@pytest.mark.parametrize("form", ["paddle", "onnx"])
@pytest.mark.parametrize("median_s", [DECIDED.median_s, (0.0, 0.0, 0.0)])
def test_an_export_decides_on_frames_as_detect_does(form, median_s, tmp_path):
    skip_unless_installed(form)
    decisions = replace(DECIDED, median_s=median_s)
    model = replace(make_model("panns_cnn6"), decisions=decisions)
    waveform = bursts(4 * RATE_HZ)
    export(model, form, tmp_path / "out", [Clip("a", Samples(waveform, RATE_HZ), ("a",))])
    record = json.loads((tmp_path / "out" / "export.json").read_text())["frames"]
    assert (record["thresholds"], list(record["outputs"])) == ([0.3, 0.45, 0.6], ["probabilities", "active"])
    graph = {"paddle": load_paddle_outputs, "onnx": load_onnx_outputs}[form](tmp_path / "out" / record["files"][0])
    for samples in (RATE_HZ // 2, 2 * RATE_HZ, 4 * RATE_HZ):
        probabilities, active = graph(np.stack([waveform[:samples], waveform[-samples:]]))
        for row in range(2):
            smooth = median_filtered(probabilities[row], record["median_frames"])
            np.testing.assert_array_equal(active[row], smooth >= np.array(record["thresholds"], np.float32))
        assert 0 < active.mean() < 1
