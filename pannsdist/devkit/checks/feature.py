"""What a feature keeps to."""

from __future__ import annotations

import json
import tempfile
from dataclasses import asdict
from pathlib import Path

import numpy as np
import paddle
from paddle import nn

from pannsdist.contracts import FrontEnd
from pannsdist.contracts.network import Network
from pannsdist.devkit.checking import Check, Cost, Subject, require
from pannsdist.inference.engines.graph import save_graph
from pannsdist.inference.engines.output_layer import SCORES, OutputLayer
from pannsdist.inference.engines.paddle_inference import load_paddle

TOLERANCE = 1e-5
"""Of the largest absolute value of an image: what another order of additions may change."""


def its_front_end_says_what_it_computes(subject: Subject) -> str:
    """Two of it say the same, and a model folder can hold it."""
    front_end = subject.opened().front_end
    require(isinstance(front_end, FrontEnd), f"front_end is a {type(front_end).__name__}")
    require(front_end == subject.opened().front_end, "two of it with the same params say different things")
    require_storable(front_end)
    return f"{front_end.kind}, {front_end.sample_rate_hz} Hz, {front_end.bins} bins"


def its_image_has_the_bins_and_the_hop_that_it_says(subject: Subject) -> str:
    """(B, S) to (B, 1, T, F)."""
    feature = subject.opened()
    front_end, layer, samples = feature.front_end, feature.build(), _samples(subject)
    shape = list(layer(noise(2, samples)).shape)
    require(len(shape) == 4 and shape[:2] == [2, 1], f"(2, {samples}) becomes {shape}: (B, 1, T, F) is wanted")
    require(shape[3] == front_end.bins, f"{shape[3]} bins, but it says {front_end.bins}")
    longer = layer(noise(2, samples + 10 * front_end.hop_samples)).shape
    further = longer[2] - shape[2]
    require(further == 10, f"ten hops more give {further} frames more")
    whole = samples / front_end.hop_samples
    lost = (front_end.window_samples + front_end.fft_samples) / front_end.hop_samples
    require(whole - lost - 1 <= shape[2] <= whole + 1, f"{samples} samples give {shape[2]} frames, {whole:.1f} hops")
    return f"{samples} samples: {shape[2]} frames of {shape[3]} bins"


def its_image_is_float32(subject: Subject) -> str:
    """As the waveform is."""
    image = subject.opened().build()(noise(1, _samples(subject)))
    require(image.dtype == paddle.float32, f"it is {image.dtype}")
    return "float32"


def silence_and_full_scale_stay_finite(subject: Subject) -> str:
    """No logarithm of nothing, no overflow."""
    samples = _samples(subject)
    square = np.sign(np.sin(np.arange(samples) / 9)).astype(np.float32)
    sounds = np.stack([np.zeros(samples, np.float32), np.ones(samples, np.float32), square, -square])
    image = subject.opened().build()(paddle.to_tensor(sounds)).numpy()
    for row, name in enumerate(("silence", "a constant", "full scale", "full scale")):
        require(np.isfinite(image[row]).all(), f"{name} gives NaN or infinite values")
    return f"{image.min():.3g} to {image.max():.3g}"


def a_clip_gets_the_same_image_alone_and_in_a_batch(subject: Subject) -> str:
    """Nothing of one clip goes into another's image."""
    layer, sounds = subject.opened().build(), noise(3, _samples(subject))
    together = layer(sounds).numpy()
    require(np.array_equal(layer(sounds).numpy(), together), "the same batch gets another image the second time")
    alone = np.concatenate([layer(sounds[row : row + 1]).numpy() for row in range(3)])
    return close(alone, together, "alone and in a batch")


def training_does_not_change_what_it_computes(subject: Subject) -> str:
    """What is drawn at random belongs to an augmentation."""
    layer, sounds = subject.opened().build(), noise(2, _samples(subject))
    layer.train()
    training = layer(sounds).numpy()
    layer.eval()
    require(np.array_equal(layer(sounds).numpy(), training), "train() and eval() give different images")
    return "train() and eval() alike"


def two_of_it_compute_the_same(subject: Subject) -> str:
    """Equal params, equal numbers."""
    sounds = noise(1, _samples(subject))
    first, second = (subject.opened().build()(sounds).numpy() for _ in range(2))
    require(np.array_equal(first, second), "two of it with the same params give different images")
    return "built twice"


