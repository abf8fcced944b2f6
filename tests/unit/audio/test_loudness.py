"""Samples that no network may get are refused wherever a sound is read; unusual levels are remarked on."""

import numpy as np
import pytest
import soundfile

from pannsdist.audio.clip_reader import ClipReader
from pannsdist.audio.inspection import inspect
from pannsdist.audio.loudness import (
    CLIPPED_LEVEL,
    FULL_SCALE_LIMIT,
    OFFSET,
    OVER,
    QUIET_PEAK,
    SILENT_PEAK,
    LevelMeter,
    refusal,
)
from pannsdist.audio.reader import Recording
from pannsdist.audio.sounds import mono_blocks
from pannsdist.contracts import Clip
from pannsdist.runtime.errors import BadClip

RATE_HZ = 8000
NOISE = np.random.default_rng(0).uniform(-0.5, 0.5, RATE_HZ).astype(np.float32)
STEREO = np.stack([NOISE, NOISE[::-1]], axis=1)


def write(path, samples, rate_hz=RATE_HZ):
    soundfile.write(path, samples, rate_hz, subtype="FLOAT")
    return path


def remarks(samples, rate_hz=RATE_HZ, model_rate_hz=RATE_HZ):
    meter = LevelMeter()
    list(mono_blocks(Recording("a", np.asarray(samples, np.float32), rate_hz), model_rate_hz, meter))
    return meter.remarks()


