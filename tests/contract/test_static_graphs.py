"""Every family of networks and every front end as a static graph: Paddle Inference and ONNX compute the same."""

import numpy as np
import paddle
import pytest
from installed import CATALOG, STATIC_GRAPHS, built, chosen, opened

from pannsdist.builtin.logmel import LogMel, LogMelParams
from pannsdist.builtin.panns.blocks import Part, Samples, conv_block, line_convolution
from pannsdist.builtin.panns.networks import NetworkConfig, cnn14_blocks, mixed_line, normed_bins, numbered, wavegram
from pannsdist.builtin.panns.residual import BASIC, LINE, ResNet
from pannsdist.builtin.panns.tagger import AttentionTagger, Description, MaxTagger, Tagger
from pannsdist.builtin.spectrum import LogMelSpectrum
from pannsdist.contracts.network import Network
from pannsdist.inference.engines.compiled import compare
from pannsdist.inference.engines.graph import save_graph
from pannsdist.inference.engines.onnx_runtime import convert_to_onnx, load_onnx, require_onnx
from pannsdist.inference.engines.output_layer import OutputLayer
from pannsdist.inference.engines.paddle_inference import load_paddle
from pannsdist.runtime.errors import UserError

CLASSES = 7


LARGE = ("panns_resnet22", "panns_wavegram_logmel_cnn14", "panns_res1dnet31", "panns_cnn14_decisionlevelatt")
FRAMEWISE = "panns_cnn14_decisionlevelmax"


EMBEDDING = ("panns_cnn6", "efficientat_mn04", "ast_tiny")


class Logits(OutputLayer):
    """(B, S) -> (B, C): differences that a sigmoid would hide."""

    def __init__(self, network):
        super().__init__(network, "scores", multi_label=True)

    def forward(self, waveform):
        return self.network(waveform)


def engines(layer, folder):
    """The graph of a layer in Paddle Inference and, where that is installed, in onnxruntime."""
    program = save_graph(layer, folder)
    runs = [load_paddle(program)]
    try:
        require_onnx()
    except UserError as error:
        assert "ONNX needs" in error.wrong
        return runs
    convert_to_onnx(program, folder / "model.onnx")
    return [*runs, load_onnx(folder / "model.onnx")]


def compare_engines(layer, shortest, folder):
    layer.eval()
    runs = engines(layer, folder)
    for shape in ((1, shortest), (3, shortest + 4001)):
        waveforms = np.random.default_rng(0).normal(0, 0.1, shape).astype(np.float32)
        with paddle.no_grad():
            expected = layer(paddle.to_tensor(waveforms)).numpy()
        for run in runs:
            found = run(waveforms)
            compare(found, expected)
            np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * max(1.0, np.abs(expected).max()))


def output_of(network, output):
    return Logits(network) if output == "logits" else OutputLayer(network, output, multi_label=True)


# One graph for both outputs was tried: Paddle Inference took minutes to optimize that of ast_tiny.
@pytest.mark.parametrize(
    ("name", "output"),
    [
        *((name, "logits") for name in STATIC_GRAPHS),
        *((name, "embedding") for name in EMBEDDING),
        *(pytest.param(name, "logits", marks=pytest.mark.long) for name in LARGE),
        pytest.param(FRAMEWISE, "framewise", marks=pytest.mark.long),
    ],
)
def test_a_graph_computes_what_the_network_computes(name, output, tmp_path):
    model, network = opened(CATALOG.models.find(name)), built(CATALOG.models.find(name), CLASSES)
    compare_engines(output_of(network, output), model.minimum_samples(model.front_end), tmp_path)


