"""A sound that arrives in pieces is resampled as its chunks are, without waiting for them."""

import numpy as np
import pytest

from pannsdist.audio.arriving import Resampling
from pannsdist.audio.chunks import resample

pytestmark = pytest.mark.any_paddle


def noise(duration_s, rate_hz):
    return np.random.default_rng(0).normal(0, 0.1, round(duration_s * rate_hz)).astype(np.float32)


def pieces(samples, seed):
    """A random chunking, from single samples to two seconds."""
    rng = np.random.default_rng(seed)
    at = 0
    while at < len(samples):
        size = int(10 ** rng.uniform(0, 5))
        yield samples[at : at + size]
        at += size


@pytest.mark.parametrize(
    ("own_hz", "rate_hz", "off"), [(44100, 32000, 2e-7), (8000, 16000, 3e-7), (44101, 32000, 2e-6)]
)
def test_a_sound_is_resampled_to_the_bits_of_its_chunks_but_for_a_short_end(own_hz, rate_hz, off):
    for length_s, is_short in ((9.9, False), (10.0001, False), (12.0, True), (16.0, False), (23.5, True)):
        samples = noise(length_s, own_hz)
        whole, resampling = resample(samples, own_hz, rate_hz), Resampling(own_hz, rate_hz)
        found = np.concatenate([*map(resampling.add, pieces(samples, 3)), resampling.rest()])
        assert len(found) == len(whole)
        begin = 10 * int(length_s / 10) * rate_hz - rate_hz // 4 if is_short else len(found)
        np.testing.assert_array_equal(found[:begin], whole[:begin])
        np.testing.assert_allclose(found[begin:], whole[begin:], rtol=0, atol=off)


def test_a_rate_that_is_no_whole_number_is_one_chunk():
    samples = noise(11.0, 11025.5)
    resampling = Resampling(11025.5, 8000)
    found = np.concatenate([*map(resampling.add, pieces(samples, 4)), resampling.rest()])
    np.testing.assert_array_equal(found, resample(samples, 11025.5, 8000))


def held_back_s(own_hz, rate_hz):
    """The most of a sound that has arrived and is not out yet, in seconds."""
    resampling, out, most = Resampling(own_hz, rate_hz), 0, 0.0
    for number in range(1, 2200):
        out += len(resampling.add(np.zeros(own_hz // 100, np.float32)))
        most = max(most, number / 100 - out / rate_hz)
    return most


@pytest.mark.parametrize(
    ("own_hz", "rate_hz", "at_most_s"), [(44100, 32000, 0.03), (48000, 32000, 0.03), (8000, 32000, 0.13)]
)
def test_a_resampler_holds_back_its_filter_and_no_chunk(own_hz, rate_hz, at_most_s):
    assert held_back_s(own_hz, rate_hz) <= at_most_s
