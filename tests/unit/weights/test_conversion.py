"""Weights go from PyTorch to Paddle and back without a bit changed, and nothing is guessed on the way."""

import json
import subprocess
import sys

import numpy as np
import paddle
import pytest
from paddle import nn

from pannsdist.builtin.panns.networks import NetworkConfig, cnn6
from pannsdist.runtime.errors import BadWeightsFile, CannotWrite, WeightsMismatch
from pannsdist.weights import load_into, read_weights
from pannsdist.weights.conversion import convert
from pannsdist.weights.formats.writing import write_weights

REAL = {"weights/mn04_as_mAP_432.pt": (46, 18), "golden/Cnn6_golden.pth": (8, 2), "golden/Cnn10_golden.pth": (12, 2)}
"""Files, how many of their tensors Paddle has no use for, and how many Linear weights they have."""
EVERY_TYPE = {
    "matrix": np.arange(6, dtype=np.float32).reshape(2, 3).T,
    "image": np.arange(24, dtype=np.float32).reshape(2, 3, 2, 2),
    "scalar": np.array(7, np.int64),
    "large": np.arange(70000, dtype=np.int32),
    "nothing": np.zeros((0, 3), np.float32),
    "half": np.array([0.5, np.nan, np.inf], np.float16),
    "double": np.array([1 / 3]),
    "bytes": np.array([0, 255], np.uint8),
    "mask": np.array([True, False]),
    "schlüssel.weight": np.ones(1, ">f4"),
}


def assert_same(found, expected):
    assert list(found) == list(expected)
    for key, value in expected.items():
        assert found[key].dtype == value.dtype.newbyteorder("=")
        assert found[key].shape == value.shape
        assert found[key].tobytes() == value.astype(found[key].dtype).tobytes()


def torch_like(**tensors):
    """A state that shows by its batch norm that it is PyTorch's."""
    return {"norm.running_mean": np.zeros(2, np.float32), **tensors}


@pytest.mark.parametrize("name", REAL)
@pytest.mark.parametrize("ending", [".pth", ".safetensors"])
def test_real_weights_come_back_from_paddle_bit_by_bit(shared, tmp_path, name, ending):
    left_out, turned = REAL[name]
    original = read_weights(shared / name).state
    there = convert(shared / name, tmp_path / "there.pdparams")
    back = convert(tmp_path / "there.pdparams", tmp_path / f"back{ending}")
    assert (len(there.dropped), len(there.transposed), len(back.transposed)) == (left_out, turned, turned)
    assert there.written == back.written == len(original) - left_out
    for key in there.dropped:
        assert key.endswith("num_batches_tracked") or "extractor." in key
        del original[key]
    assert_same(read_weights(tmp_path / f"back{ending}").state, original)


def test_paddle_itself_reads_what_was_converted_and_the_network_takes_it(shared, tmp_path):
    path = tmp_path / "cnn6.pdparams"
    convert(shared / "golden" / "Cnn6_golden.pth", path, cnn6(NetworkConfig(2, 64)))
    read = paddle.load(str(path))
    assert all(isinstance(value, paddle.Tensor) for value in read.values())
    by_paddle, by_us = cnn6(NetworkConfig(527, 64)), cnn6(NetworkConfig(527, 64))
    assert by_paddle.set_state_dict(read) == ([], [])
    load_into(by_us, read_weights(shared / "golden" / "Cnn6_golden.pth"), head="fc_audioset")
    for key, value in by_us.state_dict().items():
        np.testing.assert_array_equal(by_paddle.state_dict()[key].numpy(), value.numpy())


def test_what_paddle_saved_comes_back_from_torchs_format(tmp_path):
    layer = nn.Sequential(nn.Conv2D(1, 2, 3), nn.BatchNorm2D(2), nn.Linear(4, 4))
    paddle.save(layer.state_dict(), str(tmp_path / "layer.pdparams"))
    convert(tmp_path / "layer.pdparams", tmp_path / "layer.pth")
    state = read_weights(tmp_path / "layer.pth").state
    np.testing.assert_array_equal(state["2.weight"], layer[2].weight.numpy().T)
    assert {"1.running_mean", "1.running_var"} <= set(state)
    convert(tmp_path / "layer.pth", tmp_path / "again.pdparams")
    assert_same(read_weights(tmp_path / "again.pdparams").state, {k: v.numpy() for k, v in layer.state_dict().items()})


@pytest.mark.parametrize("ending", [".pth", ".pdparams", ".safetensors"])
def test_every_type_shape_and_name_is_written_and_read_again(tmp_path, ending):
    write_weights(tmp_path / f"all{ending}", EVERY_TYPE)
    assert_same(read_weights(tmp_path / f"all{ending}").state, EVERY_TYPE)


