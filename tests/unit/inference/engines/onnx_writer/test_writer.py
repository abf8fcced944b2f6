"""The file as a whole: what it says of itself, what it holds, and what is refused."""

import numpy as np
import paddle
import pytest
import tiny_sounds
from paddle import nn
from small_parts import SmallLayer

import pannsdist
from pannsdist.inference.engines.graph import CannotCompile, save_graph
from pannsdist.inference.engines.onnx_runtime import convert_to_onnx, load_onnx
from pannsdist.inference.engines.output_layer import OutputLayer
from pannsdist.inference.engines.selection import build_engine


def exported(folder, layer=tiny_sounds.FullLayer, change=lambda _: None):
    """The network of a small model, and the bytes of its ONNX file."""
    inference_model = tiny_sounds.inference_model(layer)
    change(inference_model.network)
    folder.mkdir()
    program = save_graph(OutputLayer(inference_model.network, "scores", multi_label=True), folder)
    convert_to_onnx(program, folder / "model.onnx")
    return inference_model.network, (folder / "model.onnx").read_bytes()


def test_two_exports_of_a_network_are_the_same_bytes_and_name_no_folder(tmp_path):
    contents = [exported(tmp_path / name)[1] for name in ("first", "second")]
    assert contents[0] == contents[1]
    assert str(tmp_path).encode() not in contents[0]


def test_the_file_says_who_wrote_it_and_keeps_batch_and_length_open(tmp_path):
    from onnx import load_from_string

    model = load_from_string(exported(tmp_path / "out")[1])
    assert (model.producer_name, model.producer_version) == ("pannsdist", pannsdist.__version__)
    assert [(opset.domain, opset.version) for opset in model.opset_import] == [("", 17)]
    assert model.ir_version == 8
    described = [*model.graph.input, *model.graph.output]
    sizes = [[size.dim_param or size.dim_value for size in item.type.tensor_type.shape.dim] for item in described]
    assert [item.name for item in described] == ["waveform", "output"]
    assert sizes == [["batch", "samples"], ["batch", 3]]


def test_each_parameter_is_in_the_file_once_with_its_own_values(tmp_path):
    from onnx import load_from_string, numpy_helper

    def change(network):
        for number, tensor in enumerate(network.parameters()):
            values = np.random.default_rng(number).uniform(0.2, 0.8, tensor.shape)
            tensor.set_value(values.astype(np.float32))

    network, content = exported(tmp_path / "out", change=change)
    stored = [numpy_helper.to_array(item) for item in load_from_string(content).graph.initializer]
    for tensor in network.parameters():
        same = [item for item in stored if item.shape == tuple(tensor.shape) and (item == tensor.numpy()).all()]
        assert len(same) == 1


class TwiceLayer(SmallLayer):
    """Uses its weights twice."""

    def forward(self, image):
        return SmallLayer.forward(self, image) + SmallLayer.forward(self, 2 * image)


def test_a_parameter_that_is_used_twice_is_in_the_file_once(tmp_path):
    from onnx import load_from_string

    once, twice = (
        load_from_string(exported(tmp_path / layer.__name__, layer)[1]) for layer in (SmallLayer, TwiceLayer)
    )
    weights = [[item for item in model.graph.initializer if len(item.dims) > 1] for model in (once, twice)]
    assert len(weights[0]) == len(weights[1])


def test_more_weights_than_a_file_may_hold_are_refused_with_what_works(tmp_path, monkeypatch):
    monkeypatch.setattr("pannsdist.inference.engines.onnx_writer.writer.MAX_BYTES", 1000)
    with pytest.raises(CannotCompile, match=r"a file holds 2 GB, its weights are 0\.0 GB") as caught:
        exported(tmp_path / "out")
    assert caught.value.command == "use --engine paddle, or export --format paddle"


class ShortLayer(SmallLayer):
    """Has a parameter of 16 bits."""

    def __init__(self, bins, classes):
        super().__init__(bins, classes)
        self.short = self.create_parameter([classes], dtype="bfloat16")

    def forward(self, image):
        return SmallLayer.forward(self, image) + self.short.cast("float32")


def test_parameters_of_a_type_that_numpy_does_not_have_are_refused(tmp_path):
    with pytest.raises(CannotCompile, match="no translation of parameters of the type bfloat16"):
        exported(tmp_path / "out", ShortLayer)


class PlacesLayer(SmallLayer):
    """Uses the second result of an operator, which has no translation."""

    def forward(self, image):
        largest, places = nn.functional.max_pool2d(image, 2, return_mask=True)
        return SmallLayer.forward(self, image) + largest.mean() + places.cast("float32").mean()


def test_a_result_that_has_no_translation_is_refused(tmp_path):
    with pytest.raises(CannotCompile, match=r"of a further result of the operator pd_op\.max_pool2d_with_index"):
        exported(tmp_path / "out", PlacesLayer)


class SortingLayer(SmallLayer):
    """Uses an operator that has no translation."""

    def forward(self, image):
        return SmallLayer.forward(self, paddle.sort(image, axis=3))


def test_the_engine_onnx_names_the_operator_that_has_no_translation():
    engine = build_engine(tiny_sounds.inference_model(SortingLayer), "onnx")
    with pytest.raises(CannotCompile, match=r"no translation of the operator argsort\n.*\n  next: use --engine paddle"):
        engine.run("scores", tiny_sounds.noise(1, 1600))


def test_what_onnxruntime_does_not_take_is_refused_with_what_works(tmp_path):
    content = exported(tmp_path / "out")[1]
    with pytest.raises(CannotCompile, match="onnxruntime cannot load this network: "):
        load_onnx(content[:-200])
    with pytest.raises(CannotCompile, match="onnxruntime cannot load this network: "):
        load_onnx(content.replace(b"Sigmoid", b"Sigmoit"))
    assert np.isfinite(load_onnx(content)(tiny_sounds.noise(1, 1600))).all()


@pytest.mark.parametrize(("policy", "spinning"), [("passive", "0"), ("ACTIVE", None)])
def test_idle_threads_of_onnxruntime_sleep_where_those_of_the_kernels_do(monkeypatch, policy, spinning):
    import onnxruntime

    entry, found = "session.intra_op.allow_spinning", []

    def session(_, options, **__):
        try:
            found.append(options.get_session_config_entry(entry))
        except RuntimeError:  # it is not set
            found.append(None)
        raise ValueError("not loaded")

    monkeypatch.setattr(onnxruntime, "InferenceSession", session)
    monkeypatch.setenv("OMP_WAIT_POLICY", policy)
    with pytest.raises(CannotCompile, match="not loaded"):
        load_onnx(b"")
    assert found == [spinning]
