"""Every engine computes the outputs of the network."""

from contextlib import nullcontext

import numpy as np
import paddle
import paddle.nn.functional as F
import pytest
import tiny_sounds
from small_parts import RATE_HZ, SmallLayer
from tiny_sounds import DriftingLayer, FullLayer, StubbornLayer, WaveringLayer, noise

from pannsdist.inference.engines import graph
from pannsdist.inference.engines.compiled import WINDOWS_BEFORE_COMPILING, Compiled, CompiledLater
from pannsdist.inference.engines.graph import CannotCompile
from pannsdist.inference.engines.kinds import ENGINES
from pannsdist.inference.engines.output_layer import OutputLayer
from pannsdist.inference.engines.paddle_inference import compile_paddle
from pannsdist.inference.engines.selection import build_engine
from pannsdist.runtime.errors import UserError

OUTPUTS = {"scores": (3,), "embedding": (16,), "framewise": None}
SHAPES = [(1, 1600), (3, 1600), (2, 700), (1, 5001)]


@pytest.fixture(params=ENGINES)
def name(request):
    tiny_sounds.skip_unless_installed(request.param)
    return request.param


def expected(inference_model, output, waveforms):
    with paddle.no_grad():
        features = inference_model.network.feature(paddle.to_tensor(waveforms))
        model = inference_model.network.model
        if output != "scores":
            return {"embedding": model.embed, "framewise": model.framewise}[output](features).numpy()
        logits = model(features)
        return (F.sigmoid(logits) if inference_model.multi_label else F.softmax(logits)).numpy()


@pytest.mark.parametrize("output", OUTPUTS)
def test_every_engine_gives_the_networks_outputs_for_any_batch_and_length(name, output):
    inference_model = tiny_sounds.inference_model()
    engine = build_engine(inference_model, name)
    for clips, samples in SHAPES:
        waveforms = noise(clips, samples)
        found = engine.run(output, waveforms)
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, expected(inference_model, output, waveforms), rtol=0, atol=1e-5)


def test_probabilities_of_several_labels_need_not_sum_to_one(name):
    inference_model = tiny_sounds.inference_model(multi_label=True)
    found = build_engine(inference_model, name).run("scores", noise(2, 1600))
    np.testing.assert_allclose(found, expected(inference_model, "scores", noise(2, 1600)), rtol=0, atol=1e-5)
    assert (np.abs(found.sum(axis=1) - 1) > 1e-3).all()


def test_an_output_that_the_network_does_not_have_is_refused(name):
    inference_model = tiny_sounds.inference_model(SmallLayer)
    with pytest.raises(UserError, match="the network SmallLayer has no embedding output"):
        build_engine(inference_model, name).run("embedding", noise(1, 1600))


def test_a_layer_whose_graph_gives_other_outputs_is_refused():
    for name in ("paddle", "onnx"):
        tiny_sounds.skip_unless_installed(name)
        with pytest.raises(CannotCompile, match="its static graph gives other outputs than the network: they diff"):
            build_engine(tiny_sounds.inference_model(WaveringLayer), name).run("scores", noise(1, 1600))


@pytest.mark.parametrize(("drift", "refused"), [(1e-2, True), (1e-3, True), (1e-5, False)])
def test_a_graph_is_refused_where_its_outputs_differ_by_more_than_the_tolerance(drift, refused, monkeypatch):
    monkeypatch.setattr(DriftingLayer, "DRIFT", drift)
    engine = build_engine(tiny_sounds.inference_model(DriftingLayer, multi_label=True), "paddle")
    with pytest.raises(CannotCompile, match=r"the tolerance is 0\.0001") if refused else nullcontext():
        engine.run("scores", noise(1, 1600))


def test_a_layer_that_cannot_be_a_graph_is_refused_with_what_works():
    refused = "StubbornLayer cannot be compiled to a static graph: .*\n.*\n  next: use --engine dygraph"
    with pytest.raises(CannotCompile, match=refused):
        build_engine(tiny_sounds.inference_model(StubbornLayer), "paddle").run("scores", noise(1, 1600))


