"""EfficientSED's networks and their front end, held against the original's outputs on weights by rule."""

import subprocess
import sys
from importlib import metadata

import frame_mn_reference as rule
import numpy as np
import paddle
import pannsdist_frame_mn as plugin
import pytest

from pannsdist.contracts import NoParams, UserError
from pannsdist.contracts.network import Network
from pannsdist.weights import load_into, read_weights
from pannsdist.weights.formats.writing import write_weights

MODELS = {
    "frame_mn04": plugin.FrameMn04,
    "frame_mn06": plugin.FrameMn06,
    "frame_mn10": plugin.FrameMn10,
    "frame_mn20": plugin.FrameMn20,
    "frame_mn30": plugin.FrameMn30,
}

# Paddle 3.3.1 says so in every forward pass of a batch norm in training.
pytestmark = pytest.mark.filterwarnings("ignore:When training, we now always track global mean:UserWarning")


def built(name="frame_mn04", classes=3, pooling="linear_softmax"):
    made = MODELS[name](NoParams())
    labels = [f"class {number}" for number in range(classes)]
    return made, made.build_frames(labels, made.front_end, pooling) if pooling else made.build(labels, made.front_end)


def as_published(key):
    for ours, theirs in {"_mean": "running_mean", "_variance": "running_var", "head.frames": "head"}.items():
        key = key.replace(ours, theirs)
    return key


def published(name, folder, prefix="net."):
    """A file as the original's `torch.save` leaves it: both heads, and counters."""
    layer = built(name, rule.CLASSES)[1]
    shapes = {as_published(key): tuple(tensor.shape) for key, tensor in layer.state_dict().items()}
    linear = [key for key in shapes if key.endswith("weight") and len(shapes[key]) == 2]
    shapes |= {key: shapes[key][::-1] for key in linear}
    shapes |= {key.replace("strong", "weak"): shape for key, shape in shapes.items() if "strong" in key}
    write_weights(folder / "published.pt", {prefix + key: rule.by_rule(key, shape) for key, shape in shapes.items()})
    return folder / "published.pt"


@pytest.fixture(scope="module")
def reference():
    with np.load(rule.FILE) as arrays:
        return dict(arrays)


def test_the_front_end_gives_the_numbers_of_the_original(reference):
    feature = plugin.FrameMnMel(plugin.MelParams()).build()
    found = feature(paddle.to_tensor(rule.waveform())).numpy()[0, 0][::5]
    np.testing.assert_allclose(found, reference["features"], rtol=0, atol=1e-4)


@pytest.mark.parametrize("name", list(rule.WIDTHS))
def test_a_network_gives_the_numbers_of_the_original(name, reference, tmp_path):
    made, layer = built(name, rule.CLASSES)
    report = load_into(layer, read_weights(published(name, tmp_path)), head=made.head)
    assert report.head == "kept for frames"
    feature = plugin.FrameMnMel(plugin.MelParams()).build()
    network = Network(feature, layer, frame_samples=made.frame_samples(made.front_end))
    network.eval()
    with paddle.no_grad():
        logits = network(paddle.to_tensor(rule.waveform())).numpy()[0]
    assert logits.shape == (51, rule.CLASSES)
    expected = reference[name]
    np.testing.assert_allclose(
        logits[:-1].reshape(-1)[:: rule.KEPT], expected, rtol=0, atol=1e-5 * np.abs(expected).max()
    )


@pytest.mark.parametrize("name", list(rule.WIDTHS))
def test_a_network_has_the_tensors_of_the_original(name, reference):
    names = {key for key in built(name)[1].state_dict() if not key.startswith("strong_head")}
    renamed = {
        key.replace("running_mean", "_mean").replace("running_var", "_variance") for key in reference[f"{name}_names"]
    }
    assert names == renamed


def test_the_head_of_other_classes_is_new_and_that_of_clips_is_the_linear_layer_of_frames(tmp_path):
    path = published("frame_mn04", tmp_path, prefix="")
    reports = {}
    for classes, pooling in ((10, "attention"), (447, "attention"), (447, ""), (10, "")):
        made, layer = built("frame_mn04", classes, pooling)
        reports[classes, pooling] = load_into(layer, read_weights(path), head=made.head).head
    assert reports == {
        (10, "attention"): "new: of 10 classes by frame",
        (447, "attention"): "kept for frames, attention new",
        (447, ""): "kept",
        (10, ""): "remade (447 -> 10 classes)",
    }


def test_ten_seconds_are_250_frames_of_40_ms():
    made, layer = built()
    assert made.frame_samples(made.front_end) == 640
    feature = plugin.FrameMnMel(plugin.MelParams()).build()
    network = Network(feature, layer, frame_samples=640)
    network.eval()
    for samples, frames in ((160000, 250), (159999, 250), (160001, 251), (202, 1), (640, 1), (641, 2)):
        with paddle.no_grad():
            assert network(paddle.zeros([1, samples])).shape == [1, frames + 1, 3]


def test_the_logits_of_a_clip_are_those_of_the_mean_of_its_frames():
    layer = built(pooling="")[1]
    layer.eval()
    features = paddle.to_tensor(np.random.default_rng(0).normal(0, 1, (2, 1, 100, 128)).astype("float32"))
    with paddle.no_grad():
        expected = layer.strong_head(layer.frames(features)).mean(axis=1)
        np.testing.assert_allclose(layer(features).numpy(), expected.numpy(), rtol=0, atol=1e-5)
        assert layer.embed(features).shape == [2, layer.model.size]


def test_every_network_is_offered_with_both_published_files():
    entries = {entry.name: entry.value for entry in metadata.entry_points(group="pannsdist.models")}
    for name, model in MODELS.items():
        assert entries[name] == f"pannsdist_frame_mn:{model.__name__}"
        assert list(model.weights) == ["strong", "weak"]
        end = f"theMoro/EfficientSED/releases/download/v0.0.1/fmn{name[-2:]}_strong.pt"
        assert model.weights["strong"].url.endswith(end)
        assert (model.weights["strong"].classes, model.weights["weak"].classes) == (447, 527)


def test_params_that_make_no_filters_are_refused():
    with pytest.raises(UserError, match="high_hz"):
        plugin.FrameMnMel(plugin.MelParams(high_hz=9000.0))
    with pytest.raises(UserError, match="floor"):
        plugin.FrameMnMel(plugin.MelParams(floor=0.0))


def test_importing_the_plugin_does_not_import_paddle():
    code = "import sys, pannsdist_frame_mn as p; p.FrameMn04(p.FrameMn04.Params()); sys.exit('paddle' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
