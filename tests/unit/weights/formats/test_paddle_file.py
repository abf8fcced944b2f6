"""Paddle files are read without running what they hold."""

import errno
import pickle
from collections import OrderedDict

import faulty_disk
import numpy as np
import paddle
import pytest

from pannsdist.runtime.errors import BadWeightsFile
from pannsdist.weights import read_paddle, read_weights

NESTED = {
    "epoch": 3,
    "huge": 2**70,
    "score": 0.5,
    "name": "cnn6 \u58f0",
    "nothing": None,
    "flag": True,
    "pair": (1, "a"),
    "list": [1.5, None, {"deep": np.arange(3)}],
    "ordered": OrderedDict(z=1, a=2),
    "number": np.float64(0.25),
    "arrays": {
        "fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        "half": np.ones(2, np.float16),
        "empty": np.zeros((0, 2), np.float32),
        "scalar": np.array(2.0),
        "bool": np.array([True, False]),
        "state": np.random.default_rng(0).integers(2**32, size=624, dtype=np.uint32),
    },
}


def same(found, expected):
    if isinstance(expected, dict):
        assert list(found) == list(expected)
        for key, value in expected.items():
            same(found[key], value)
    elif isinstance(expected, list | tuple):
        assert type(found) is type(expected)
        for one, other in zip(found, expected, strict=True):
            same(one, other)
    elif isinstance(expected, np.ndarray | np.generic):
        assert found.dtype == expected.dtype
        np.testing.assert_array_equal(found, expected)
    else:
        assert found == expected
        assert type(found) is type(expected)


@pytest.fixture
def layer():
    paddle.seed(0)
    return paddle.nn.Sequential(paddle.nn.Conv2D(1, 2, 3), paddle.nn.BatchNorm2D(2), paddle.nn.Linear(2, 2))


@pytest.mark.parametrize("protocol", [2, 3, 4])
def test_what_paddle_saved_comes_back_equal(tmp_path, protocol):
    paddle.save(NESTED, str(tmp_path / "x.pdparams"), protocol=protocol)
    same(read_paddle(tmp_path / "x.pdparams"), NESTED)


@pytest.mark.parametrize("core", ["numpy.core", "numpy._core"])
def test_arrays_are_known_under_the_names_of_numpy_1_and_2(write, core):
    here = np.zeros(0).__reduce__()[0].__module__.removesuffix(".multiarray")
    data = pickle.dumps({"w": np.arange(3)}, 2).replace(here.encode(), core.encode())
    np.testing.assert_array_equal(read_paddle(write(data))["w"], [0, 1, 2])


@pytest.mark.parametrize("protocol", [2, 3, 4])
def test_a_layer_comes_back_without_the_table_of_automatic_names(tmp_path, layer, protocol):
    paddle.save(layer.state_dict(), str(tmp_path / "x.pdparams"), protocol=protocol)
    found = read_weights(tmp_path / "x.pdparams")
    assert (found.format, found.layout) == ("paddle", "bare keys")
    same(found.state, {name: value.numpy() for name, value in layer.state_dict().items()})


def test_the_state_of_an_optimizer_comes_back(tmp_path, layer):
    schedule = paddle.optimizer.lr.CosineAnnealingDecay(1e-3, 10)
    optimizer = paddle.optimizer.AdamW(schedule, parameters=layer.parameters())
    layer[2](paddle.ones([1, 2])).sum().backward()
    optimizer.step()
    paddle.save(optimizer.state_dict(), str(tmp_path / "x.pdopt"))
    found, expected = read_paddle(tmp_path / "x.pdopt"), optimizer.state_dict()
    assert found["LR_Scheduler"] == expected["LR_Scheduler"]
    moments = {key: value.numpy() for key, value in expected.items() if "moment" in key}
    assert moments
    same({key: found[key] for key in moments}, moments)
    with pytest.raises(BadWeightsFile, match="'LR_Scheduler' is of type dict"):
        read_weights(tmp_path / "x.pdopt")


def test_tensors_beside_other_things_come_back_as_arrays(tmp_path):
    paddle.save({"a": [paddle.ones([2]), "text"]}, str(tmp_path / "x.pdparams"))
    same(read_paddle(tmp_path / "x.pdparams"), {"a": [np.ones(2, np.float32), "text"]})


def test_bfloat16_weights_become_float32(tmp_path):
    paddle.save({"w": paddle.to_tensor([1.5, -2.0]).astype("bfloat16")}, str(tmp_path / "x.pdparams"))
    same(read_weights(tmp_path / "x.pdparams").state, {"w": np.array([1.5, -2.0], np.float32)})


@pytest.mark.parametrize("protocol", [2, 3, 4])
def test_a_shell_command_is_refused_by_name_and_not_run(write, evil, protocol):
    path = write(pickle.dumps({"w": np.ones(2), "x": evil}, protocol))
    for read in (read_paddle, read_weights):
        with pytest.raises(BadWeightsFile, match=r"refers to 'posix\.system'; only tensors are supported"):
            read(path)
    assert not evil.marker.exists()


@pytest.mark.parametrize(
    ("array", "said"),
    [
        (np.array([object()]), "a numpy type 'O8'; only numbers are supported"),
        (np.array(["a"]), "a numpy type 'U1'; only numbers are supported"),
        (np.zeros(1, [("a", "f4")]), "a numpy type 'V4'; only numbers are supported"),
        (np.ones(1, ">f4"), "a numpy type that is not a plain little-endian number"),
    ],
)
def test_arrays_of_anything_but_plain_numbers_are_refused(write, array, said):
    with pytest.raises(BadWeightsFile, match=said):
        read_paddle(write(pickle.dumps({"w": array}, 4)))


@pytest.mark.parametrize("protocol", [2, 3, 4])
def test_a_damaged_file_is_refused_or_read(write, damage, protocol):
    data = pickle.dumps({"w": np.ones((2, 2), np.float32), "m": {"s": 1, "v": np.arange(3)}, "t": (1.5, "x")}, protocol)
    refused = 0
    for changed in damage(data, flips=500, cuts=len(data)):
        try:
            assert isinstance(read_paddle(write(changed)), dict)
        except BadWeightsFile as error:
            refused += 1
            assert "weights.bin" in str(error)
    assert refused > len(data)


def test_a_file_that_is_not_there_says_where_it_was_looked_for(tmp_path):
    for read in (read_paddle, read_weights):
        with pytest.raises(BadWeightsFile, match=r"no weight file at .*nowhere\.pdparams\n  check the path"):
            read(tmp_path / "nowhere.pdparams")
        with pytest.raises(BadWeightsFile, match="cannot be read: Is a directory"):
            read(tmp_path)


@pytest.mark.parametrize(("data", "said"), [(b"", "is empty"), (b"<html>not found</html>", "starts with b'<html>")])
def test_a_file_of_no_known_format_says_how_it_begins(write, data, said):
    with pytest.raises(BadWeightsFile, match=said):
        read_weights(write(data))


def test_a_file_that_the_system_cannot_read_is_not_called_damaged(tmp_path):
    path = tmp_path / "net.pdparams"
    paddle.save({"a": paddle.ones([2])}, str(path))
    with faulty_disk.failing(path, errno.EIO), pytest.raises(BadWeightsFile) as caught:
        read_paddle(path)
    assert f"{path} cannot be read: Input/output error" in str(caught.value)
    assert "download" not in str(caught.value)
