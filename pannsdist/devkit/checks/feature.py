"""Conformance checks of features."""

from __future__ import annotations

import json
from dataclasses import asdict

import numpy as np
import paddle
from paddle import nn

from pannsdist.contracts import FrontEnd
from pannsdist.contracts.network import Network, evaluation_mode, training_mode
from pannsdist.devkit.checking import Check, Cost, Subject, require
from pannsdist.inference.engines.graph import save_graph
from pannsdist.inference.engines.output_layer import SCORES, OutputLayer
from pannsdist.inference.engines.paddle_inference import load_paddle
from pannsdist.runtime import storage

TOLERANCE = 1e-5
"""Relative to the largest absolute value of the output: rounding from another order of additions."""


def its_front_end_is_stable_and_serializable(subject: Subject) -> str:
    """Equal for instances with equal params, and it survives a JSON round trip."""
    front_end = subject.plugin().front_end
    require(isinstance(front_end, FrontEnd), f"front_end is a {type(front_end).__name__}")
    require(front_end == subject.plugin().front_end, "two instances with the same params have different front ends")
    require_storable(front_end)
    return f"{front_end.kind}, {front_end.sample_rate_hz} Hz, {front_end.bins} bins"


def its_output_has_the_declared_bins_and_hop(subject: Subject) -> str:
    """(B, S) -> (B, 1, T, F)."""
    feature = subject.plugin()
    front_end, layer, samples = feature.front_end, feature.build(), _samples(subject)
    shape = list(layer(noise(2, samples)).shape)
    require(len(shape) == 4 and shape[:2] == [2, 1], f"(2, {samples}) becomes {shape}, expected (B, 1, T, F)")
    require(shape[3] == front_end.bins, f"{shape[3]} bins, but its front end has {front_end.bins}")
    longer = layer(noise(2, samples + 10 * front_end.hop_samples)).shape
    added = longer[2] - shape[2]
    require(added == 10, f"ten more hops give {added} more frames")
    hops = samples / front_end.hop_samples
    edge = (front_end.window_samples + front_end.fft_samples) / front_end.hop_samples
    require(hops - edge - 1 <= shape[2] <= hops + 1, f"{samples} samples give {shape[2]} frames, {hops:.1f} hops")
    return f"{samples} samples: {shape[2]} frames of {shape[3]} bins"


def its_output_is_float32(subject: Subject) -> str:
    """Like the waveform."""
    output = subject.plugin().build()(noise(1, _samples(subject)))
    require(output.dtype == paddle.float32, f"it is {output.dtype}")
    return "float32"


def silence_and_full_scale_stay_finite(subject: Subject) -> str:
    """No logarithm of zero, no overflow."""
    samples = _samples(subject)
    square = np.sign(np.sin(np.arange(samples) / 9)).astype(np.float32)
    waveforms = np.stack([np.zeros(samples, np.float32), np.ones(samples, np.float32), square, -square])
    output = subject.plugin().build()(paddle.to_tensor(waveforms)).numpy()
    for row, name in enumerate(("silence", "a constant", "full scale", "full scale")):
        require(np.isfinite(output[row]).all(), f"{name} gives NaN or infinite values")
    return f"{output.min():.3g} to {output.max():.3g}"


def its_output_does_not_depend_on_the_batch(subject: Subject) -> str:
    """No clip influences the output of another."""
    layer, waveforms = subject.plugin().build(), noise(3, _samples(subject))
    batched = layer(waveforms).numpy()
    require(
        np.array_equal(layer(waveforms).numpy(), batched), "the same batch gives a different output the second time"
    )
    single = np.concatenate([layer(waveforms[row : row + 1]).numpy() for row in range(3)])
    return close(single, batched, "outputs for single clips and for the batch")


def train_and_eval_mode_give_the_same_output(subject: Subject) -> str:
    """Randomness belongs in augmentations."""
    layer, waveforms = subject.plugin().build(), noise(2, _samples(subject))
    with training_mode(layer):
        training = layer(waveforms).numpy()
    with evaluation_mode(layer):
        evaluated = layer(waveforms).numpy()
    require(np.array_equal(evaluated, training), "train() and eval() give different outputs")
    return "train() and eval() are equal"


def two_instances_give_the_same_output(subject: Subject) -> str:
    """Equal params give equal values."""
    waveforms = noise(1, _samples(subject))
    first, second = (subject.plugin().build()(waveforms).numpy() for _ in range(2))
    require(np.array_equal(first, second), "two instances with the same params give different outputs")
    return "built twice"


