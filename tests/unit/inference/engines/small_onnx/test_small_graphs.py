"""Smaller graphs of an exported network: the network in float16 or int8, and the front end as it was."""

from pathlib import Path

import numpy as np
import onnx
import pytest
import tiny_sounds
from onnx import numpy_helper

from pannsdist.inference.engines.graph import CannotCompile, save_graph
from pannsdist.inference.engines.onnx_runtime import convert_to_onnx, load_onnx
from pannsdist.inference.engines.output_layer import SoundLayer
from pannsdist.inference.engines.small_onnx.half import halved
from pannsdist.inference.engines.small_onnx.int8 import quantized
from pannsdist.inference.engines.small_onnx.parts import fold_batch_norms, network_nodes, network_scope, weight_bytes
from pannsdist.inference.inference_model import audioset_model
from pannsdist.inference.windowing import Windowing
from pannsdist.registry import Catalog

RATE_HZ, WINDOW = 32000, 16000
SCOPE = network_scope("MobileNetV3")


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """The file of `efficientat_mn04` with its published weights."""
    tiny_sounds.skip_unless_installed("onnx")
    weights = Path(__file__).resolve().parents[6] / "shared" / "weights" / "mn04_as_mAP_432.pt"
    if not weights.is_file():
        pytest.skip("the folder `shared` with real weights is not beside the repository")
    network = audioset_model(Catalog.installed(), "efficientat_mn04", str(weights)).network
    folder = tmp_path_factory.mktemp("exported")
    program = save_graph(SoundLayer(network, True, Windowing(WINDOW, WINDOW, WINDOW)), folder)
    convert_to_onnx(program, folder / "model.onnx")
    return folder / "model.onnx"


@pytest.fixture
def model(exported):
    return onnx.load(exported)


def sounds(count, samples=WINDOW, seed=0):
    """Noise of many levels, up to full scale: (B, S)."""
    levels = np.geomspace(1e-3, 1.0, count, dtype=np.float32)[:, None]
    return np.clip(levels * tiny_sounds.noise(count, samples, seed) * 10, -1, 1)


def run(model, waveforms):
    return load_onnx(model.SerializeToString())(waveforms)


def around(model):
    """The constants outside the network, by name."""
    own = {name for node in model.graph.node if SCOPE in node.name for name in node.input}
    return {one.name: numpy_helper.to_array(one) for one in model.graph.initializer if one.name not in own}


@pytest.fixture(scope="module")
def small_ones(exported):
    return {
        "fp16": halved(onnx.load(exported), SCOPE),
        "int8": quantized(onnx.load(exported), SCOPE, sounds(6)),
    }


@pytest.mark.parametrize(("precision", "part", "tolerance"), [("fp16", 0.51, 0.01), ("int8", 0.30, 0.15)])
def test_the_network_gets_smaller_and_still_gives_its_answers(exported, small_ones, precision, part, tolerance):
    before = onnx.load(exported)
    small = small_ones[precision]
    onnx.checker.check_model(small)
    sizes, smaller = weight_bytes(before, SCOPE), weight_bytes(small, SCOPE)
    assert smaller.network <= part * sizes.network
    assert smaller.around == sizes.around
    for batch in (sounds(3, seed=7), sounds(1, 2 * WINDOW + 5, 8), sounds(2, 900, 9)):
        expected = run(before, batch)
        np.testing.assert_allclose(run(small, batch), expected, rtol=0, atol=tolerance)
    assert np.ptp(run(before, sounds(8, seed=7)), axis=0).max() > tolerance


@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_what_is_around_the_network_stays_float32_to_the_last_bit(exported, small_ones, precision):
    before = around(onnx.load(exported))
    after = around(small_ones[precision])
    assert before.keys() == after.keys()
    for name, content in before.items():
        assert content.dtype == after[name].dtype
        np.testing.assert_array_equal(content, after[name])


def test_the_features_that_a_half_network_gets_are_rounded_once(exported, small_ones):
    """In float16 the power of a full-scale tone is infinite, and the offset of the logarithm is zero."""
    small = small_ones["fp16"]
    made = {node.output[0]: node for node in small.graph.node}
    casts = [node for node in small.graph.node if node.name.endswith("/half")]
    assert [made[node.input[0]].name.split("/")[1] for node in casts] == ["MelLayer"]
    time_s = np.arange(WINDOW) / RATE_HZ
    tone = np.sin(2 * np.pi * 1000 * time_s).astype(np.float32)
    loud = np.stack([tone, np.zeros(WINDOW, np.float32)])
    np.testing.assert_allclose(run(small, loud), run(onnx.load(exported), loud), rtol=0, atol=0.01)


def test_batch_norms_behind_convolutions_go_into_their_weights(model):
    expected = run(model, sounds(3))
    convolutions = [node.output[0] for node in network_nodes(model, SCOPE) if node.op_type == "Conv"]
    fold_batch_norms(model, SCOPE)
    norms = [node for node in network_nodes(model, SCOPE) if node.op_type == "BatchNormalization"]
    assert convolutions and not [node for node in norms if node.input[0] in convolutions]
    np.testing.assert_allclose(run(model, sounds(3)), expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize("precision", [halved, lambda model, scope: quantized(model, scope, sounds(1))])
def test_a_graph_without_the_network_is_refused(model, precision):
    with pytest.raises(CannotCompile, match="no operator of the graph begins with OutputLayer/Other/"):
        precision(model, network_scope("Other"))


def test_a_network_without_weights_to_round_is_refused(model):
    pool = next(node for node in model.graph.node if node.op_type == "ReduceMean" and node.name.startswith(SCOPE))
    with pytest.raises(CannotCompile, match="no weights that can be int8"):
        quantized(model, pool.name, sounds(1))
