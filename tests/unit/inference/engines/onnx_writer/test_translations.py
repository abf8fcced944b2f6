"""Each operator that has a translation computes in onnxruntime what it computes in Paddle."""

import numpy as np
import paddle
import paddle.nn.functional as F
import pytest
from paddle import nn

from pannsdist.contracts.network import Network
from pannsdist.inference.engines.graph import CannotCompile, save_graph
from pannsdist.inference.engines.onnx_runtime import load_onnx
from pannsdist.inference.engines.output_layer import OutputLayer


class Formula(OutputLayer):
    """A function of the waveform (B, S), and the layers that it uses."""

    def __init__(self, function, *layers):
        super().__init__(Network(nn.Identity(), nn.LayerList(layers)), "scores", multi_label=True)
        self.function = function

    def forward(self, waveform):
        return self.function(waveform, *self.network.model)


def written(function, layers, folder):
    from onnx import checker, load_from_string

    from pannsdist.inference.engines.onnx_writer.writer import onnx_bytes

    layer = Formula(function, *layers)
    layer.eval()
    content = onnx_bytes(save_graph(layer, folder))
    checker.check_model(load_from_string(content), full_check=True)
    return layer, content


def agrees(function, layers, folder, shapes=((1, 64), (3, 160)), tolerance=2e-6):
    """Dynamic mode and onnxruntime give the same, whatever the batch and the length."""
    paddle.seed(0)
    layer, content = written(function, layers, folder)
    run = load_onnx(content)
    for shape in shapes:
        waveform = np.random.default_rng(1).normal(0, 2, shape).astype(np.float32)
        expected = layer(paddle.to_tensor(waveform)).numpy()
        found = run(waveform)
        assert found.dtype == expected.dtype
        np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance * max(1.0, np.abs(expected).max()))


def image(x, channels=4):
    """(B, S) -> (B, channels, T, 4)."""
    return x.reshape([0, channels, -1, 4])


def whole(x):
    """Some integers, negative ones and 0 among them."""
    return (x * 3).cast("int64")


def frames(x):
    """(B, S) -> (B, T, 8)."""
    return x.reshape([0, -1, 8])


