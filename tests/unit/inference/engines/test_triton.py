"""A model repository, held against Triton's published schema and the graphs in it."""

import importlib.util
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import tiny_sounds
import tritonclient
from google.protobuf import text_format
from small_parts import RATE_HZ, tone_clips

from pannsdist.builtin.logmel import LogMel, LogMelParams
from pannsdist.builtin.panns import Cnn6
from pannsdist.contracts.network import Network
from pannsdist.inference.decisions import Decisions
from pannsdist.inference.engines.export import export
from pannsdist.inference.engines.triton import model_name, write_repository
from pannsdist.inference.inference_model import InferenceModel
from pannsdist.runtime.errors import UserError

SCHEMA = Path(tritonclient.__path__[0]) / "grpc" / "model_config_pb2.py"
TYPES = {"tensor(float)": "TYPE_FP32", "tensor(bool)": "TYPE_BOOL"}
DECISIONS = Decisions(1.5, (0.5, 0.5, 0.5), 0.5, min_energy=-1.0)


@pytest.fixture(scope="module")
def schema():
    """The messages of Triton's configuration, as its client was built with; the package around it asks for grpc."""
    found = importlib.util.spec_from_file_location("model_config_pb2", SCHEMA)
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


@pytest.fixture(scope="module", autouse=True)
def _with_onnx():
    tiny_sounds.skip_unless_installed("onnx")


def repository(folder, inference_model):
    export(inference_model, "onnx", folder / "exported", tone_clips(2))
    return write_repository(folder / "exported", folder / "repository", "dogs")


def configured(schema, folder):
    """The configuration, parsed: text with an unknown field or value is an error."""
    text = (folder / "config.pbtxt").read_text(encoding="utf-8")
    return text_format.Parse(text, schema.ModelConfig())


@pytest.mark.parametrize("decisions", [None, DECISIONS], ids=["plain", "calibrated"])
def test_the_configuration_is_that_of_the_graph_beside_it(schema, tmp_path, decisions):
    names = repository(tmp_path, replace(tiny_sounds.inference_model(), decisions=decisions))
    assert names == ["dogs"]
    folder = tmp_path / "repository" / "dogs"
    config = configured(schema, folder)
    session = onnxruntime.InferenceSession(folder / "1" / "model.onnx", providers=["CPUExecutionProvider"])
    for given, wanted in ((config.input, session.get_inputs()), (config.output, session.get_outputs())):
        assert [one.name for one in given] == [one.name for one in wanted]
        for one, other in zip(given, wanted, strict=True):
            assert schema.DataType.Name(one.data_type) == TYPES[other.type]
            sizes = [size if isinstance(size, int) else -1 for size in other.shape[1:]]
            assert list(one.reshape.shape if one.HasField("reshape") else one.dims) == sizes
            assert one.dims  # the server takes no empty ones
    assert config.platform == "onnxruntime_onnx" and config.max_batch_size == 8
    assert config.HasField("dynamic_batching") and config.dynamic_batching.max_queue_delay_microseconds > 0
    assert [schema.ModelInstanceGroup.Kind.Name(one.kind) for one in config.instance_group] == ["KIND_CPU"]
    assert config.name == ""  # the folder's name
    assert config.output[0].label_filename == "labels.txt"
    assert (folder / "labels.txt").read_text(encoding="utf-8").split("\n") == ["a", "b", "c", ""]


def test_every_batch_and_length_that_the_configuration_allows_runs(schema, tmp_path):
    repository(tmp_path, tiny_sounds.inference_model())
    folder = tmp_path / "repository" / "dogs"
    config = configured(schema, folder)
    session = onnxruntime.InferenceSession(folder / "1" / "model.onnx", providers=["CPUExecutionProvider"])
    for batch, samples in ((1, 1), (config.max_batch_size, RATE_HZ)):
        found = session.run(None, {config.input[0].name: tiny_sounds.noise(batch, samples)})
        assert [list(one.shape) for one in found] == [[batch, *output.dims] for output in config.output]


def test_the_record_beside_the_model_names_its_files(tmp_path):
    repository(tmp_path, tiny_sounds.inference_model())
    folder = tmp_path / "repository" / "dogs"
    record = json.loads((folder / "export.json").read_text(encoding="utf-8"))
    assert (record["format"], record["files"]) == ("triton", ["1/model.onnx"])
    assert all((folder / name).is_file() for name in record["files"])
    assert record["input"]["rate_hz"] == RATE_HZ
    exported = (tmp_path / "exported" / "model.onnx").read_bytes()
    assert (folder / "1" / "model.onnx").read_bytes() == exported


def by_frame():
    """`panns_cnn6` with random weights that answers by frame."""
    plugin_class = Cnn6(Cnn6.Params())
    layer = plugin_class.build_frames(("a", "b", "c"), Cnn6.front_end, "attention")
    frame_samples = plugin_class.frame_samples(Cnn6.front_end)
    network = Network(LogMel(LogMelParams()).build(), layer, frame_samples=frame_samples)
    network.eval()
    return InferenceModel(network, Cnn6.front_end, ("a", "b", "c"), True, 1.0, 1.0, 0.5, "frames", frame_samples)


def test_the_frames_of_a_network_are_a_model_of_their_own(schema, tmp_path):
    export(by_frame(), "onnx", tmp_path / "exported", tone_clips(1))
    assert write_repository(tmp_path / "exported", tmp_path / "repository", "dogs") == ["dogs", "dogs_frames"]
    folder = tmp_path / "repository" / "dogs_frames"
    config = configured(schema, folder)
    assert list(config.output[0].dims) == [-1, 3] and not config.output[0].label_filename
    record = json.loads((tmp_path / "repository" / "dogs" / "export.json").read_text(encoding="utf-8"))
    (file,) = record["frames"]["files"]
    assert (tmp_path / "repository" / "dogs" / file).resolve() == (folder / "1" / "model.onnx").resolve()
    session = onnxruntime.InferenceSession(folder / "1" / "model.onnx", providers=["CPUExecutionProvider"])
    assert session.run(None, {"waveform": np.zeros((2, 32000), np.float32)})[0].shape[::2] == (2, 3)


def test_a_repository_is_a_new_folder(tmp_path):
    repository(tmp_path, tiny_sounds.inference_model())
    with pytest.raises(UserError, match="exists already"):
        write_repository(tmp_path / "exported", tmp_path / "repository", "dogs")


def test_a_wrong_field_would_be_noticed(schema):
    with pytest.raises(text_format.ParseError):
        text_format.Parse("dynamic_batches { }", schema.ModelConfig())


@pytest.mark.parametrize(("text", "name"), [("esc10_mn04", "esc10_mn04"), ("my run/1", "my_run_1"), ("狗", "model")])
def test_a_name_is_one_of_a_folder_and_an_address(text, name):
    assert model_name(text) == name
