"""PyTorch files are read without PyTorch, and nothing in them is run."""

import copy
import pickle
import tracemalloc
import zipfile

import numpy as np
import pytest

from pannsdist.runtime.errors import BadWeightsFile
from pannsdist.weights import read_weights
from pannsdist.weights.formats.limits import Budget
from pannsdist.weights.formats.paddle import paddle_calls
from pannsdist.weights.formats.torch import TorchPickle
from pannsdist.weights.formats.unpickler import OPCODES, table

FORMATS = ("zip", "legacy")
SMALL = {
    "conv.weight": np.arange(12, dtype=np.float32).reshape(2, 1, 2, 3) - 5,
    "half": np.array([0.5, -2], np.float16),
    "double": np.array([[1 / 3]]),
    "count": np.array(7, np.int64),
    "mask": np.array([True, False]),
    "nothing": np.zeros((0, 3), np.float32),
}


def same(found, expected):
    assert list(found) == list(expected)
    for name, value in expected.items():
        assert found[name].dtype == value.dtype
        np.testing.assert_array_equal(found[name], value)


def test_real_weights_of_mn04_are_read(shared):
    found = read_weights(shared / "weights" / "mn04_as_mAP_432.pt")
    assert (found.format, found.layout, len(found.state)) == ("torch", "bare keys", 312)
    trained = [v for k, v in found.state.items() if v.dtype == np.float32 and "running" not in k]
    assert sum(value.size for value in trained) == pytest.approx(983e3, rel=0.01)  # published: 0.98 M
    assert found.state["classifier.5.weight"].shape == (527, 512)
    assert all(np.isfinite(value).all() for value in found.state.values())


@pytest.mark.parametrize(("name", "keys"), [("Cnn6", 36), ("Cnn10", 60)])
def test_an_original_panns_file_is_read_with_the_values_that_its_front_end_must_have(shared, name, keys):
    found = read_weights(shared / "golden" / f"{name}_golden.pth")
    assert (found.format, found.layout, len(found.state)) == ("torch", "original PANNs", keys)
    n, k = np.arange(1024), np.arange(513)[:, None]
    stft = np.cos(2 * np.pi * k * n / 1024) * (0.5 - 0.5 * np.cos(2 * np.pi * n / 1024))
    real = found.state["spectrogram_extractor.stft.conv_real.weight"]
    np.testing.assert_allclose(real[:, 0], stft, atol=1e-5)
    assert found.state["bn0.num_batches_tracked"].dtype == np.int64


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("order", ["<", ">"])
def test_every_type_comes_back_whatever_the_byte_order_of_the_machine_was(write, torch_writer, kind, order):
    writer = torch_writer(order)
    same(read_weights(write(getattr(writer, kind)(SMALL))).state, SMALL)


@pytest.mark.parametrize("kind", FORMATS)
def test_views_with_strides_and_offsets_share_their_storage(write, torch_writer, kind):
    raw = np.arange(12, dtype=np.float32).tobytes()
    tree = {
        "whole": torch_writer.View("0", "Float", raw, 12, (12,), (1,)),
        "turned": torch_writer.View("0", "Float", raw, 12, (2, 3), (1, 2), offset=4),
        "scalar": torch_writer.View("0", "Float", raw, 12, (), (), offset=11),
    }
    state = read_weights(write(getattr(torch_writer(), kind)(tree))).state
    np.testing.assert_array_equal(state["turned"], [[4, 6, 8], [5, 7, 9]])
    assert state["scalar"] == 11
    assert np.shares_memory(state["whole"], state["turned"])


def test_bfloat16_becomes_float32(write, torch_writer):
    raw = (np.array([1.5, -2.0, np.inf], np.float32).view(np.uint32) >> 16).astype("<u2").tobytes()
    state = read_weights(write(torch_writer().zip({"x": torch_writer.View("0", "BFloat16", raw, 3, (3,), (1,))}))).state
    assert state["x"].dtype == np.float32
    assert state["x"].tolist() == [1.5, -2.0, np.inf]