def test_the_values_of_a_torch_file_can_be_mapped_into_memory(tmp_path):
    write_weights(tmp_path / "all.pth", EVERY_TYPE)
    data = (tmp_path / "all.pth").read_bytes()
    for key in ("image", "large", "double"):
        assert data.find(EVERY_TYPE[key].tobytes()) % 64 == 0


def test_the_format_that_a_file_has_already_is_written_without_a_change(shared, tmp_path):
    source = shared / "golden" / "Cnn6_golden.pth"
    done = convert(source, tmp_path / "same.pth")
    assert (done.written, done.transposed, done.dropped) == (36, (), ())
    assert_same(read_weights(tmp_path / "same.pth").state, read_weights(source).state)


def test_a_matrix_that_may_be_no_linear_is_not_guessed_about(tmp_path):
    no_bias = torch_like(**{"words.weight": np.ones((9, 2), np.float32)})
    other_bias = torch_like(**{"fc.weight": np.ones((3, 2), np.float32), "fc.bias": np.ones(2, np.float32)})
    for number, state in enumerate((no_bias, other_bias)):
        write_weights(tmp_path / f"{number}.pth", state)
        with pytest.raises(WeightsMismatch) as caught:
            convert(tmp_path / f"{number}.pth", tmp_path / "out.pdparams")
        assert ": unclear which matrices are Linear weights" in str(caught.value)
        assert "give the model of these weights: --model NAME" in str(caught.value)
    assert not (tmp_path / "out.pdparams").exists()


def test_a_layer_tells_which_matrices_are_linear(tmp_path):
    layer = nn.Sequential(nn.Embedding(9, 9), nn.Linear(9, 9, bias_attr=False))
    values = np.arange(81, dtype=np.float32).reshape(9, 9)
    write_weights(tmp_path / "in.pth", {"0.weight": values, "1.weight": values})
    assert convert(tmp_path / "in.pth", tmp_path / "out.pdparams", layer).transposed == ("1.weight",)
    assert_same(read_weights(tmp_path / "out.pdparams").state, {"0.weight": values, "1.weight": values.T})


def test_a_model_that_the_weights_were_not_made_for_is_refused(shared, tmp_path):
    with pytest.raises(WeightsMismatch, match="has matrices that the model does not have") as caught:
        convert(shared / "weights" / "mn04_as_mAP_432.pt", tmp_path / "out.pdparams", cnn6(NetworkConfig(2, 64)))
    assert "not in the model: 18: features.4.block.2.conc_se_layers.0.fc1.weight;" in str(caught.value)


@pytest.mark.parametrize("name", ["there.pth", "out.onnx", "missing/out.pth", "loop.safetensors"])
def test_what_cannot_be_written_is_said_and_leaves_nothing(tmp_path, name):
    (tmp_path / "there.pth").write_text("mine")
    state = {"wave": np.ones(2, np.complex64 if name == "loop.safetensors" else np.float32)}
    said = {
        "there.pth": "already exists",
        "out.onnx": "supported suffixes: .pth, .pt, .pdparams, .safetensors",
        "missing/out.pth": "there is no folder .*missing",
        "loop.safetensors": ".safetensors does not support type 'c8'",
    }
    with pytest.raises((BadWeightsFile, CannotWrite), match=said[name]):
        write_weights(tmp_path / name, state)
    assert [path.name for path in tmp_path.iterdir()] == ["there.pth"]
    assert (tmp_path / "there.pth").read_text() == "mine"


BY_TORCH = """
import json, sys, torch
state = torch.load(sys.argv[1], weights_only=True, mmap=True)
layer = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3), torch.nn.BatchNorm2d(2), torch.nn.Linear(4, 4))
layer.load_state_dict(state, strict=True)
print(json.dumps(layer[2].weight.sum(0).tolist()))
"""


def test_pytorch_itself_reads_what_was_converted(tmp_path):
    if subprocess.run([sys.executable, "-c", "import torch"], capture_output=True, check=False).returncode:
        pytest.skip("PyTorch is not installed; it is not needed but to see that it reads what is written here")
    layer = nn.Sequential(nn.Conv2D(1, 2, 3), nn.BatchNorm2D(2), nn.Linear(4, 4))
    write_weights(tmp_path / "in.pdparams", {key: value.numpy() for key, value in layer.state_dict().items()})
    convert(tmp_path / "in.pdparams", tmp_path / "out.pth")
    done = subprocess.run(
        [sys.executable, "-c", BY_TORCH, str(tmp_path / "out.pth")], capture_output=True, text=True, check=True
    )
    np.testing.assert_allclose(json.loads(done.stdout), layer[2].weight.numpy().sum(1), rtol=1e-5)
