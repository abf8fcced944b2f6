"""What libsndfile does not read goes through PyAV, by the same rules: one length, one sound, one verdict."""

import struct
import sys
from fractions import Fraction

import numpy as np
import pytest
import soundfile

from pannsdist.audio.av_decoder import AvDecoder
from pannsdist.audio.clip_lengths import length_s
from pannsdist.audio.clip_reader import ClipReader
from pannsdist.audio.reader import SourceName
from pannsdist.audio.sounds import mono_blocks, open_sound
from pannsdist.audio.verdicts import examined, judge
from pannsdist.contracts import Clip, sound_files
from pannsdist.runtime.errors import BadClip

av = pytest.importorskip("av", reason="the extra av is not installed")

KINDS = {
    "aac.m4a": ("aac", 44100, "stereo"),
    "aac.mp4": ("aac", 32000, "mono"),
    "aac.aac": ("aac", 44100, "mono"),
    "alac.mov": ("alac", 44100, "stereo"),
    "opus.webm": ("libopus", 48000, "mono"),
    "flac.mkv": ("flac", 44100, "mono"),
    "pcm.mka": ("pcm_s16le", 22050, "stereo"),
    "float.mka": ("pcm_f32le", 22050, "mono"),
    "ac3.ac3": ("ac3", 48000, "stereo"),
    "mp3.avi": ("libmp3lame", 44100, "mono"),
    "aac.flv": ("aac", 44100, "mono"),
    "mp2.ts": ("mp2", 48000, "mono"),
    "mp2.mpg": ("mp2", 48000, "mono"),
    "tta.tta": ("tta", 44100, "mono"),
    "wavpack.wv": ("wavpack", 44100, "mono"),
}
"""Codec, rate in Hz and channels of each file."""
EXACT = ("alac.mov", "flac.mkv", "pcm.mka", "float.mka", "tta.tta", "wavpack.wv")
LENGTH_S = 3.0


def sound(rate_hz, seconds=LENGTH_S):
    """Noise of low pitch."""
    noise = np.random.default_rng(0).normal(0, 0.5, round(seconds * rate_hz))
    return np.convolve(noise, np.ones(32) / 32, "same").astype(np.float32)


def encode(path, codec, rate_hz, layout="mono", *, video=False, seconds=LENGTH_S):
    """Write the sound as FFmpeg does, in every channel; with `video` behind some black pictures."""
    with av.open(str(path), "w") as container:
        pictures = container.add_stream("mpeg4", rate=5, width=32, height=32, pix_fmt="yuv420p") if video else None
        stream = container.add_stream(codec, rate=rate_hz, layout=layout) if codec else None
        for number in range(10 if video else 0):
            picture = av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8))
            picture.pts, picture.time_base = number, Fraction(1, 5)
            container.mux(pictures.encode(picture))
        if video:
            container.mux(pictures.encode(None))
        if stream:
            _encode_sound(container, stream, seconds)
    return path


def _encode_sound(container, stream, seconds):
    rate_hz, layout = stream.rate, stream.layout.name
    channels = np.stack([sound(rate_hz, seconds)] * (2 if layout == "stereo" else 1))
    frame = av.AudioFrame.from_ndarray(channels, format="fltp", layout=layout)
    frame.sample_rate = rate_hz
    resampler, fifo = av.AudioResampler(stream.codec_context.format.name, layout, rate_hz), av.AudioFifo()
    for part in [*resampler.resample(frame), *resampler.resample(None)]:
        part.pts = None
        fifo.write(part)
    while part := fifo.read(stream.codec_context.frame_size or 1024, partial=True):
        container.mux(stream.encode(part))
    container.mux(stream.encode(None))


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("av")
    return {name: encode(folder / name, *how) for name, how in KINDS.items()}


def refusal(path):
    with pytest.raises(BadClip) as caught:
        ClipReader(16000, 8000).read(Clip("a", path, ()), None)
    return str(caught.value)


@pytest.mark.parametrize("name", KINDS)
def test_training_and_inference_read_the_sound(files, name):
    _, rate_hz, _ = KINDS[name]
    verdict = judge(files[name])
    assert (verdict.fault, verdict.rate_hz) == ("", rate_hz)
    assert verdict.length_s == pytest.approx(LENGTH_S, abs=0 if name in EXACT else 0.08)
    whole = np.concatenate(list(mono_blocks(files[name], rate_hz)))
    if name in EXACT:
        bits = 8 if name in ("tta.tta", "wavpack.wv") else 16
        np.testing.assert_allclose(whole, sound(rate_hz), rtol=0, atol=2.0 ** (1 - bits))
    else:  # a codec may shift the sound
        likeness = np.correlate(whole[10000:20000], sound(rate_hz)[12000:16000]) / np.square(sound(rate_hz)).sum()
        assert likeness.max() > 0.9 * 4000 / len(whole)
    crop = ClipReader(rate_hz, 8000).read(Clip("a", files[name], (), 1.0), None)
    np.testing.assert_array_equal(crop, whole[rate_hz : rate_hz + 8000])


@pytest.mark.parametrize("name", ["opus.webm", "flac.mkv", "alac.mov", "float.mka", "aac.m4a"])
def test_a_chunk_has_the_same_bits_in_every_order_and_those_of_decoding_from_the_start(tmp_path, name):
    codec, rate_hz, layout = KINDS[name]
    path = encode(tmp_path / name, codec, rate_hz, layout, seconds=34)
    whole = np.concatenate(list(mono_blocks(path, rate_hz)))
    access = examined(path).access
    assert len(access.landmarks) == (0 if codec == "aac" else 3)
    for index in (2, 0, 1):
        with open_sound(path, SourceName("a", "", ""), rate_hz) as found:
            first, end = found.chunks.bounds(index)
            np.testing.assert_array_equal(found.chunk(index), whole[first:end])
    decoder = AvDecoder(path, examined(path).form)
    for stamp in (1 << 40, 441_345):  # which no frame has
        decoder.seek(9, stamp)
        assert decoder.position == 0
    np.testing.assert_allclose(whole, decoder.read(1 << 30).mean(axis=1), rtol=0, atol=1e-6)
    decoder.close()


