"""`pannsdist export --precision`: what is measured and written, and what is refused."""

import json
import re
from dataclasses import replace

import numpy as np
import onnx
import paddle
import pytest
import soundfile
import tiny_sounds

from pannsdist.builtin.tones import Tones, TonesParams
from pannsdist.inference.bundle import BundleRecord, PluginRecord, load_bundle, write_bundle
from pannsdist.inference.engines.onnx_runtime import load_onnx
from pannsdist.registry import Catalog, Origin
from pannsdist.run.small_exports.judging import GraphNetwork, Graphs, judged_by_agreement

pytestmark = pytest.mark.slow
ORIGIN, RATE_HZ, FRAME = Origin("pannsdist", "0.1.0"), 32000, 2560
DATASET = {"clips_per_class": 2, "valid_clips_per_class": 2, "duration_s": 0.5}
LOST = PluginRecord("folder", {"root": "gone"}, ORIGIN)
LABELS = tuple(Tones(TonesParams()).labels)


def write_model(folder, name="panns_cnn6", by_frame=False):
    """The model folder of a run on generated tones, with random weights, whose answers differ by clip."""
    tiny_sounds.skip_unless_installed("onnx")
    paddle.seed(0)
    plugin_class = Catalog.installed().models.find(name).load()
    plugin = plugin_class(plugin_class.Params())
    how = ("attention",) if by_frame else ()
    layer = (plugin.build_frames if by_frame else plugin.build)(LABELS, plugin.front_end, *how)
    head = layer.fc_audioset.frames if by_frame else layer.fc_audioset
    head.weight.set_value(head.weight * (20 if by_frame else 200))
    settings = {"data": {"workers": 0}, "valid": {"batch_size": 4}}
    dataset = LOST if by_frame else PluginRecord("tones", DATASET, ORIGIN)
    parts = (PluginRecord(name, {}, ORIGIN), PluginRecord("logmel", {}, ORIGIN), dataset)
    metric = "valid/mean_average_precision" if by_frame else "valid/accuracy"
    record = BundleRecord(*parts, plugin.front_end, LABELS, by_frame, 0.5, metric, settings, {})
    if by_frame:
        record = replace(record, frame_samples=FRAME, pooling="attention")
    write_bundle(folder, record, {key: tensor.numpy() for key, tensor in layer.state_dict().items()})
    return folder


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_model(tmp_path_factory.mktemp("run") / "best_model")


def test_a_smaller_export_says_what_it_loses_and_what_it_gains(model, tmp_path, run):
    order = ("export", "--model", model, "--format", "onnx", "--max-loss", "1")
    code, said, complaint = run(*order, "--precision", "int8", "-o", tmp_path / "out")
    assert code == 0, complaint
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["export.json", "model.onnx"]
    record = json.loads((tmp_path / "out" / "export.json").read_text(encoding="utf-8"))
    small, judged = record["small"], record["small"]["judgement"]
    assert (record["precision"], small["calibrated_on"], judged["clips"]) == ("int8", 12, 12)
    assert judged["name"] == "valid/accuracy"
    assert judged["exact"] - judged["small"] == pytest.approx(judged["loss"])
    assert small["small"]["network"] <= 0.3 * small["exact"]["network"]
    assert small["small"]["around"] == small["exact"]["around"] > 0
    assert small["small"]["file"] == (tmp_path / "out" / "model.onnx").stat().st_size
    assert 0 < record["checked"]["difference"] < 1 and len(small["speed"]) > 1
    for pattern in (r"^ +fp32 +int8", r"^valid/accuracy +\d\.\d{4} +\d\.\d{4}", r"^speed +1 ", r"from 12 clips$"):
        assert re.search(pattern, said, re.MULTILINE), said
    types = {tensor.data_type for tensor in onnx.load(tmp_path / "out" / "model.onnx").graph.initializer}
    assert onnx.TensorProto.INT8 in types
    code, said, _ = run(*order, "--precision", "int8", "-o", tmp_path / "out")
    assert code == 2


def test_an_export_that_loses_too_much_is_refused_and_leaves_nothing(model, tmp_path, run):
    """Every label has the same probability but for rounding, so that any other rounding decides otherwise."""
    bundle = load_bundle(model, Catalog.installed())
    arrays = bundle.network.arrays()
    arrays["fc_audioset.weight"] = arrays["fc_audioset.weight"][:, :1] + 1e-6 * arrays["fc_audioset.weight"]
    arrays["fc_audioset.bias"] = np.zeros_like(arrays["fc_audioset.bias"])
    write_bundle(
        tmp_path / "flat", replace(bundle.record, dataset=PluginRecord("folder", {"root": "gone"}, ORIGIN)), arrays
    )
    for number in range(6):
        soundfile.write(tmp_path / f"{number}.wav", tiny_sounds.noise(1, 16000, number)[0] / (number + 1), RATE_HZ)
    files = [tmp_path / f"{number}.wav" for number in range(6)]
    order = ("export", "--model", tmp_path / "flat", "--format", "onnx", "--precision", "int8", "-o", tmp_path / "out")
    code, _, complaint = run(*order, "--check", *files, "--calibrate", *files)
    assert code == 2 and not (tmp_path / "out").exists()
    assert re.search(r"error: int8 loses \d\.\d+: same decisions is 0\.\d+, of the exact export 1\.0000\n", complaint)
    assert "or export it with --precision fp16" in complaint
    assert run(*order, "--check", *files)[2].startswith("error: no sound to measure the ranges of int8 on")
    assert run(*order, "--check", *files, "--calibrate", *files, "--max-loss", "1")[0] == 0


