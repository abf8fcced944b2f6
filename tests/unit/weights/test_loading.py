"""Weights reach a Paddle network whole, with the right names and axes, or not at all."""

import json

import numpy as np
import paddle
import pytest
from paddle import nn

from pannsdist.runtime.errors import WeightsMismatch
from pannsdist.weights import load_into, read_weights
from pannsdist.weights.loading import matched, to_paddle
from pannsdist.weights.weight_file import read_shapes


class Small(nn.Layer):
    """The parts of a PANNs that loading has to do with: a convolution, batch norm, a square Linear and a head."""

    def __init__(self, classes=3):
        super().__init__()
        self.conv1 = nn.Conv2D(1, 2, 3, bias_attr=False)
        self.bn0 = nn.BatchNorm2D(2)
        self.fc1 = nn.Linear(4, 4)
        self.fc_audioset = nn.Linear(4, classes)


class Cnn6(nn.Layer):
    """PANNs' smallest network, to see the published layout give the published numbers."""

    def __init__(self):
        super().__init__()
        self.bn0 = nn.BatchNorm2D(64)
        for index, (before, after) in enumerate([(1, 64), (64, 128), (128, 256), (256, 512)], start=1):
            block = nn.Layer()
            block.conv1, block.bn1 = nn.Conv2D(before, after, 5, padding=2, bias_attr=False), nn.BatchNorm2D(after)
            setattr(self, f"conv_block{index}", block)
        self.fc1, self.fc_audioset = nn.Linear(512, 512), nn.Linear(512, 527)

    def forward(self, logmel):
        x = self.bn0(logmel.transpose([0, 3, 2, 1])).transpose([0, 3, 2, 1])
        for block in (self.conv_block1, self.conv_block2, self.conv_block3, self.conv_block4):
            x = nn.functional.avg_pool2d(nn.functional.relu(block.bn1(block.conv1(x))), 2)
        x = x.mean(3)
        embedding = nn.functional.relu(self.fc1(x.max(2) + x.mean(2)))
        return embedding, nn.functional.sigmoid(self.fc_audioset(embedding))


def torch_state(classes=3, seed=0):
    random = np.random.default_rng(seed)
    shapes = {
        "spectrogram_extractor.stft.conv_real.weight": (5, 1, 8),
        "logmel_extractor.melW": (5, 2),
        "conv1.weight": (2, 1, 3, 3),
        "bn0.weight": (2,),
        "bn0.bias": (2,),
        "bn0.running_mean": (2,),
        "bn0.running_var": (2,),
        "fc1.weight": (4, 4),
        "fc1.bias": (4,),
        "fc_audioset.weight": (classes, 4),
        "fc_audioset.bias": (classes,),
    }
    state = {name: random.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()}
    return {**state, "bn0.num_batches_tracked": np.array(9, np.int64)}


def network_part(classes=3):
    return {key: value for key, value in torch_state(classes).items() if "extractor" not in key}


def values_of(layer):
    return {key: value.numpy().copy() for key, value in layer.state_dict().items()}


def safetensors_of(state):
    header, raw = {}, b""
    for name, value in state.items():
        data = np.ascontiguousarray(value).tobytes()
        kind = {"float32": "F32", "int64": "I64"}[str(value.dtype)]
        header[name] = {"dtype": kind, "shape": list(value.shape), "data_offsets": [len(raw), len(raw) + len(data)]}
        raw += data
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + raw


@pytest.fixture
def read_torch_state(write, torch_writer):
    return lambda state: read_weights(write(torch_writer().zip(state)))


@pytest.fixture
def refused(read_torch_state):
    """Load a PyTorch state that must be refused; gives what is said, having seen that the network stayed as it was."""

    def load(state, layer=None):
        layer = layer or Small()
        before = values_of(layer)
        with pytest.raises(WeightsMismatch) as caught:
            load_into(layer, read_torch_state(state), head="fc_audioset")
        for key, value in values_of(layer).items():
            np.testing.assert_array_equal(value, before[key])
        return str(caught.value)

    return load


