"""The filters that a browser applies in place of soxr."""

import numpy as np
import pytest

from pannsdist.audio.chunks import resample
from pannsdist.serving.web_resampling import RATES_HZ, is_small, measured_taps

pytestmark = pytest.mark.any_paddle


def applied(found, frames, count):
    """What the definition of ResamplingTaps says: (frames,) -> (count,)."""
    padded = np.concatenate([np.zeros(found.reach), frames, np.zeros(3 * found.reach)])
    places = np.arange(count)
    first = places * found.step // found.phases + 1
    result = np.zeros(count)
    for phase in range(found.phases):
        own = places[phase :: found.phases]
        result[own] = padded[first[own, None] + np.arange(2 * found.reach)] @ found.taps[phase]
    rows, columns = found.start.shape
    beginning = np.resize(np.pad(frames, (0, max(0, columns - len(frames)))), columns)
    result[:rows] = (found.start @ beginning)[: len(result[:rows])]
    return result


@pytest.mark.parametrize("rate_hz", [32000, 16000])
@pytest.mark.parametrize("own_hz", RATES_HZ)
def test_the_filters_give_what_soxr_gives_from_the_first_sample_to_the_last(own_hz, rate_hz):
    if own_hz == rate_hz:
        assert not is_small(own_hz, rate_hz), "nothing is resampled"
        return
    found = measured_taps(own_hz, rate_hz)
    for frames in (own_hz // 3 + 7, 100):
        noise = np.random.default_rng(0).uniform(-1, 1, frames).astype(np.float32)
        expected = resample(noise, own_hz, rate_hz)
        np.testing.assert_allclose(applied(found, noise, len(expected)), expected, rtol=0, atol=2e-6)


def test_a_pair_of_rates_without_a_small_ratio_has_no_filters():
    assert not is_small(44101, 32000)
    assert is_small(11025, 32000)
