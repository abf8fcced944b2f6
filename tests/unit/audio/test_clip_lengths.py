"""The lengths of clips from segments, headers and samples, without decoding."""

import os
from dataclasses import dataclass

import numpy as np
import pytest
import soundfile
from small_parts import tone_clips

from pannsdist.audio.clip_lengths import length_s, sampled_lengths
from pannsdist.contracts import Clip, Samples

RATE_HZ = 8000


def sound(path, seconds=0.5, rate_hz=RATE_HZ):
    soundfile.write(path, np.zeros((round(seconds * rate_hz), 2), np.float32), rate_hz)
    return path


def length(source, **segment):
    return length_s(Clip("a", source, (), **segment))


@pytest.mark.parametrize("ending", ["wav", "flac", "ogg", "mp3"])
def test_the_header_of_a_file_gives_its_length(tmp_path, ending):
    assert length(sound(tmp_path / f"a.{ending}", 0.75, 16000)) == pytest.approx(0.75, abs=0.01)
    assert length(tmp_path / f"a.{ending}", start_s=0.5) == pytest.approx(0.25, abs=0.01)


def test_a_segment_needs_no_file_and_samples_need_not_be_made(tmp_path):
    assert length(tmp_path / "absent.wav", start_s=3.0, duration_s=0.25) == 0.25
    assert length(Samples(np.zeros(4000, np.float32), RATE_HZ)) == 0.5
    assert length(Samples(np.zeros((4000, 2), np.float32), RATE_HZ), start_s=0.25) == 0.25


@dataclass(frozen=True)
class Source:
    """Fails where it is read."""

    duration_s: object

    def samples(self):
        raise AssertionError("the samples were made")


@pytest.mark.parametrize("stated", [None, 0, -1.0, float("nan"), float("inf"), "2 s", np.zeros(2)])
def test_a_source_is_not_read_for_its_length(stated):
    assert length(Source(2.5)) == 2.5
    assert length(Source(stated)) is None


def test_what_cannot_be_read_has_no_length_and_is_counted(tmp_path):
    (tmp_path / "empty.wav").touch()
    (tmp_path / "text.wav").write_text("no sound")
    (tmp_path / "samples.raw").write_bytes(bytes(4000))
    (tmp_path / "folder.wav").mkdir()
    os.mkfifo(tmp_path / "pipe.wav")  # opening it would wait for a writer
    sound(tmp_path / "broken.wav")
    (tmp_path / "broken.wav").write_bytes((tmp_path / "broken.wav").read_bytes()[:20])
    names = ("empty.wav", "text.wav", "samples.raw", "folder.wav", "pipe.wav", "broken.wav", "absent.wav", "a\0.wav")
    clips = [Clip(name, tmp_path / name, ()) for name in names]
    assert [length_s(clip) for clip in clips] == [None] * len(names)
    found = sampled_lengths([*clips, Clip("ok", sound(tmp_path / "ok.wav"), ()), Clip("unknown", Source(None), ())], 0)
    assert (found.seconds.tolist(), found.sampled, found.clips, found.unreadable) == ([0.5], 10, 10, 8)


def test_a_header_that_does_not_know_its_length_gives_none(tmp_path):
    path = sound(tmp_path / "a.flac")
    content = bytearray(path.read_bytes())
    content[21] &= 0xF0  # the number of samples of STREAMINFO: 36 bits behind rate, channels and depth
    content[22:26] = bytes(4)
    path.write_bytes(content)
    assert length(path) is None


def test_the_sample_is_bounded_and_drawn_by_the_seed():
    clips = [clip for seconds in (0.25, 0.5) for clip in tone_clips(40, seconds)]
    few = sampled_lengths(clips, seed=1, at_most=20)
    assert (len(few.seconds), few.sampled, few.clips) == (20, 20, 80)
    assert set(few.seconds) == {0.25, 0.5}
    assert few.seconds.tolist() == sampled_lengths(clips, seed=1, at_most=20).seconds.tolist()
    orders = {tuple(sampled_lengths(clips, seed, at_most=20).seconds) for seed in range(5)}
    assert len(orders) > 1
    assert sampled_lengths(clips, 0).sampled == 80