def narrow(name):
    """A large network at a fraction of its widths, from the same parts in the same order; its feature."""
    wanted, widths = NetworkConfig(CLASSES, 64), (1, 8, 8, 8, 16, 16, 32)
    if name == "panns_resnet22":
        stages = Part("resnet", ResNet(BASIC, (64, 8, 8, 16), (2, 2, 2, 2), last=paddle.nn.AvgPool2D(2)), 0.2)
        around = Part("conv_block1", conv_block(1, 64), 0.2), Part("conv_block_after1", conv_block(16, 32, pool=1), 0.2)
        parts = [*normed_bins(wanted), around[0], stages, around[1]]
        return Tagger(Description(parts, 32, 16), CLASSES), "logmel"
    if name == "panns_res1dnet31":
        first = [Part("conv0", line_convolution(1, 64, 11, stride=5)), Part("bn0", paddle.nn.BatchNorm1D(64))]
        parts = [*mixed_line(), *first, Part("resnet", ResNet(LINE, (64, 8, 8, 8, 16, 16, 32), (2,) * 7))]
        return Tagger(Description(parts, 32, 16), CLASSES), "waveform"
    if name == "panns_wavegram_logmel_cnn14":
        spectrum = [Part("samples", Samples()), Part("logmel", LogMelSpectrum(LogMel(LogMelParams()).front_end))]
        branches = [[*spectrum, *normed_bins(wanted), Part("conv_block1", conv_block(1, 64), 0.2)], wavegram(32)]
        later = numbered(cnn14_blocks((128, *widths[2:])), 0.2, first=2)
        return Tagger(Description(later, 32, 16, branches=branches), CLASSES), "waveform"
    parts = [*normed_bins(wanted), *numbered(cnn14_blocks(widths), 0.2)]
    kind = AttentionTagger if name.endswith("att") else MaxTagger
    return kind(Description(parts, 32, 16), CLASSES), "logmel"


@pytest.mark.parametrize("name", [*LARGE, FRAMEWISE])
def test_a_graph_computes_what_a_narrow_network_computes(name, tmp_path):
    paddle.seed(0)
    model = opened(CATALOG.models.find(name))
    layer, feature = narrow(name)
    full = model.build(("a", "b"), model.front_end)
    assert [*dict(layer.named_sublayers())] == [*dict(full.named_sublayers())]  # the same parts, at other widths
    network = Network(opened(CATALOG.features.find(feature)).build(), layer)
    network.eval()
    output = output_of(network, "framewise" if name == FRAMEWISE else "logits")
    compare_engines(output, model.minimum_samples(model.front_end), tmp_path)


class Image(OutputLayer):
    """(B, S) -> (B, 1, T, F): no answer but the image of sound."""

    def __init__(self, feature):
        super().__init__(Network(feature, paddle.nn.Identity()), "scores", multi_label=True)

    def forward(self, waveform):
        return self.network.feature(waveform)


OPERATORS = {
    *("Add", "Clip", "Conv", "Exp", "Identity", "Log", "MatMul", "Max", "Mul", "Pad", "Pow", "ReduceMax", "ReduceMean"),
    *("Slice", "Sqrt", "Squeeze", "Sub", "Transpose", "Unsqueeze"),
}
"""Of opset 17, what the features come down to: a Fourier transform is a convolution, since browsers' engines have no
STFT. A further one is first looked up in the lists of operators of onnxruntime-web."""


def operators(path):
    """The operators of an ONNX file, and its opset."""
    import onnx

    model = onnx.load(path)
    assert not any(attribute.HasField("g") for node in model.graph.node for attribute in node.attribute)
    return {node.op_type for node in model.graph.node}, model.opset_import[0].version


LOOSER = {"log_spectrogram": 5e-4, "efficientat_mel": 5e-5, "frame_mn_mel": 5e-5}
"""Logarithms of single bins that hold next to nothing move most; measured: 1.4e-4, 1.3e-5, 1.8e-5 of the largest."""


@pytest.mark.parametrize("entry", chosen("feature"), ids=lambda entry: entry.name)
def test_onnx_computes_what_a_feature_computes(entry, tmp_path):
    try:
        require_onnx()
    except UserError as error:
        pytest.skip(error.wrong)
    layer = Image(opened(entry).build())
    convert_to_onnx(save_graph(layer, tmp_path), tmp_path / "image.onnx")
    found, opset = operators(tmp_path / "image.onnx")
    assert (found - OPERATORS, opset) == (set(), 17)
    run = load_onnx(tmp_path / "image.onnx")
    for shape in ((1, 9000), (3, 20001)):
        waveforms = np.random.default_rng(0).normal(0, 0.1, shape).astype(np.float32)
        expected = layer(paddle.to_tensor(waveforms)).numpy()
        tolerance = LOOSER.get(entry.name, 1e-5)
        np.testing.assert_allclose(run(waveforms), expected, rtol=0, atol=tolerance * np.abs(expected).max())