@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_the_graph_of_frames_gets_smaller_too(tmp_path, run, precision):
    folder = write_model(tmp_path / "model", by_frame=True)
    files = []
    for number in range(3):
        files.append(tmp_path / f"{number}.wav")
        soundfile.write(files[-1], tiny_sounds.noise(1, 16000, number)[0], RATE_HZ)
    order = ("export", "--model", folder, "--format", "onnx", "--precision", precision, "--max-loss", "1")
    ranges = ("--calibrate", *files) if precision == "int8" else ()
    code, _, complaint = run(*order, "--check", *files, *ranges, "-o", tmp_path / "out")
    assert code == 0, complaint
    record = json.loads((tmp_path / "out" / "export.json").read_text(encoding="utf-8"))
    assert record["frames"]["files"] == ["frames/model.onnx"]
    bundle = load_bundle(folder, Catalog.installed())
    sound = tiny_sounds.noise(1, 16000, 9)
    with paddle.no_grad():
        expected = paddle.nn.functional.sigmoid(bundle.network(paddle.to_tensor(sound))).numpy()
    tolerance = {"fp16": 0.02, "int8": 0.25}[precision]
    found = load_onnx(tmp_path / "out" / "frames" / "model.onnx")(sound)
    assert found.shape == expected[:, :-1].shape and 0 < record["frames"]["difference"] < tolerance
    np.testing.assert_allclose(found, expected[:, :-1], rtol=0, atol=tolerance)
    sizes = [(tmp_path / "out" / name).stat().st_size for name in ("model.onnx", "frames/model.onnx")]
    assert sizes[1] == pytest.approx(sizes[0], rel=0.1)
    assert record["small"]["small"]["network"] < 0.51 * record["small"]["exact"]["network"]


def test_graphs_in_place_of_a_network_give_its_logits():
    """The probabilities of clips, and of frames in front of them."""
    chances = np.array([[0.2, 0.7, 0.1]], np.float32)
    clip = GraphNetwork(Graphs(lambda sounds: chances[: len(sounds)]), False)
    given = clip(paddle.zeros([1, 8])).numpy()
    np.testing.assert_allclose(np.exp(given) / np.exp(given).sum(), chances, rtol=1e-5)
    frames = GraphNetwork(Graphs(lambda _: chances, lambda _: np.full((1, 4, 3), 0.5, np.float32)), True)
    logits = frames(paddle.zeros([1, 8])).numpy()
    assert logits.shape == (1, 5, 3)
    np.testing.assert_allclose(1 / (1 + np.exp(-logits[:, -1])), chances, rtol=1e-5)
    np.testing.assert_allclose(logits[:, :-1], 0.0, atol=1e-6)


@pytest.mark.parametrize(("multi_label", "same"), [(False, 0.5), (True, 5 / 6)])
def test_without_labels_what_is_decided_otherwise_counts_as_lost(multi_label, same):
    before = {0.0: [0.6, 0.3, 0.1], 1.0: [0.1, 0.6, 0.3]}
    after = {0.0: [0.6, 0.3, 0.1], 1.0: [0.1, 0.4, 0.45]}
    exact, small = (
        Graphs(lambda sounds, table=table: np.array([table[float(sounds[0, 0])]], np.float32))
        for table in (before, after)
    )
    sounds = [np.zeros(4, np.float32), np.ones(4, np.float32)]
    found = judged_by_agreement(sounds, multi_label, (exact, small))
    assert (found.clips, found.difference) == (2, pytest.approx(0.2))
    assert (found.same, found.loss) == (pytest.approx(same), pytest.approx(1 - same))


@pytest.mark.parametrize(
    ("options", "error"),
    [
        (("--precision", "int8"), "--format paddle has no int8\n"),
        (
            ("--format", "onnx", "--precision", "fp16", "--calibrate", "a.wav"),
            "--calibrate is for --precision int8 alone",
        ),
        (("--format", "onnx", "--calibrate", "a.wav"), "--calibrate is for --precision int8 alone"),
    ],
)
def test_options_without_effect_are_refused(run, tmp_path, options, error):
    code, _, complaint = run("export", "--model", "m", "-o", tmp_path / "out", *options)
    assert code == 2 and complaint.startswith(f"error: {error}"), complaint


@pytest.mark.parametrize("given", ["two", "nan", "1.5", "-0.1"])
def test_an_allowed_loss_is_a_number_from_0_to_1(run, tmp_path, given, capsys):
    with pytest.raises(SystemExit):
        run("export", "-o", tmp_path / "out", "--max-loss", given)
    assert "is not a number from 0 to 1" in capsys.readouterr().err