@pytest.mark.parametrize("kind", FORMATS)
def test_parameters_and_metadata_of_a_state_dict_are_no_obstacle(write, torch_writer, kind):
    writer = torch_writer()
    parameter = torch_writer.Raw(
        b"ctorch._utils\n_rebuild_parameter\n("
        + writer.code(np.ones(2, np.float32))
        + b"\x88ccollections\nOrderedDict\n)RtR"
    )
    ordered = b"ccollections\nOrderedDict\n)R(" + writer.code("w") + parameter.code + b"u"
    tree = {
        "iteration": 3,
        "model": torch_writer.Raw(ordered + writer.code({"_metadata": {"": {"version": 1}}}) + b"b"),
    }
    same(read_weights(write(getattr(writer, kind)(tree))).state, {"w": np.ones(2, np.float32)})


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("protocol", [2, 3, 4])
def test_a_shell_command_is_refused_by_name_and_not_run(write, torch_writer, evil, kind, protocol):
    payload = pickle.dumps(evil, protocol)[2:-1]
    with pytest.raises(BadWeightsFile, match=r"refers to 'posix\.system'; only tensors are supported"):
        read_weights(write(getattr(torch_writer(), kind)({"model": torch_writer.Raw(payload)})))
    assert not evil.marker.exists()


@pytest.mark.parametrize(
    "name",
    ["builtins eval", "builtins getattr", "torch load", "collections OrderedDict.update", "numpy.lib.npyio load"],
)
def test_no_name_outside_of_the_table_is_looked_up(write, torch_writer, name):
    code = f"c{name.replace(' ', chr(10))}\n".encode()
    with pytest.raises(BadWeightsFile, match=name.replace(" ", r"\.")):
        read_weights(write(torch_writer().zip({"w": torch_writer.Raw(code)})))


@pytest.mark.parametrize("code", [b")\x81", b"(o", b"(ios\nsystem\n", b"\x82\x01", b"P0\n", b"2", b"0", b"\x97"])
def test_instructions_that_make_objects_in_other_ways_are_refused(write, torch_writer, code):
    with pytest.raises(BadWeightsFile, match=r"pickle instruction b'.*' at byte \d+ is not supported"):
        read_weights(write(torch_writer().zip({"w": torch_writer.Raw(code)})))


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (b"ccollections\nOrderedDict\n", "'collections.OrderedDict' where a value should be"),
        (b"ctorch\nFloatStorage\n)R", "a call of something that is not callable"),
        (b"]]R", "a call of something that is not callable"),
        (b"]}b", "state for an object that has none"),
        (b"ccollections\nOrderedDict\n}b", "state for an object that has none"),
        (b"ccollections\nOrderedDict\nq\x07h\x07a", "items for something that is not a list"),
        (b"ccollections\nOrderedDict\nNNs", "items for something that is not a dict"),
    ],
)
def test_an_allowed_name_can_only_be_called_and_not_kept_or_changed(write, torch_writer, code, said):
    with pytest.raises(BadWeightsFile, match=said):
        read_weights(write(torch_writer().zip({"w": torch_writer.Raw(code)})))


def test_the_names_that_a_file_may_use_are_these_and_no_more():
    floats, whole = ("Float", "Double", "Half", "BFloat16"), ("Long", "Int", "Short", "Char", "Byte", "Bool")
    storages = (*floats, *whole, "ComplexFloat", "ComplexDouble")
    numpy_names = {
        "numpy.ndarray",
        "numpy.dtype",
        "numpy.core.multiarray._reconstruct",
        "numpy.core.multiarray.scalar",
        "numpy._core.multiarray._reconstruct",
        "numpy._core.multiarray.scalar",
        "collections.OrderedDict",
        "_codecs.encode",
        "__builtin__.bytes",
    }
    torch_names = {"torch._utils._rebuild_tensor_v2", "torch._utils._rebuild_parameter", "torch.Size"}
    assert set(TorchPickle(0).allowed) == numpy_names | torch_names | {f"torch.{kind}Storage" for kind in storages}
    assert set(paddle_calls(Budget(0))) == numpy_names | {"builtins.tuple"}
    assert b"".join(sorted(OPCODES)) == bytes(
        sorted(b"KMJGN\x88\x89)X\x8c\x8dUTCB\x8e\x8a\x8bhjqr\x94\x85\x86\x87\x80\x95(t]}aesuc\x93RbQ")
    )