FUNCTIONS = {
    "abs": paddle.abs,
    "ceil_floor": lambda x: paddle.ceil(x) + 2 * paddle.floor(x),
    "trigonometry": lambda x: x.cos() + x.sin() + x.tanh(),
    "erf": paddle.erf,
    "log": lambda x: paddle.log(x.abs() + 1) + paddle.log2(x.abs() + 1) + paddle.log1p(x.abs()),
    "exponential": lambda x: x.exp() + paddle.log10(x.abs() + 1) + F.sigmoid(x),
    "round": lambda x: paddle.round(x * 4),
    "sign": lambda x: paddle.sign(x) + paddle.sign(whole(x)).cast("float32"),
    "softsign": F.softsign,
    "reciprocal": lambda x: paddle.reciprocal(x.abs() + 1) + paddle.rsqrt(x.abs() + 1),
    "powers": lambda x: x.square() + x.abs() ** 1.5 + x.abs() ** x + 2.0**x,
    "an_integer_scaled": lambda x: (whole(x) * 3 - 1).cast("float32"),
    "bias_before_scale": lambda x: paddle.scale(x, 2.0, 3.0, bias_after_scale=False),
    "scaled_by_a_scalar": lambda x: x / paddle.shape(x)[1] + x.mean() * x,
    "clip": lambda x: paddle.clip(x, -0.5, 1.0) + paddle.clip(whole(x), min=1).cast("float32"),
    "extremes": lambda x: paddle.maximum(x, x * 2) + paddle.minimum(whole(x), whole(-x)).cast("float32"),
    "floor_divide": lambda x: paddle.floor_divide(whole(x), paddle.full([1], 4, "int64")).cast("float32"),
    "floor_divide_of_numbers": lambda x: paddle.floor_divide(x, paddle.full([1], -0.75)),
    "remainder": lambda x: paddle.remainder(whole(x), paddle.full([1], -4, "int64")).cast("float32"),
    "remainder_of_numbers": lambda x: paddle.remainder(x, paddle.full([1], 0.75)),
    "comparisons": lambda x: sum(
        (found.cast("float32") * 2**n for n, found in enumerate((x > 0, x >= 1, x < -1, x <= -2)))
    ),
    "equality": lambda x: (whole(x) == 2).cast("float32") + 2 * (whole(x) != 3).cast("float32"),
    "logic": lambda x: (
        paddle.logical_and(x > 0, x < 1).cast("float32")
        + 2 * paddle.logical_or(x > 0, paddle.logical_not(x < 1)).cast("float32")
        + 4 * paddle.logical_xor(x > 0, x > 1).cast("float32")
    ),
    "where": lambda x: paddle.where(x > 0, x, -3 * x),
    "masked_fill": lambda x: frames(x).masked_fill(frames(x) > 0, 0.5),
    "not_numbers": lambda x: (
        sum(found(paddle.log(x)).cast("float32") for found in (paddle.isnan, paddle.isfinite))
        + paddle.isinf(1 / paddle.floor(x)).cast("float32")
    ),
    "add_n": lambda x: paddle.add_n([x, 2 * x, x.abs()]),
    "gelu": lambda x: F.gelu(x) + 2 * F.gelu(x, approximate=True),
    "swish": lambda x: F.silu(x) + F.swish(x) + F.mish(x),
    "softplus": lambda x: F.softplus(x, beta=2) + F.log_sigmoid(20 * x),
    "hard": lambda x: F.hardswish(x) + F.hardsigmoid(x) + F.hardtanh(x, -0.3, 0.7) + F.relu6(4 * x),
    "elu": lambda x: F.elu(x, 0.7) + F.celu(x, 0.7) + F.selu(x) + F.leaky_relu(x, 0.2) + F.relu(x),
    "softmax": lambda x: F.softmax(image(x), axis=1) + F.log_softmax(image(x), axis=2),
    "means": lambda x: image(x).mean([2, 3]) + image(x).mean(),
    "sums": lambda x: image(x).sum([1, -1]).mean(1, keepdim=True) + image(x).sum() + (x > 0).sum().cast("float32"),
    "largest": lambda x: image(x).max([2, 3]) + image(x).min(axis=-1).amax(2) + image(x).amin([2, 3]),
    "product": lambda x: (frames(x) / 2).prod(-1),
    "logsumexp": lambda x: paddle.logsumexp(image(x), [2, 3]) + paddle.logsumexp(30 * x),
    "any_all": lambda x: (frames(x) > 2).any(-1).cast("float32") + (frames(x) > -2).all(-1).cast("float32"),
    "norms": lambda x: F.normalize(frames(x), axis=-1) + paddle.linalg.norm(frames(x), p=1, axis=-1, keepdim=True),
    "variance": lambda x: frames(x).std(-1) + frames(x).var(-1, unbiased=False),
    "argmax": lambda x: frames(x).argmax(-1).cast("float32") + image(x).argmax(1, dtype="int32").cast("float32").sum(),
    "topk": lambda x: frames(x).topk(3)[0] + frames(x).topk(3, largest=False)[1].cast("float32"),
    "cumsum": lambda x: paddle.cumsum(x, 1) + paddle.cumsum(x).reshape(paddle.shape(x)),
    "flatten": lambda x: image(x).flatten(1, 2).flatten(-2) + image(x).flatten().sum(),
    "flatten_the_front": lambda x: image(x).flatten(0, 1),
    "unsqueeze": lambda x: (x.unsqueeze([1, 1]) + x.unsqueeze(-1).unsqueeze([0, -1]).sum()).squeeze([1, 2]),
    "squeeze": lambda x: image(x).unsqueeze([1, 3]).squeeze([1, 2, 3]),
    "squeeze_open_sizes": lambda x: x[:, :1].unsqueeze(2).mean(0, keepdim=True).squeeze([1, 2]),
    "transpose": lambda x: image(x).transpose([2, 0, 3, 1]) + image(x).sum(),
    "concat": lambda x: paddle.concat([image(x), image(x)[:, :, :1], 2 * image(x)], axis=2),
    "stack": lambda x: paddle.stack([x, 2 * x, x.abs()], axis=1),
    "slices": lambda x: image(x)[:, 1, 1:-1, ::2] + image(x)[:, -2:, 2:, 1::2].mean(1),
    "slices_to_an_open_end": lambda x: x[:, : paddle.shape(x)[1] // 3] + x[:, 3:4] + x[:, 5].unsqueeze(1),
    "an_open_end": lambda x: x[:, : paddle.shape(x)[1] // 3 - 1],
    "flip": lambda x: image(x).flip([2, 3]),
    "roll": lambda x: paddle.roll(image(x), [3, -1], [2, 3]),
    "unbind": lambda x: sum(part * n for n, part in enumerate(image(x).unbind(3))),
    "split": lambda x: paddle.concat(paddle.split(image(x), [1, -1, 2], axis=1)[::-1], axis=1),
    "split_evenly": lambda x: paddle.concat(image(x).chunk(2, axis=3)[::-1], axis=3),
    "expand": lambda x: (
        x.unsqueeze(1).expand([-1, 3, -1]) + x[:, :1].expand([paddle.shape(x)[0], paddle.shape(x)[1]]).unsqueeze(1)
    ),
    "expand_as": lambda x: x[:, :1].expand_as(x),
    "tile": lambda x: x.tile([2, 1, 3]) + x.unsqueeze(2).tile([3]).sum(),
    "gather": lambda x: paddle.gather(x, paddle.to_tensor([3, 1, 1]), axis=1),
    "index_select": lambda x: paddle.index_select(image(x), paddle.arange(2), axis=3),
    "take_along_axis": lambda x: paddle.take_along_axis(x, x.argmax(1, keepdim=True), 1),
    "sizes": lambda x: x / float(2) * paddle.numel(x).cast("float32") + paddle.shape(image(x)).sum().cast("float32"),
    "pixel_shuffle": lambda x: F.pixel_shuffle(image(x), 2),
    "triangles": lambda x: paddle.tril(image(x)[:, :, :4]) - 2 * paddle.triu(image(x)[:, :, :4], 1),
    "constants": lambda x: (
        x[:, :3] + paddle.to_tensor([1.5, 2.5, -4.0]) + paddle.ones([1, 3]) + paddle.full_like(x, 7).sum()
    ),
    "ranges": lambda x: paddle.arange(paddle.shape(x)[1]).cast("float32") + x + paddle.zeros([paddle.shape(x)[0], 1]),
    "a_range_of_numbers": lambda x: paddle.arange(0.0, 3.2, 0.2) + x.mean(),
    "matmul": lambda x: frames(x) @ frames(x).transpose([0, 2, 1]),
    "matmul_transposed": lambda x: (
        paddle.matmul(frames(x), frames(x), transpose_x=True)
        + paddle.matmul(frames(x), frames(x), transpose_y=True).mean()
    ),
    "bmm": lambda x: paddle.bmm(frames(x), frames(x).transpose([0, 2, 1])),
    "einsum": lambda x: paddle.einsum("btc,bsc->bts", frames(x), frames(x)),
    "pad_reflect": lambda x: F.pad(x.unsqueeze(1), [5, 7], mode="reflect", data_format="NCL"),
    "pad_constant": lambda x: F.pad(image(x), [1, 2, 0, 3], value=-2.5),
    "pad_channels_last": lambda x: F.pad(frames(x), [3, 1], value=1.5, data_format="NLC"),
    "pad_replicate": lambda x: F.pad(image(x), [1, 2, 0, 3], mode="replicate"),
    "pad_every_axis": lambda x: F.pad(x, [0, 0, 2, 1], value=1.5),
    "average_pool": lambda x: F.avg_pool2d(image(x), [3, 2], [2, 2], [1, 0]),
    "average_pool_with_padding": lambda x: F.avg_pool2d(image(x), [3, 2], [2, 2], [1, 0], exclusive=False),
    "max_pool": lambda x: F.max_pool2d(image(x), [3, 2], [1, 2], [1, 0]),
    "pool_1d": lambda x: F.avg_pool1d(x.unsqueeze(1), 5, 3) + F.max_pool1d(x.unsqueeze(1), 5, 3),
    "pool_same": lambda x: F.max_pool2d(image(x), 3, 2, padding="SAME") + F.avg_pool2d(image(x), 3, 2, padding="SAME"),
    "pool_to_one": lambda x: F.adaptive_avg_pool2d(image(x), 1) + F.adaptive_max_pool2d(image(x), 1),
    "pool_to_two": lambda x: F.adaptive_avg_pool2d(image(x), [1, 2]) - F.adaptive_max_pool2d(image(x), [1, 2]),
    "interpolate": lambda x: F.interpolate(image(x), scale_factor=[2, 3]),
    "interpolate_to_a_size": lambda x: F.interpolate(image(x), size=[9, 7], mode="nearest"),
    "interpolate_linearly": lambda x: (
        F.interpolate(x.unsqueeze(1), scale_factor=2, mode="linear", data_format="NCW")
        + F.interpolate(x.unsqueeze(1), scale_factor=2, mode="linear", data_format="NCW", align_mode=1)
    ),
    "interpolate_corners": lambda x: F.interpolate(image(x), size=[9, 7], mode="bilinear", align_corners=True),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_computes_the_same(name, tmp_path):
    agrees(FUNCTIONS[name], [], tmp_path)


def attention(x, layer):
    return layer(frames(x))


def on_image(x, layer):
    return layer(image(x))


def on_line(x, layer):
    return layer(x.unsqueeze(1))


def last_states(x, layer):
    outputs, states = layer(frames(x))
    states = states if isinstance(states, tuple) else (states,)
    return outputs.mean() + sum(state.transpose([1, 0, 2]) * (n + 1) for n, state in enumerate(states))


LAYERS = {
    "conv1d": (on_line, lambda: nn.Conv1D(1, 3, 5, stride=2, padding=2, dilation=2)),
    "conv2d": (on_image, lambda: nn.Conv2D(4, 6, 3, stride=[1, 2], padding=[0, 2, 1, 0], groups=2)),
    "depthwise": (on_image, lambda: nn.Conv2D(4, 4, 3, padding=1, groups=4, bias_attr=False)),
    "conv_same": (on_image, lambda: nn.Conv2D(4, 2, 4, stride=2, padding="SAME")),
    "conv_valid": (on_image, lambda: nn.Conv2D(4, 2, 2, padding="VALID")),
    "conv3d": (lambda x, layer: layer(image(x).unsqueeze(1)), lambda: nn.Conv3D(1, 2, 2)),
    "conv_transpose": (on_image, lambda: nn.Conv2DTranspose(4, 2, 3, stride=2, padding=1, output_padding=1)),
    "depthwise_transpose": (on_image, lambda: nn.Conv2DTranspose(4, 4, 3, stride=2, groups=4)),
    "batch_norm": (on_image, lambda: nn.BatchNorm2D(4, epsilon=0.1)),
    "batch_norm_without_weights": (on_image, lambda: nn.BatchNorm2D(4, weight_attr=False, bias_attr=False)),
    "layer_norm": (lambda x, layer: layer(frames(x)), lambda: nn.LayerNorm(8)),
    "layer_norm_of_two_axes": (lambda x, layer: layer(x.reshape([0, -1, 4, 4])), lambda: nn.LayerNorm([4, 4])),
    "layer_norm_without_weights": (
        lambda x, layer: layer(frames(x)),
        lambda: nn.LayerNorm(8, weight_attr=False, bias_attr=False),
    ),
    "group_norm": (on_image, lambda: nn.GroupNorm(2, 4)),
    "instance_norm": (on_image, lambda: nn.InstanceNorm2D(4)),
    "prelu": (on_image, lambda: nn.PReLU(4)),
    "dropout": (on_image, lambda: nn.Dropout(0.3)),
    "dropout_that_scales": (on_image, lambda: nn.Dropout(0.3, mode="downscale_in_infer")),
    "embedding": (lambda x, layer: layer(whole(x).clip(0, 4)), lambda: nn.Embedding(5, 3)),
    "attention": (attention, lambda: nn.MultiHeadAttention(8, 2)),
    "transformer": (attention, lambda: nn.TransformerEncoderLayer(8, 2, 16)),
    "lstm": (last_states, lambda: nn.LSTM(8, 5)),
    "lstm_both_ways": (last_states, lambda: nn.LSTM(8, 5, num_layers=2, direction="bidirect")),
    "gru": (last_states, lambda: nn.GRU(8, 5, num_layers=2)),
    "gru_both_ways": (lambda x, layer: layer(frames(x))[0], lambda: nn.GRU(8, 5, direction="bidirect")),
    "recurrent": (last_states, lambda: nn.SimpleRNN(8, 5, num_layers=2)),
    "recurrent_relu": (last_states, lambda: nn.SimpleRNN(8, 5, activation="relu", direction="bidirect")),
}


@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_computes_the_same(name, tmp_path):
    function, make = LAYERS[name]
    paddle.seed(0)
    layer = make()
    for number, parameter in enumerate((*layer.parameters(), *layer.buffers())):  # none at its default
        if parameter.dtype != paddle.float32:
            continue
        values = np.random.default_rng(number).uniform(0.2, 0.8, parameter.shape)
        parameter.set_value(values.astype(np.float32))
    agrees(function, [layer], tmp_path, tolerance=5e-6)


REFUSED = {
    "stft": (lambda x: paddle.fft.rfft(x).abs(), "fft_r2c"),
    "circular": (lambda x: F.pad(x.unsqueeze(1), [5, 7], mode="circular", data_format="NCL"), "pad3d in this form: "),
    "ceil": (lambda x: F.avg_pool2d(image(x), 3, ceil_mode=True), "pool2d in this form: ceil_mode is True"),
    "squeeze": (
        lambda x: x.squeeze(),
        "squeeze in this form: it removes every axis of size 1, and some sizes are open",
    ),
    "windows": (lambda x: F.adaptive_avg_pool2d(image(x), 3), "pool2d in this form: 3 windows of an axis of size open"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_has_no_translation_is_refused_by_name_with_what_works(name, tmp_path):
    function, operator = REFUSED[name]
    with pytest.raises(CannotCompile, match=f"no translation of the operator {operator}") as caught:
        written(function, [], tmp_path)
    assert caught.value.command == "use --engine paddle, or export --format paddle"