def assert_holds(layer, state):
    found = values_of(layer)
    np.testing.assert_array_equal(found["conv1.weight"], state["conv1.weight"])
    np.testing.assert_array_equal(found["bn0._mean"], state["bn0.running_mean"])
    np.testing.assert_array_equal(found["bn0._variance"], state["bn0.running_var"])
    np.testing.assert_array_equal(found["fc1.weight"], state["fc1.weight"].T)


def test_a_torch_file_is_renamed_and_the_square_linear_is_transposed(read_torch_state):
    layer, state = Small(), torch_state()
    report = load_into(layer, read_torch_state({"iteration": 7, "model": state}), head="fc_audioset")
    assert_holds(layer, state)
    np.testing.assert_array_equal(layer.fc_audioset.weight.numpy(), state["fc_audioset.weight"].T)
    front_end = ("spectrogram_extractor.stft.conv_real.weight", "logmel_extractor.melW")
    assert report.dropped == (*front_end, "bn0.num_batches_tracked")
    assert str(report) == "9 tensors loaded (original PANNs), 3 not needed; head kept"


def test_the_weights_of_a_network_that_is_one_linear_are_transposed(read_torch_state):
    weight = np.arange(4, dtype=np.float32).reshape(2, 2)
    found = read_torch_state({"weight": weight, "bias": weight[0]})
    np.testing.assert_array_equal(to_paddle(found, nn.Linear(2, 2))["weight"], weight.T)


def test_the_original_cnn6_gives_its_own_numbers_in_paddle(shared):
    layer = Cnn6()
    layer.eval()
    report = load_into(layer, read_weights(shared / "golden" / "Cnn6_golden.pth"), head="fc_audioset")
    assert (report.loaded, report.head, len(report.dropped)) == (28, "kept", 8)
    with np.load(shared / "golden" / "Cnn6_golden.npz") as golden, paddle.no_grad():
        embedding, output = layer(paddle.to_tensor(golden["logmel"][:, None]))
        np.testing.assert_allclose(embedding.numpy(), golden["embedding"], atol=2e-4)
        np.testing.assert_allclose(output.numpy(), golden["clipwise_output"], atol=1e-5)


def test_a_head_of_another_number_of_classes_is_remade_and_said(read_torch_state):
    layer = Small(classes=10)
    fresh = layer.fc_audioset.weight.numpy().copy()
    report = load_into(layer, read_torch_state(torch_state(classes=527)), head="fc_audioset")
    assert report.head == "remade (527 -> 10 classes)"
    assert report.dropped[-2:] == ("fc_audioset.weight", "fc_audioset.bias")
    assert_holds(layer, torch_state(classes=527))
    np.testing.assert_array_equal(layer.fc_audioset.weight.numpy(), fresh)


def test_a_file_without_a_head_leaves_a_fresh_one_and_says_so(read_torch_state):
    state = {key: value for key, value in torch_state().items() if "fc_audioset" not in key}
    assert load_into(Small(10), read_torch_state(state), head="fc_audioset").head == "remade (none -> 10 classes)"


def test_half_a_head_is_refused(refused):
    state = torch_state()
    del state["fc_audioset.bias"]
    assert "missing: 1: fc_audioset.bias" in refused(state)


def test_a_head_on_other_features_is_refused(refused):
    said = refused({**torch_state(), "fc_audioset.weight": np.zeros((3, 5), np.float32)})
    assert "fc_audioset.weight float32[5, 3], float32[4, 3]" in said


