"""A stream of samples is cut into windows, in constant memory."""

import numpy as np
import pytest

from pannsdist.audio.windows import sliding_windows


def cut(waveform, parts, window, hop, min_samples=4):
    blocks = np.array_split(waveform.astype(np.float32), parts)
    return list(sliding_windows(blocks, window, hop, min_samples))


@pytest.mark.parametrize("parts", [1, 2, 5, 30])
@pytest.mark.parametrize(
    ("samples", "hop", "starts"),
    [
        (8, 4, [0, 4]),
        (9, 4, [0, 4, 5]),
        (13, 4, [0, 4, 8, 9]),
        (5, 4, [0, 1]),
        (4, 4, [0]),
        (9, 2, [0, 2, 4, 5]),
        (8, 3, [0, 3, 4]),
    ],
)
def test_windows_follow_at_every_hop_and_the_last_ends_with_the_sound(samples, hop, starts, parts):
    waveform = np.arange(samples)
    found = cut(waveform, parts, 4, hop)
    assert [(window.first, window.end) for window in found] == [(start, start + 4) for start in starts]
    for window in found:
        assert window.waveform.tolist() == waveform[window.first : window.end].tolist()


@pytest.mark.parametrize("samples", [1, 3])
def test_a_shorter_sound_is_padded_with_silence(samples):
    (window,) = cut(np.ones(samples), 1, 4, 4)
    assert (window.first, window.end) == (0, samples)
    assert window.waveform.tolist() == [1.0] * samples + [0.0] * (4 - samples)


def test_a_shorter_sound_is_padded_to_the_minimum_only():
    assert [window.waveform.tolist() for window in cut(np.ones(3), 1, 6, 6, min_samples=4)] == [[1.0, 1.0, 1.0, 0.0]]
    assert [window.waveform.tolist() for window in cut(np.ones(5), 1, 6, 6, min_samples=4)] == [[1.0] * 5]