def test_what_is_called_for_a_name_is_this_project_s_own():
    """A name in the tables could stand for anything: what is called is defined here, and never looked up by name."""
    for known in (*TorchPickle(0).allowed.values(), *table(paddle_calls(Budget(0))).values()):
        assert known.call is None or known.call.__module__.startswith("pannsdist.weights.formats."), known.name


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("count", [3, 5, 2**61, -1])
def test_a_storage_that_is_not_as_long_as_it_says_is_refused(write, torch_writer, kind, count):
    with pytest.raises(
        BadWeightsFile,
        match=r"storage '0'(: 16 bytes for| is truncated, or not| without a plain number)|\d+ bytes after its end",
    ):
        read_weights(
            write(getattr(torch_writer(), kind)({"w": torch_writer.View("0", "Float", bytes(16), count, (1,), (1,))}))
        )


@pytest.mark.parametrize(
    "code", [b"r\xff\xff\xff\x7f", b"\x8e" + b"\xff" * 7 + b"\x0f", b"B\xff\xff\xff\xff", b"X\xf0\xff\xff\xff"]
)
def test_a_size_out_of_the_air_asks_for_no_memory(write, torch_writer, code):
    path = write(torch_writer().zip({"w": torch_writer.Raw(b"]" + code)}))
    tracemalloc.start()
    with pytest.raises(
        BadWeightsFile, match=r"it is truncated: \d+ bytes needed|contains more than weights: 'w' is of type"
    ):
        read_weights(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 5e6


def test_a_deep_tuple_as_a_key_is_refused_before_it_is_hashed(write, torch_writer):
    with pytest.raises(BadWeightsFile, match="a key that is neither text nor a number, but a value of type tuple"):
        read_weights(write(torch_writer().zip(torch_writer.Raw(b"})" + b"\x85" * 200_000 + b"Ns"))))


def test_a_compressed_zip_is_refused_before_anything_is_unpacked(write, torch_writer):
    data = torch_writer().zip({"w": np.zeros(10_000_000, np.float32)}, zipfile.ZIP_DEFLATED)
    assert len(data) < 100_000
    with pytest.raises(BadWeightsFile, match="a compressed member"):
        read_weights(write(data))


def test_zip_members_that_lie_over_each_other_are_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "weights.zip", "w") as archive:
        archive.writestr("archive/data.pkl", b"")
        archive.writestr("archive/data/0", bytes(1000))
        for index in range(1, 5):
            again = copy.copy(archive.getinfo("archive/data/0"))
            again.filename = f"archive/data/{index}"
            archive.filelist.append(again)
    with pytest.raises(BadWeightsFile, match="members that overlap"):
        read_weights(tmp_path / "weights.zip")


@pytest.mark.parametrize("kind", FORMATS)
def test_a_damaged_file_is_refused_or_read_right(write, torch_writer, damage, kind):
    refused = 0
    for data in damage(getattr(torch_writer(), kind)(SMALL), flips=500, cuts=150):
        try:
            state = read_weights(write(data)).state
        except BadWeightsFile as error:
            refused += 1
            assert "weights.bin" in str(error)
        else:
            if kind == "zip":  # carries check sums
                same(state, SMALL)
    assert refused > 150


def test_a_zip_file_of_something_else_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as archive:
        archive.writestr("readme.txt", "hello")
    with pytest.raises(BadWeightsFile, match="PyTorch did not write"):
        read_weights(tmp_path / "other.zip")
