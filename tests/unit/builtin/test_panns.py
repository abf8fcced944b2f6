"""PANNs: what they accept as an image of sound, and how much of it they need."""

from dataclasses import replace

import numpy as np
import paddle
import pytest

from pannsdist.builtin.panns import Cnn6, Cnn10, Cnn14, LogMelNetworkParams
from pannsdist.builtin.waveform import Waveform, WaveformParams

HALVINGS = {Cnn6: 4, Cnn10: 4, Cnn14: 5}
MODELS = pytest.mark.parametrize("kind", HALVINGS)


@MODELS
def test_any_image_of_sound_is_accepted_and_a_waveform_is_not(kind):
    assert kind(LogMelNetworkParams()).accepts(replace(kind.front_end, kind="mfcc"))
    assert not kind(LogMelNetworkParams()).accepts(Waveform(WaveformParams()).front_end)


@MODELS
def test_the_shortest_sound_of_another_feature_is_enough_where_nothing_is_reflected(kind):
    front_end = replace(kind.front_end, kind="mfcc", window_samples=400, hop_samples=160, fft_samples=512)
    samples = kind(LogMelNetworkParams()).minimum_samples(front_end)
    assert 1 + (samples - 512) // 160 == 2 ** HALVINGS[kind]


@MODELS
def test_the_shortest_sound_leaves_one_frame_after_pooling(kind):
    frames = 1 + kind(LogMelNetworkParams()).minimum_samples(kind.front_end) // kind.front_end.hop_samples
    assert frames == 2 ** HALVINGS[kind]


@MODELS
def test_the_shortest_sound_is_longer_than_what_is_reflected(kind):
    front_end = replace(kind.front_end, hop_samples=16)
    assert kind(LogMelNetworkParams()).minimum_samples(front_end) > front_end.fft_samples // 2


def test_whatever_is_accepted_is_heard():
    model = Cnn6(LogMelNetworkParams())
    for bins in (8, 15, 16, 17):
        front_end = replace(Cnn6.front_end, bins=bins)
        if not model.accepts(front_end):
            continue
        layer = model.build(("a", "b"), front_end)
        layer.eval()
        images = np.random.default_rng(0).normal(-30, 10, (2, 1, 16, bins)).astype(np.float32)
        with paddle.no_grad():
            first, second = layer(paddle.to_tensor(images)).numpy()
        assert np.abs(first - second).max() > 0, f"{bins} bins: every sound gets the same answer"