REFUSED = {
    "int16 as float": (NOISE * 32768, "its samples reach 16383.*divide those of 16 bits by 32768"),
    "int8 as float": (NOISE * 128, "integers stored as floats"),
    "int32 as float": (NOISE * 2.0**31, "integers stored as floats"),
    "one channel of int16": (np.stack([NOISE, NOISE * 32768], axis=1), "integers stored as floats"),
    "opposite channels of int16": (np.stack([NOISE, -NOISE], axis=1) * 32768, "integers stored as floats"),
    "NaN": (np.append(NOISE, np.nan), "NaN or infinite"),
    "infinite": (np.append(NOISE, -np.inf), "NaN or infinite"),
    "NaN in one channel": (np.stack([NOISE, np.full_like(NOISE, np.nan)], axis=1), "NaN or infinite"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_check_training_and_inference_refuse_the_same_samples(tmp_path, kind):
    samples, says = REFUSED[kind]
    path = write(tmp_path / "a.wav", samples)
    clip = Clip("a", path, ())
    with pytest.raises(BadClip, match=says):
        ClipReader(RATE_HZ, 2 * RATE_HZ).read(clip, None)
    with pytest.raises(BadClip, match=says):
        list(mono_blocks(path, RATE_HZ))
    (facts,) = inspect((clip,), RATE_HZ)
    assert facts.error == refusal_of(clip)


def refusal_of(clip):
    with pytest.raises(BadClip) as caught:
        ClipReader(RATE_HZ, 2 * RATE_HZ).read(clip, None)
    return caught.value.wrong


def test_the_limit_itself_is_accepted_and_what_is_just_above_it_is_not():
    assert refusal(np.array([0.0, -FULL_SCALE_LIMIT])) == ""
    assert refusal(np.array([0.0, -np.nextafter(FULL_SCALE_LIMIT, 17)])) != ""
    assert refusal(np.zeros((0, 2))) == ""


@pytest.mark.parametrize(
    ("samples", "says"),
    [
        (np.stack([NOISE, -NOISE], axis=1), ("its channels cancel each other",)),
        (np.stack([NOISE, -0.9 * NOISE], axis=1), ("its channels cancel each other",)),
        (np.stack([NOISE, NOISE * 0], axis=1), ("channel 2 of 2 is silent",)),
        (np.zeros_like(NOISE), ("it is silent",)),
        (np.zeros_like(STEREO), ("it is silent",)),
        (NOISE * 1e-3, ("it is very quiet: its peak is -66 dB of full scale",)),
        (NOISE * 10, ("its peak is 5, and full scale is 1",)),
        (NOISE + 0.3, ("it has an offset of 0.3 of full scale",)),
        (NOISE - 0.3, ("it has an offset of 0.3 of full scale",)),
        (np.stack([NOISE, -NOISE], axis=1) * 1e-4, ("it is silent",)),
        (np.clip(NOISE * 3, -1, 1), ("34% of its samples are clipped",)),
    ],
)
def test_unusual_levels_are_remarked_on(samples, says):
    found = remarks(samples)
    assert len(found) == len(says)
    for remark, start in zip(found, says, strict=True):
        assert remark.startswith(start)


def test_sounds_as_they_mostly_are_get_no_remark(shared):
    for samples in (NOISE, STEREO, NOISE * 0.01, np.stack([NOISE, 0.3 * NOISE], axis=1), NOISE + 0.02):
        assert remarks(samples) == ()
    for path in sorted((shared / "data" / "ESC-10" / "audio").glob("*.ogg"))[:10]:
        meter = LevelMeter()
        list(mono_blocks(path, 32000, meter))
        assert [remark for remark in meter.remarks() if "clipped" not in remark] == [], path


def test_a_sound_above_the_range_of_the_network_becomes_silence():
    ultrasound = np.sin(2 * np.pi * 20000 * np.arange(96000) / 96000)
    (remark,) = remarks(ultrasound * np.hanning(96000), 96000, 16000)
    assert remark.startswith("its sound is above half of the network's sample rate")


@pytest.mark.parametrize(
    ("level", "kind"), [(SILENT_PEAK, "very quiet"), (QUIET_PEAK, ""), (OVER, ""), (CLIPPED_LEVEL, "clipped")]
)
def test_the_edges_of_the_levels(level, kind):
    """At the edge itself: not silent any more, not quiet any more, not over yet, clipped already."""
    samples = np.tile(np.array([level, -level]), 100)
    meter = LevelMeter()
    meter.add_channels(samples[:, None], samples)
    meter.add_output(samples)
    found = [remark for remark in meter.remarks() if "clipped" not in remark or level <= 1]
    assert [kind in remark for remark in found] == [True] * bool(kind)
    assert meter.is_silent is False


def test_an_offset_counts_from_its_limit_on():
    for offset, counts in ((OFFSET, 1), (np.nextafter(OFFSET, 0), 0)):
        meter = LevelMeter()
        meter.add_channels(np.full((64, 1), offset), np.full(64, offset))
        meter.add_output(np.full(64, offset))
        assert len(meter.remarks()) == counts


def test_blocks_are_measured_as_one_sound():
    whole, parts = LevelMeter(), LevelMeter()
    whole.add_channels(STEREO, STEREO.mean(axis=1))
    for first in range(0, RATE_HZ, 777):
        block = STEREO[first : first + 777]
        parts.add_channels(block, block.mean(axis=1))
    for meter in (whole, parts):
        meter.add_output(NOISE)
    assert whole.remarks() == parts.remarks() == ()
    parts.add_channels(np.stack([NOISE, -NOISE], axis=1) * 30, 0 * NOISE)
    assert parts.remarks()[0].startswith("its channels cancel")


def metered(samples):
    meter = LevelMeter()
    meter.add_channels(samples, samples.mean(axis=1))
    meter.add_output(samples.mean(axis=1))
    return meter.remarks()


def test_the_edges_of_clipping_silent_channels_and_cancellation():
    for clipped, counts in ((1, 0), (2, 1)):
        samples = np.full((100, 1), 0.5)
        samples[:clipped] = -1.0
        samples[clipped:50] = -0.5
        assert len(metered(samples)) == counts
    for level, counts in ((SILENT_PEAK, 0), (np.nextafter(SILENT_PEAK, 0), 1)):
        assert len(metered(np.stack([np.tile([0.5, -0.5], 50), np.tile([level, -level], 50)], axis=1))) == counts
    for second, counts in ((-0.8, 0), (-0.85, 1)):
        assert len(metered(np.outer(np.tile([0.5, -0.5], 50), [1.0, second]))) == counts