@pytest.mark.parametrize("layer", [SmallLayer, StubbornLayer])
def test_tracing_a_layer_leaves_its_forwards_as_they_were(layer, tmp_path):
    inference_model = tiny_sounds.inference_model(layer)
    network, waveforms = inference_model.network, noise(2, 1600)
    own = network.model.forward = network.model.forward  # one that a plugin has set is kept
    before = build_engine(inference_model, "dygraph").run("scores", waveforms)
    with nullcontext() if layer is SmallLayer else pytest.raises(CannotCompile):
        graph.save_graph(OutputLayer(network, "scores", multi_label=False), tmp_path)
    replaced = [part for part in network.sublayers(include_self=True) if "forward" in vars(part)]
    assert replaced == [network.model]
    assert network.model.forward is own
    assert (build_engine(inference_model, "dygraph").run("scores", waveforms) == before).all()


def test_what_paddle_keeps_of_a_refused_graph_never_reaches_a_later_one():
    parameter_recorder = pytest.importorskip(
        "paddle.jit.dy2static.parameter_recorder", reason="Paddle 3 has this table"
    )
    with pytest.raises(CannotCompile, match="cannot be compiled"):
        build_engine(tiny_sounds.inference_model(StubbornLayer), "paddle").run("scores", noise(1, 1600))
    kept = {id(program) for program in graph._traced_programs}
    assert kept.issuperset(parameter_recorder._global_parameter_recorder.params_dict)
    build_engine(tiny_sounds.inference_model(SmallLayer), "paddle").run("scores", noise(1, 1600))
    assert {id(program) for program in graph._traced_programs} == kept


def test_the_default_on_a_cpu_compiles_after_some_windows():
    started = []

    def compile_layer(layer):
        started.append(layer.output)
        return lambda _: layer

    later = CompiledLater(tiny_sounds.inference_model(), compile_layer)
    later.run("scores", noise(WINDOWS_BEFORE_COMPILING - 1, 1600))
    later.run("scores", noise(1, 1600))
    assert started == []
    with pytest.raises(AttributeError):
        later.run("scores", noise(1, 1600))
    assert started == ["scores"]


def test_the_default_gives_the_same_before_and_after_compiling():
    inference_model = tiny_sounds.inference_model()
    engine = build_engine(inference_model)
    assert isinstance(engine, CompiledLater)
    waveforms = noise(WINDOWS_BEFORE_COMPILING, 1600)
    before, after = engine.run("scores", waveforms), engine.run("scores", waveforms)
    np.testing.assert_allclose(before, after, rtol=0, atol=1e-6)


def test_of_a_large_batch_the_first_windows_alone_are_run_before_compiling():
    inference_model = tiny_sounds.inference_model()
    engine = build_engine(inference_model)
    waveforms = noise(3 * WINDOWS_BEFORE_COMPILING, 1600)
    expected = np.concatenate(
        [
            engine.run("scores", waveforms[:WINDOWS_BEFORE_COMPILING]),
            engine.run("scores", waveforms[WINDOWS_BEFORE_COMPILING:]),
        ]
    )
    np.testing.assert_array_equal(build_engine(inference_model).run("scores", waveforms), expected)


@pytest.mark.parametrize("layer", [WaveringLayer, StubbornLayer])
def test_the_default_notes_once_that_a_network_cannot_be_compiled_and_goes_on(layer, capfd):
    inference_model = tiny_sounds.inference_model(layer)
    engine = build_engine(inference_model)
    waveforms = noise(WINDOWS_BEFORE_COMPILING, 1600)
    for _ in range(3):
        np.testing.assert_allclose(
            engine.run("scores", waveforms), expected(inference_model, "scores", waveforms), atol=1e-6
        )
    notes = [line for line in capfd.readouterr().err.splitlines() if line.startswith("note: ")]
    assert len(notes) == 1
    assert notes[0].endswith("; using the engine dygraph instead")