def it_has_nothing_to_train_and_nothing_to_save(subject: Subject) -> str:
    """A model folder holds no weights of a feature."""
    layer = subject.opened().build()
    trainable = [name for name, parameter in layer.named_parameters() if not parameter.stop_gradient]
    require(not trainable, f"trainable: {', '.join(trainable)}")
    saved = list(layer.state_dict())
    require(not saved, f"persistable: {', '.join(saved)}; register_buffer(..., persistable=False)")
    return "no parameters, no persistable buffers"


def as_a_static_graph_it_computes_the_same(subject: Subject) -> str:
    """What `pannsdist export` and the compiled engine need."""
    feature, samples = subject.opened(), _samples(subject)
    asked = _Image(Network(feature.build(), nn.Identity()))
    return same_as_graph(asked, ((1, samples), (3, samples + 4001)))


class _Image(OutputLayer):
    """(B, S) -> (B, 1, T, F). A weight of 1 goes with it: Paddle 2.6 opens no graph without any."""

    def __init__(self, network: Network) -> None:
        super().__init__(network, SCORES, multi_label=True)
        self.one = self.create_parameter([1], default_initializer=nn.initializer.Constant(1.0))

    def forward(self, waveform: paddle.Tensor) -> paddle.Tensor:
        """The image itself."""
        return self.network.feature(waveform) * self.one


def same_as_graph(asked: OutputLayer, shapes: tuple[tuple[int, int], ...]) -> str:
    """Require that the saved graph answers what the layer does, for waveforms of these shapes."""
    asked.eval()
    with tempfile.TemporaryDirectory() as folder:
        run = load_paddle(save_graph(asked, Path(folder)))
        said = ""
        for shape in shapes:
            waveforms = np.random.default_rng(0).normal(0, 0.1, shape).astype(np.float32)
            with paddle.no_grad():
                expected = asked(paddle.to_tensor(waveforms)).numpy()
            said = close(run(waveforms), expected, "the graph and the layer", 10 * TOLERANCE)
    return said


def close(found: np.ndarray, expected: np.ndarray, what: str, tolerance: float = TOLERANCE) -> str:
    """Require that two arrays are the same but for rounding; says how far they are apart."""
    require(found.shape == expected.shape, f"{what}: {found.shape} and {expected.shape}")
    largest = max(1.0, float(np.abs(expected).max()))
    apart = float(np.abs(found - expected).max())
    allowed = tolerance * largest
    require(apart <= allowed, f"{what} are {apart:.3g} apart, allowed is {allowed:.3g}")
    return f"{apart:.2g} apart at most, of {largest:.3g}"


def require_storable(front_end: FrontEnd) -> None:
    """Require that a front end comes back from JSON, and that its details are in order."""
    content = json.loads(json.dumps(asdict(front_end)))
    details = tuple((name, value) for name, value in content.pop("details"))
    require(FrontEnd(**content, details=details) == front_end, "its front end is another behind a model folder")
    require(list(front_end.details) == sorted(front_end.details), "the details of its front end are not sorted")


def noise(clips: int, samples: int, seed: int = 0) -> paddle.Tensor:
    """Noise of different loudness in each clip: (B, S)."""
    loudness = np.linspace(0.02, 0.3, clips)[:, None]
    drawn = np.random.default_rng(seed).normal(size=(clips, samples))
    return paddle.to_tensor((loudness * drawn).astype(np.float32))


def _samples(subject: Subject) -> int:
    """A length that every window of it fits into several times."""
    front_end = subject.opened().front_end
    samples: int = max(8000, 4 * max(front_end.window_samples, front_end.fft_samples))
    return samples


CHECKS = (
    Check(its_front_end_says_what_it_computes),
    Check(its_image_has_the_bins_and_the_hop_that_it_says, Cost.COMPUTES),
    Check(its_image_is_float32, Cost.COMPUTES),
    Check(silence_and_full_scale_stay_finite, Cost.COMPUTES),
    Check(a_clip_gets_the_same_image_alone_and_in_a_batch, Cost.COMPUTES),
    Check(training_does_not_change_what_it_computes, Cost.COMPUTES),
    Check(two_of_it_compute_the_same, Cost.COMPUTES),
    Check(it_has_nothing_to_train_and_nothing_to_save, Cost.COMPUTES),
    Check(as_a_static_graph_it_computes_the_same, Cost.COMPUTES),
)
