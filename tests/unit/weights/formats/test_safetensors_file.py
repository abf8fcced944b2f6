"""safetensors files are read strictly, with numpy alone."""

import json

import numpy as np
import pytest

from pannsdist.runtime.errors import BadWeightsFile
from pannsdist.weights import read_weights

HEADER = {
    "__metadata__": {"format": "pt"},
    "b": {"dtype": "I64", "shape": [], "data_offsets": [24, 32]},
    "a": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]},
    "c": {"dtype": "BF16", "shape": [2], "data_offsets": [32, 36]},
    "d": {"dtype": "BOOL", "shape": [1, 1], "data_offsets": [36, 37]},
    "e": {"dtype": "F16", "shape": [0], "data_offsets": [37, 37]},
}
VALUES = (
    np.arange(6, dtype="<f4").tobytes()
    + np.array(-1, "<i8").tobytes()
    + (np.array([1.5, -2], np.float32).view(np.uint32) >> 16).astype("<u2").tobytes()
    + b"\x01"
)


def file_of(header, values=VALUES):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + values


def test_every_type_comes_back_in_the_order_of_the_header(write):
    found = read_weights(write(file_of(HEADER)))
    assert (found.format, list(found.state)) == ("safetensors", ["b", "a", "c", "d", "e"])
    np.testing.assert_array_equal(found.state["a"], [[0, 1, 2], [3, 4, 5]])
    assert found.state["b"] == -1
    assert found.state["c"].tolist() == [1.5, -2]
    assert found.state["d"].tolist() == [[True]]
    assert found.state["e"].shape == (0,)


def test_files_of_the_formats_own_library_are_read(tmp_path):
    library = pytest.importorskip("safetensors.numpy", reason="safetensors comes with Paddle 3 only")
    state = {"x": np.random.default_rng(0).standard_normal((3, 2)).astype(np.float32), "y": np.arange(3)}
    library.save_file(state, tmp_path / "x.safetensors")
    found = read_weights(tmp_path / "x.safetensors").state
    for name, value in state.items():
        np.testing.assert_array_equal(found[name], value)


def test_a_damaged_file_is_refused_or_read(write, damage):
    data, refused = file_of(HEADER), 0
    for changed in damage(data, flips=500, cuts=len(data)):
        try:
            read_weights(write(changed))
        except BadWeightsFile:
            refused += 1
    assert refused > len(data)