def test_an_unknown_engine_is_refused_with_the_known_ones():
    with pytest.raises(UserError, match="there is no engine 'tensorrt'\n  engines: dygraph, paddle, onnx"):
        build_engine(tiny_sounds.inference_model(), "tensorrt")


def test_without_the_extra_the_engine_onnx_says_what_to_install(monkeypatch):
    monkeypatch.setattr(
        "pannsdist.inference.engines.onnx_runtime.find_spec", lambda name: None if name == "onnx" else name
    )
    monkeypatch.setattr(paddle, "__version__", "3.3.1")
    with pytest.raises(UserError, match=r"ONNX needs onnx\n.*\n  next: pip install 'pannsdist\[onnx\]'"):
        build_engine(tiny_sounds.inference_model(), "onnx")


def test_before_paddle_3_the_engine_onnx_says_what_it_needs(monkeypatch):
    monkeypatch.setattr(paddle, "__version__", "2.6.2")
    with pytest.raises(UserError, match=r"ONNX needs Paddle 3, this is 2\.6\.2"):
        build_engine(tiny_sounds.inference_model(), "onnx")


class PaddingLayer(FullLayer):
    """Pads its last axis inside a Fourier transform, which oneDNN's own kernel does not survive."""

    def forward(self, image):
        spectrum = paddle.fft.rfft(image.squeeze(1), n=2 * image.shape[3])
        power = paddle.as_real(spectrum).square().sum(axis=-1)
        return FullLayer.forward(self, power[:, :, :-1].unsqueeze(1))


def test_a_transform_within_a_layer_does_not_end_the_process():
    inference_model = tiny_sounds.inference_model(PaddingLayer)
    found = build_engine(inference_model, "paddle").run("scores", noise(2, RATE_HZ))
    np.testing.assert_allclose(found, expected(inference_model, "scores", noise(2, RATE_HZ)), rtol=0, atol=1e-5)


class JoiningLayer(FullLayer):
    """Joins two bare parameters, as transformers do with their tokens; Paddle 2.6.2 does not survive fusing that."""

    def __init__(self, bins, classes):
        super().__init__(bins, classes)
        self.first, self.second = (self.create_parameter([1, 1, bins]) for _ in range(2))

    def forward(self, image):
        joined = paddle.concat([self.first, self.second], axis=1).mean(axis=1, keepdim=True)
        return FullLayer.forward(self, image + joined.unsqueeze(1))


def test_parameters_that_are_joined_do_not_end_the_process():
    inference_model = tiny_sounds.inference_model(JoiningLayer)
    found = build_engine(inference_model, "paddle").run("scores", noise(2, RATE_HZ))
    np.testing.assert_allclose(found, expected(inference_model, "scores", noise(2, RATE_HZ)), rtol=0, atol=1e-5)


@pytest.mark.parametrize("layer", [FullLayer, StubbornLayer])
@pytest.mark.parametrize("frozen", [False, True])
def test_no_engine_changes_the_modes_of_a_network(name, layer, frozen):
    inference_model = tiny_sounds.inference_model(layer)
    network = inference_model.network
    network.train()
    network.model.norm.training = not frozen
    before = [part.training for part in network.sublayers(include_self=True)]
    with nullcontext() if layer is FullLayer or name in ("dygraph", "onednn") else pytest.raises(CannotCompile):
        build_engine(inference_model, name).run("scores", noise(1, 1600))
    assert [part.training for part in network.sublayers(include_self=True)] == before


def test_a_graph_is_made_once_for_each_output():
    made = []
    inference_model = tiny_sounds.inference_model()

    def compile_layer(layer):
        made.append(layer.output)
        return compile_paddle(layer)

    compiled = Compiled(inference_model, compile_layer)
    for _ in range(2):
        for output in OUTPUTS:
            compiled.run(output, noise(1, 1600))
    assert made == list(OUTPUTS)
