"""A sound file of any length as windows, in constant memory."""

import numpy as np
import pytest
import soundfile

from pannsdist.audio import stream
from pannsdist.audio.decode import Piece, to_mono
from pannsdist.runtime.errors import BadClip


def cut(waveform, parts, window, hop, shortest=4):
    pieces = np.array_split(waveform.astype(np.float32), parts)
    return list(stream.windows(pieces, window, hop, shortest))


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
def test_a_shorter_sound_is_followed_by_silence(samples):
    (window,) = cut(np.ones(samples), 1, 4, 4)
    assert (window.first, window.end) == (0, samples)
    assert window.waveform.tolist() == [1.0] * samples + [0.0] * (4 - samples)


def test_a_shorter_sound_is_followed_by_no_more_silence_than_is_asked_for():
    assert [window.waveform.tolist() for window in cut(np.ones(3), 1, 6, 6, shortest=4)] == [[1.0, 1.0, 1.0, 0.0]]
    assert [window.waveform.tolist() for window in cut(np.ones(5), 1, 6, 6, shortest=4)] == [[1.0] * 5]


@pytest.mark.parametrize(("rate_hz", "channels"), [(32000, 1), (44100, 1), (8000, 2), (48000, 3)])
def test_blocks_put_together_are_the_file_resampled_as_a_whole(tmp_path, monkeypatch, rate_hz, channels):
    samples = np.random.default_rng(0).uniform(-0.5, 0.5, (2 * rate_hz, channels)).astype(np.float32)
    soundfile.write(tmp_path / "a.wav", samples, rate_hz, subtype="FLOAT")
    monkeypatch.setattr(stream, "BLOCK_S", 0.37)
    parts = list(stream.blocks(tmp_path / "a.wav", 32000))
    assert len(parts) > 5
    np.testing.assert_allclose(np.concatenate(parts), to_mono(Piece(samples, rate_hz), 32000), atol=1e-7)


def test_what_is_no_sound_is_refused_by_its_path(tmp_path):
    (tmp_path / "text.wav").write_text("words", encoding="utf-8")
    soundfile.write(tmp_path / "empty.wav", np.zeros(0), 32000)
    soundfile.write(tmp_path / "nan.wav", np.array([0.0, np.nan]), 32000, subtype="FLOAT")
    for name, why in (("text", "no sound"), ("empty", "no samples"), ("nan", "NaN"), ("gone", "no such file")):
        with pytest.raises(BadClip, match=f"{name}.wav.*{why}"):
            list(stream.blocks(tmp_path / f"{name}.wav", 32000))


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16])
@pytest.mark.parametrize(("rate_hz", "channels"), [(32000, None), (44100, None), (8000, 2), (22050.5, 1)])
def test_a_recording_in_memory_is_heard_as_a_file_of_it(monkeypatch, rate_hz, channels, dtype):
    shape = (round(rate_hz),) if channels is None else (round(rate_hz), channels)
    samples = np.random.default_rng(0).uniform(-0.5, 0.5, shape).astype(dtype)
    monkeypatch.setattr(stream, "BLOCK_S", 0.37)
    parts = list(stream.blocks(stream.Recording("a", samples, rate_hz), 32000))
    assert len(parts) >= 3
    assert {part.dtype for part in parts} == {np.dtype(np.float32)}
    whole = to_mono(Piece(samples.astype(np.float32).reshape(len(samples), -1), rate_hz), 32000)
    np.testing.assert_allclose(np.concatenate(parts), whole, atol=1e-6 if dtype != np.float16 else 1e-3)


def test_a_recording_that_cannot_be_heard_is_refused_by_its_name():
    for samples, why in ((np.zeros(0), "no samples"), (np.zeros((0, 2)), "no samples"), (np.array([np.inf]), "NaN or")):
        with pytest.raises(BadClip, match=rf"clip 'sounds\[4\]' \(in memory\): it holds {why}"):
            list(stream.blocks(stream.Recording("sounds[4]", samples, 8000), 8000))


def test_the_duration_of_a_sound_is_known_before_it_is_heard(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.zeros((500, 2)), 1000)
    assert stream.duration_s(tmp_path / "a.wav") == 0.5
    assert stream.duration_s(stream.Recording("a", np.zeros((500, 2)), 1000)) == 0.5
    with pytest.raises(BadClip, match="no such file"):
        stream.duration_s(tmp_path / "gone.wav")


@pytest.mark.parametrize("parts", [1, 3, 20])
@pytest.mark.parametrize(
    ("samples", "spans"),
    [
        (3, [(0, 3)]),
        (8, [(0, 8)]),
        (9, [(0, 8), (5, 9)]),
        (13, [(0, 8), (5, 13)]),
        (14, [(0, 8), (5, 13), (10, 14)]),
    ],
)
def test_stretches_begin_at_multiples_of_the_hop_and_the_last_is_what_is_left(samples, spans, parts):
    waveform = np.arange(samples, dtype=np.float32)
    found = list(stream.stretches(np.array_split(waveform, parts), 8, 5))
    assert [(window.first, window.end) for window in found] == spans
    for window in found:
        assert window.waveform.tolist() == waveform[window.first : window.end].tolist()
