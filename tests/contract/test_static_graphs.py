"""Every family of networks and every front end as a static graph: Paddle Inference and ONNX answer what it answers."""

import numpy as np
import paddle
import pytest
from installed import CATALOG, built, chosen, opened

from pannsdist.contracts import NoParams
from pannsdist.contracts.network import Network
from pannsdist.inference.engines.compiled import compare
from pannsdist.inference.engines.graph import save_graph
from pannsdist.inference.engines.onnx_runtime import convert_to_onnx, load_onnx, require_onnx
from pannsdist.inference.engines.output_layer import OutputLayer
from pannsdist.inference.engines.paddle_inference import load_paddle
from pannsdist.runtime.errors import UserError

OUTPUTS_OF = {
    "panns_cnn6": ("scores", "embedding"),
    "panns_resnet22": ("scores",),
    "panns_mobilenetv1": ("scores",),
    "panns_wavegram_logmel_cnn14": ("scores",),
    "panns_res1dnet31": ("scores",),
    "panns_leenet11": ("scores",),
    "panns_dainet19": ("scores",),
    "panns_cnn14_decisionlevelmax": ("framewise",),
    "panns_cnn14_decisionlevelatt": ("scores",),
    "efficientat_mn04": ("scores", "embedding"),
    "ast_tiny": ("scores", "embedding"),
}
CASES = [(name, output) for name, outputs in OUTPUTS_OF.items() for output in outputs]
CLASSES = 7


@pytest.mark.parametrize(("name", "output"), CASES)
def test_a_graph_answers_what_the_network_answers(name, output, tmp_path):
    plugin = CATALOG.models.find(name).load()
    paddle.seed(0)
    network = built(CATALOG.models.find(name), CLASSES)
    network.eval()
    layer = OutputLayer(network, output, multi_label=True)
    program = save_graph(layer, tmp_path)
    runs = [load_paddle(program)]
    try:
        require_onnx()
        convert_to_onnx(program, tmp_path / "model.onnx")
        runs.append(load_onnx(tmp_path / "model.onnx"))
    except UserError as error:
        assert "ONNX needs" in error.wrong
    shortest = plugin(NoParams() if plugin.Params is NoParams else plugin.Params()).minimum_samples(plugin.front_end)
    for shape in ((1, shortest), (3, shortest + 4001)):
        waveforms = np.random.default_rng(0).normal(0, 0.1, shape).astype(np.float32)
        with paddle.no_grad():
            expected = layer(paddle.to_tensor(waveforms)).numpy()
        for run in runs:
            found = run(waveforms)
            compare(found, expected)
            np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * max(1.0, np.abs(expected).max()))


class Image(OutputLayer):
    """(B, S) -> (B, 1, T, F): no answer but the image of sound. paddle2onnx needs a weight to go with it."""

    def __init__(self, feature):
        super().__init__(Network(feature, paddle.nn.Identity()), "scores", multi_label=True)
        self.one = self.create_parameter([1], default_initializer=paddle.nn.initializer.Constant(1.0))

    def forward(self, waveform):
        return self.network.feature(waveform) * self.one


@pytest.mark.parametrize("entry", chosen("feature"), ids=lambda entry: entry.name)
def test_onnx_computes_what_a_feature_computes(entry, tmp_path):
    try:
        require_onnx()
    except UserError as error:
        pytest.skip(error.wrong)
    layer = Image(opened(entry).build())
    convert_to_onnx(save_graph(layer, tmp_path), tmp_path / "image.onnx")
    run = load_onnx(tmp_path / "image.onnx")
    for shape in ((1, 9000), (3, 20001)):
        waveforms = np.random.default_rng(0).normal(0, 0.1, shape).astype(np.float32)
        expected = layer(paddle.to_tensor(waveforms)).numpy()
        # Decibels of bins that hold next to nothing move most; measured: 2e-4 of the largest value.
        np.testing.assert_allclose(run(waveforms), expected, rtol=0, atol=1e-3 * np.abs(expected).max())