LAYOUTS = {
    "original PANNs": torch_state(),
    "bare keys": network_part(),
    "original PANNs, module.-prefixed": {f"module.{key}": value for key, value in torch_state().items()},
}
WRAPPED = {
    "transfer template (base.*, head fc_transfer)": ("base.", "fc_transfer"),
    "PaddleHub fine-tuned (cnn14.*, head fc)": ("cnn14.", "fc"),
    "PaddleHub fine-tuned (cnn10.*, head fc)": ("cnn10.", "fc"),
    "PaddleHub fine-tuned (cnn6.*, head fc)": ("cnn6.", "fc"),
    "PaddleSpeech fine-tuned (backbone.*, head fc)": ("backbone.", "fc"),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_layout_without_a_wrapping_is_recognised_and_loaded(read_torch_state, layout):
    layer, found = Small(), read_torch_state(LAYOUTS[layout])
    assert found.layout == layout
    load_into(layer, found, head="fc_audioset")
    assert_holds(layer, torch_state())


@pytest.mark.parametrize("other", ["more.weight", "base.fc_transfer.weight"])
def test_keys_that_are_not_all_of_one_wrapping_stay_as_they_are(read_torch_state, other):
    state = {"base.fc1.weight": np.zeros(1), "fc_transfer.weight": np.zeros(1), other: np.zeros(1)}
    found = read_torch_state(state)
    assert (found.layout, set(found.state)) == ("bare keys", set(state))


@pytest.mark.parametrize("layout", WRAPPED)
@pytest.mark.parametrize("has_inner_head", [True, False])
def test_the_head_of_a_wrapping_becomes_the_head(tmp_path, layout, has_inner_head):
    prefix, head = WRAPPED[layout]
    source, tuned = Small(527), nn.Linear(4, 5)
    state = {prefix + key: value for key, value in source.state_dict().items() if has_inner_head or "audio" not in key}
    state |= {f"{head}.{key}": value for key, value in tuned.state_dict().items()}
    paddle.save(state, str(tmp_path / "x.pdparams"))
    found = read_weights(tmp_path / "x.pdparams")
    assert found.layout == layout
    layer = Small(5)
    report = load_into(layer, found, head="fc_audioset")
    assert report.head == "kept"
    assert report.dropped == (("fc_audioset.weight", "fc_audioset.bias") if has_inner_head else ())
    np.testing.assert_array_equal(layer.fc_audioset.weight.numpy(), tuned.weight.numpy())
    np.testing.assert_array_equal(layer.fc1.weight.numpy(), source.fc1.weight.numpy())


def test_the_head_of_the_transfer_template_in_pytorch_is_transposed(read_torch_state):
    state = {f"module.base.{key}": value for key, value in torch_state(527).items()}
    state["module.fc_transfer.weight"] = np.arange(16, dtype=np.float32).reshape(4, 4)
    state["module.fc_transfer.bias"] = np.zeros(4, np.float32)
    layer, found = Small(4), read_torch_state({"model": state})
    assert found.layout == "transfer template (base.*, head fc_transfer), module.-prefixed"
    assert load_into(layer, found, head="fc_audioset").head == "kept"
    np.testing.assert_array_equal(layer.fc_audioset.weight.numpy(), np.arange(16.0).reshape(4, 4).T)


def test_a_wrapping_s_head_of_other_classes_is_remade_and_its_own_name_reported(read_torch_state):
    state = {f"base.{key}": value for key, value in network_part(527).items()}
    state |= {"fc_transfer.weight": np.zeros((50, 4), np.float32), "fc_transfer.bias": np.zeros(50, np.float32)}
    report = load_into(Small(10), read_torch_state(state), head="fc_audioset")
    assert report.head == "remade (50 -> 10 classes)"
    assert {"fc_audioset.weight", "fc_transfer.weight"} <= set(report.dropped)


def test_a_network_whose_own_head_is_called_fc_takes_it_as_it_is(read_torch_state):
    class Net(nn.Layer):
        def __init__(self):
            super().__init__()
            self.fc = nn.Linear(2, 2)

    layer, weight = Net(), np.arange(4, dtype=np.float32).reshape(2, 2)
    report = load_into(layer, read_torch_state({"fc.weight": weight, "fc.bias": weight[0]}), head="fc")
    assert (report.head, report.loaded) == ("kept", 2)
    np.testing.assert_array_equal(layer.fc.weight.numpy(), weight.T)


def test_safetensors_follow_the_names_of_batch_norm(write):
    state, layer = network_part(), Small()
    load_into(layer, read_weights(write(safetensors_of(state))), head="fc_audioset")
    assert_holds(layer, state)
    again = Small()
    load_into(again, read_weights(write(safetensors_of(values_of(layer)))), head="fc_audioset")
    assert_holds(again, state)


def test_safetensors_without_batch_norm_are_refused_when_linear_weights_depend_on_it(write):
    found = read_weights(write(safetensors_of({"weight": np.zeros((2, 2), np.float32)})))
    with pytest.raises(WeightsMismatch, match=r": unclear whether its Linear weights are \(out, in\) or \(in, out\)"):
        to_paddle(found, nn.Linear(2, 2))


def test_what_is_missing_left_over_or_of_another_shape_is_listed_with_counts(refused):
    state = {key: value for key, value in torch_state().items() if key != "conv1.weight"}
    state |= {f"more.{index}": np.zeros(1, np.float32) for index in range(7)}
    state["fc1.weight"] = np.zeros((4, 6), np.float32)
    state["bn0.bias"] = np.zeros(2, np.int64)
    said = refused(state)
    assert "weights.bin (original PANNs) does not fit the network" in said
    assert "missing: 1: conv1.weight" in said
    assert "unexpected: 7: more.0; more.1; more.2; more.3; more.4, and 2 more" in said
    assert "bn0.bias int64[2], float32[2]; fc1.weight float32[6, 4], float32[4, 4]" in said


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_not_finite_are_refused_by_name(refused, value):
    assert "in: 1: fc1.bias" in refused({**torch_state(), "fc1.bias": np.array([0, 1, value, 2], np.float32)})


def test_a_value_too_large_for_the_type_of_the_parameter_is_refused(refused):
    assert "in: 1: fc1.bias" in refused({**torch_state(), "fc1.bias": np.full(4, 1e300)})


@pytest.mark.parametrize("kind", ["float16", "float64"])
def test_other_floats_are_cast_to_the_type_of_the_parameter(read_torch_state, kind):
    layer, state = Small(), {**torch_state(), "fc1.bias": np.array([0.5, 1, -2, 4], kind)}
    load_into(layer, read_torch_state(state), head="fc_audioset")
    assert layer.fc1.bias.dtype == paddle.float32
    assert layer.fc1.bias.numpy().tolist() == [0.5, 1, -2, 4]


def test_a_network_in_bfloat16_takes_float32_weights(read_torch_state):
    layer = Small()
    layer.to(dtype="bfloat16")
    load_into(layer, read_torch_state({**torch_state(), "fc1.bias": np.array([0.5, 1, -2, 4])}), head="fc_audioset")
    assert layer.fc1.bias.astype("float32").numpy().tolist() == [0.5, 1, -2, 4]


def test_a_head_that_the_network_does_not_have_is_refused(read_torch_state):
    with pytest.raises(WeightsMismatch, match="no parameters under its head 'classifier'"):
        load_into(Small(), read_torch_state(torch_state()), head="classifier")


def test_a_statistic_under_two_names_is_refused(refused):
    assert "'bn0._mean' under two names" in refused({**torch_state(), "bn0._mean": np.zeros(2, np.float32)})


def test_what_a_network_says_it_does_not_need_is_left_out_and_counted(read_torch_state):
    needless = {"old_head.weight": np.ones((7, 4), np.float32), "old_head.bias": np.ones(7, np.float32)}
    layer = Small()
    weight_file = read_torch_state({**torch_state(), **needless})
    with pytest.raises(WeightsMismatch, match=r"unexpected: 2: old_head\.weight"):
        load_into(layer, weight_file, head="fc_audioset")
    layer.not_needed = ("old_head",)
    report = load_into(layer, weight_file, head="fc_audioset")
    assert {"old_head.weight", "old_head.bias"} <= set(report.dropped)
    assert_holds(layer, torch_state())


def test_what_only_begins_like_something_not_needed_is_still_left_over(read_torch_state):
    layer = Small()
    layer.not_needed = ("old",)
    with pytest.raises(WeightsMismatch, match="unexpected: 1: older"):
        load_into(layer, read_torch_state({**torch_state(), "older": np.ones(1, np.float32)}), head="fc_audioset")


PREFIXES = ["net.", "model.", "module.", "_orig_mod.", "model.net.", "module._orig_mod.model.net."]


@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize("state", [torch_state(), network_part()], ids=["original", "bare"])
def test_any_prefix_of_all_names_is_removed_and_said(read_torch_state, prefix, state):
    layer = Small()
    found = read_torch_state({"state_dict": {prefix + key: value for key, value in state.items()}})
    report = load_into(layer, found, head="fc_audioset")
    assert_holds(layer, torch_state())
    assert report.head == "kept"
    assert "".join(part.split("-prefixed")[0] for part in report.layout.split(", ")[1:]) == prefix


def test_a_prefix_before_the_layout_of_a_wrapping_is_removed(read_torch_state):
    state = {f"net.base.{key}": value for key, value in network_part(527).items()}
    state |= {"net.fc_transfer.weight": np.zeros((3, 4), np.float32), "net.fc_transfer.bias": np.zeros(3, np.float32)}
    layer = Small()
    report = load_into(layer, read_torch_state(state), head="fc_audioset")
    assert (report.head, report.layout) == ("kept", "transfer template (base.*, head fc_transfer), net.-prefixed")
    assert_holds(layer, torch_state())


def test_what_stands_beside_the_prefix_of_a_network_is_left_out_and_counted(read_torch_state):
    state = {f"net.{key}": value for key, value in network_part().items()}
    layer = Small()
    report = load_into(layer, read_torch_state({**state, "loss.weight": np.ones(3, np.float32)}), head="fc_audioset")
    assert report.layout == "bare keys, net.-prefixed, 1 beside the prefix"
    assert_holds(layer, torch_state())


def test_a_sub_layer_that_holds_all_names_of_a_file_is_no_prefix(read_torch_state):
    class Net(nn.Layer):
        def __init__(self):
            super().__init__()
            self.features = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
            self.head = nn.Linear(2, 3)

    weight = np.arange(4, dtype=np.float32).reshape(2, 2)
    backbone = {
        f"features.{n}.{key}": value for n in (0, 1) for key, value in (("weight", weight), ("bias", weight[0]))
    }
    for prefix in ("", "net."):
        layer = Net()
        found = read_torch_state({prefix + key: value for key, value in backbone.items()})
        assert load_into(layer, found, head="head").loaded == 4
        np.testing.assert_array_equal(layer.features[1].weight.numpy(), weight.T)


def test_weights_of_another_network_keep_their_names_in_the_refusal(refused):
    assert "unexpected: 1: net.other.weight" in refused({"net.other.weight": np.zeros((2, 2), np.float32)})
    state = {"net.conv1.weight": np.zeros((2, 1, 3, 3), np.float32), "net.other.weight": np.zeros(1, np.float32)}
    assert "unexpected: 2: net.conv1.weight; net.other.weight" in refused(state)


@pytest.mark.parametrize("name", ["model", "state_dict", "model_state_dict", "state_dict_ema", "model_ema"])
def test_weights_inside_a_checkpoint_are_found_and_what_is_not_used_is_said(read_torch_state, name):
    optimizer = {"state": {0: {"exp_avg": np.zeros(2, np.float32)}}, "param_groups": [{"step": 1}]}
    found = read_torch_state({"epoch": 3, "optimizer": optimizer, name: network_part()})
    assert found.layout == "bare keys; not used: optimizer"
    layer = Small()
    load_into(layer, found, head="fc_audioset")
    assert_holds(layer, torch_state())


def test_averages_beside_the_weights_are_not_used_and_said(read_torch_state):
    averages = {key: np.asarray(value + 1) for key, value in network_part().items()}
    found = read_torch_state({"model_ema": averages, "state_dict_ema": averages, "state_dict": network_part()})
    assert found.layout == "bare keys; not used: model_ema, state_dict_ema"
    layer = Small()
    load_into(layer, found, head="fc_audioset")
    assert_holds(layer, torch_state())


def test_shapes_alone_are_matched_and_never_loaded(write, torch_writer):
    path = write(torch_writer().zip({"model": torch_state()}))
    shapes, layer = read_shapes(path), Small()
    assert matched(layer, shapes, "fc_audioset")[2].head == "kept"
    with pytest.raises(ValueError, match="only the shapes of"):
        load_into(layer, shapes, head="fc_audioset")