def it_has_no_parameters_and_no_persistent_buffers(subject: Subject) -> str:
    """A model folder does not store feature weights."""
    layer = subject.plugin().build()
    trainable = [name for name, parameter in layer.named_parameters() if not parameter.stop_gradient]
    require(not trainable, f"trainable parameters: {', '.join(trainable)}")
    saved = list(layer.state_dict())
    require(not saved, f"persistent: {', '.join(saved)}; use register_buffer(..., persistable=False)")
    return "no parameters, no persistent buffers"


def its_static_graph_gives_the_same_output(subject: Subject) -> str:
    """As needed by `pannsdist export` and the compiled engine."""
    feature, samples = subject.plugin(), _samples(subject)
    layer = _FeatureOutput(Network(feature.build(), nn.Identity()))
    return same_as_graph(layer, ((1, samples), (3, samples + 4001)))


class _FeatureOutput(OutputLayer):
    """(B, S) -> (B, 1, T, F), times a weight of 1, because Paddle 2.6 cannot open a graph without weights."""

    def __init__(self, network: Network) -> None:
        super().__init__(network, SCORES, multi_label=True)
        self.one = self.create_parameter([1], default_initializer=nn.initializer.Constant(1.0))

    def forward(self, waveform: paddle.Tensor) -> paddle.Tensor:
        """The feature's output."""
        return self.network.feature(waveform) * self.one


def same_as_graph(layer: OutputLayer, shapes: tuple[tuple[int, int], ...]) -> str:
    """Require that the saved graph gives the layer's outputs, for waveforms of these shapes; returns the difference."""
    with storage.temporary_folder() as folder:
        run = load_paddle(save_graph(layer, folder))
        difference = ""
        for shape in shapes:
            waveforms = np.random.default_rng(0).normal(0, 0.1, shape).astype(np.float32)
            with evaluation_mode(layer), paddle.no_grad():
                expected = layer(paddle.to_tensor(waveforms)).numpy()
            difference = close(run(waveforms), expected, "outputs of the graph and of the layer", 10 * TOLERANCE)
    return difference


def close(found: np.ndarray, expected: np.ndarray, what: str, tolerance: float = TOLERANCE) -> str:
    """Require that two arrays are equal up to rounding; returns a description of the difference."""
    require(found.shape == expected.shape, f"{what}: {found.shape} and {expected.shape}")
    largest = max(1.0, float(np.abs(expected).max()))
    difference = float(np.abs(found - expected).max())
    allowed = tolerance * largest
    require(difference <= allowed, f"{what} differ by {difference:.3g}, allowed is {allowed:.3g}")
    return f"difference {difference:.2g} at most, of {largest:.3g}"


def require_storable(front_end: FrontEnd) -> None:
    """Require that a front end survives a JSON round trip, and that its details are sorted."""
    content = json.loads(json.dumps(asdict(front_end)))
    details = tuple((name, value) for name, value in content.pop("details"))
    require(
        FrontEnd(**content, details=details) == front_end,
        "its front end changes in a JSON round trip, as through a model folder",
    )
    require(list(front_end.details) == sorted(front_end.details), "the details of its front end are not sorted")


def noise(clips: int, samples: int, seed: int = 0) -> paddle.Tensor:
    """Noise with a different level in each clip: (B, S)."""
    levels = np.linspace(0.02, 0.3, clips)[:, None]
    values = np.random.default_rng(seed).normal(size=(clips, samples))
    return paddle.to_tensor((levels * values).astype(np.float32))


def _samples(subject: Subject) -> int:
    """A length of several windows, in samples."""
    front_end = subject.plugin().front_end
    samples: int = max(8000, 4 * max(front_end.window_samples, front_end.fft_samples))
    return samples


CHECKS = (
    Check(its_front_end_is_stable_and_serializable),
    Check(its_output_has_the_declared_bins_and_hop, Cost.COMPUTES),
    Check(its_output_is_float32, Cost.COMPUTES),
    Check(silence_and_full_scale_stay_finite, Cost.COMPUTES),
    Check(its_output_does_not_depend_on_the_batch, Cost.COMPUTES),
    Check(train_and_eval_mode_give_the_same_output, Cost.COMPUTES),
    Check(two_instances_give_the_same_output, Cost.COMPUTES),
    Check(it_has_no_parameters_and_no_persistent_buffers, Cost.COMPUTES),
    Check(its_static_graph_gives_the_same_output, Cost.COMPUTES),
)