def test_the_length_is_known_without_decoding_where_the_file_says_it(files):
    assert length_s(Clip("a", files["aac.m4a"], ())) == pytest.approx(LENGTH_S, abs=0.05)
    assert length_s(Clip("a", files["aac.aac"], ())) is None


def test_the_sound_track_of_a_video_is_read_and_a_video_without_one_is_refused(tmp_path):
    path = encode(tmp_path / "a.mp4", "aac", 44100, video=True)
    assert judge(path).length_s == pytest.approx(LENGTH_S, abs=0.05)
    assert "it has no sound track" in refusal(encode(tmp_path / "b.mp4", "", 0, video=True))


def test_an_ending_says_nothing_the_content_does(files, tmp_path):
    (tmp_path / "a.wav").write_bytes(files["aac.m4a"].read_bytes())
    assert judge(tmp_path / "a.wav") == judge(files["aac.m4a"])
    soundfile.write(tmp_path / "b.m4a", sound(16000), 16000, format="WAV")
    assert (judge(tmp_path / "b.m4a").frames, examined(tmp_path / "b.m4a").form) == (48000, "")


@pytest.mark.parametrize("name", ["opus.webm", "flac.mkv", "pcm.mka", "wavpack.wv", "tta.tta"])
def test_a_cut_file_is_refused_in_training_and_read_in_part_in_inference(files, tmp_path, name):
    content = files[name].read_bytes()
    (tmp_path / name).write_bytes(content[: len(content) * 6 // 10])
    verdict = judge(tmp_path / name)
    assert 0.5 < verdict.length_s < 2.5
    assert verdict.fault
    assert f"{verdict.length_s:.2f} " in refusal(tmp_path / name)
    assert sum(map(len, mono_blocks(tmp_path / name, 16000))) == pytest.approx(16000 * verdict.length_s, abs=1)


def test_a_cut_file_whose_index_is_at_its_end_is_refused(files, tmp_path):
    content = files["aac.m4a"].read_bytes()
    (tmp_path / "a.m4a").write_bytes(content[: len(content) // 2])
    assert "PyAV cannot decode it (" in refusal(tmp_path / "a.m4a")


@pytest.mark.parametrize("content", ["#EXTM3U\n#EXTINF:1,\n{0}\n", "ffconcat version 1.0\nfile {0}\n"])
@pytest.mark.parametrize("ending", ["m4a", "webm", "wav"])
def test_a_list_that_names_other_files_is_no_sound(files, tmp_path, content, ending):
    (tmp_path / f"a.{ending}").write_text(content.format(files["mp2.ts"]), encoding="utf-8")
    assert "cannot decode it" in refusal(tmp_path / f"a.{ending}")


@pytest.mark.parametrize(("size", "count"), [(1, 0x7FFFFFFF), (0, 0x7FFFFFFF), (0, 5_000_000), (1, 100_000_000)])
def test_an_index_that_lies_is_refused_at_once(files, tmp_path, size, count):
    content = bytearray(files["aac.m4a"].read_bytes())
    at = content.index(b"stsz") + 8
    content[at : at + 8] = struct.pack(">II", size, count)
    (tmp_path / "a.m4a").write_bytes(content)
    assert "PyAV can" in refusal(tmp_path / "a.m4a")


def test_damaged_files_end_in_a_verdict(files, tmp_path):
    random = np.random.default_rng(0)
    for number in range(60):
        content = bytearray(files[list(KINDS)[number % len(KINDS)]].read_bytes()[:60_000])
        for place in random.integers(0, len(content) if number % 2 else 400, 12):
            content[place] = int(random.integers(256))
        (tmp_path / str(number)).write_bytes(content)
        verdict = judge(tmp_path / str(number))
        assert verdict.is_readable or verdict.fault
        assert verdict.length_s < 60


@pytest.fixture
def without_av(monkeypatch):
    """As where PyAV is not installed."""

    class WithoutAv:
        def __init__(self, finder):
            self._finder = finder

        def find_spec(self, name, *others):
            return None if name == "av" else self._finder.find_spec(name, *others)

    monkeypatch.setattr(sys, "meta_path", [WithoutAv(finder) for finder in sys.meta_path])
    monkeypatch.delitem(sys.modules, "av")
    sound_files.sound_endings.cache_clear()
    examined.__globals__["_examined"].cache_clear()
    yield
    sound_files.sound_endings.cache_clear()


@pytest.mark.usefixtures("without_av")
def test_without_pyav_the_extra_is_named(files, tmp_path):
    assert "only PyAV decodes it, which is not installed: pip install 'pannsdist[av]'" in refusal(files["aac.m4a"])
    (tmp_path / "a.m4a").write_bytes(files["aac.m4a"].read_bytes())
    (skipped,) = sound_files.find_sound_files(tmp_path).skipped
    said = "1 file(s) that PyAV would read (a.m4a); pip install 'pannsdist[av]', or convert: ffmpeg"
    assert str(skipped).startswith(said)


def test_with_pyav_its_endings_count_as_sounds(tmp_path):
    for name in ("a.m4a", "b.WEBM", "c.mov", "d.txt", "e.dsf"):
        (tmp_path / name).touch()
    assert [path.name for path in sound_files.find_sound_files(tmp_path).files] == ["a.m4a", "b.WEBM", "c.mov"]
