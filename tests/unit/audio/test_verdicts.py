"""Training, the check of a dataset and inference agree about a sound file: whole, a part of it, or none."""

import os
import struct

import foreign_sounds
import numpy as np
import pytest
import sound_kinds
import soundfile

from pannsdist.audio import reader, verdicts
from pannsdist.audio.clip_reader import ClipReader
from pannsdist.audio.decoder import Decoder
from pannsdist.audio.inspection import inspect
from pannsdist.audio.sounds import mono_blocks
from pannsdist.audio.verdicts import examined, judge
from pannsdist.contracts import Clip
from pannsdist.runtime.errors import BadClip

RATE_HZ = sound_kinds.RATE_HZ


@pytest.fixture(scope="module")
def sounds(tmp_path_factory):
    """A folder of every kind; the lengths of the whole files, and the names of the others."""
    folder = tmp_path_factory.mktemp("sounds")
    lengths = sound_kinds.legal(folder)
    return folder, lengths, sound_kinds.damaged(folder)


def inferred_s(path):
    """Seconds that inference reads."""
    return sum(map(len, mono_blocks(path, 8000))) / 8000


def trained(path, crop_s):
    return ClipReader(8000, round(8000 * crop_s)).read(Clip("a", path, ()), None)


def test_every_kind_of_whole_file_has_one_length_everywhere(sounds):
    folder, lengths, _ = sounds
    assert len(lengths) >= 40
    for name, length_s in lengths.items():
        path = folder / name
        verdict = judge(path)
        assert verdict.is_whole, f"{name}: {verdict}"
        (facts,) = inspect((Clip("a", path, ()),), RATE_HZ)
        assert facts.error == ""
        assert (verdict.length_s, facts.duration_s) == (pytest.approx(length_s, abs=1e-4),) * 2, name
        assert inferred_s(path) == pytest.approx(length_s, abs=2 / 8000), name
        assert np.flatnonzero(trained(path, 2.0))[-1] / 8000 == pytest.approx(length_s, abs=0.01), name
        assert reader.duration_s(path) == verdict.length_s


def test_a_part_is_refused_in_training_wherever_the_crop_lies_and_used_for_inference_as_far_as_it_goes(sounds):
    folder, _, names = sounds
    for name in names:
        path = folder / name
        verdict = judge(path)
        assert verdict.is_readable and not verdict.is_whole, f"{name}: {verdict}"
        (facts,) = inspect((Clip("a", path, ()),), RATE_HZ)
        for crop_s in (0.05, 2.0):
            with pytest.raises(BadClip) as refused:
                trained(path, crop_s)
            assert refused.value.wrong == facts.error
        assert f"{verdict.length_s:.2f}" in facts.error and "could be read" in facts.error
        assert inferred_s(path) == pytest.approx(verdict.length_s, abs=2 / 8000), name
        assert verdict.whole_s is None or verdict.whole_s > verdict.length_s


@pytest.mark.parametrize("fraction", [0.3, 0.5, 0.9])
def test_every_place_to_cut_a_file_is_noticed(tmp_path, fraction):
    lengths = sound_kinds.legal(tmp_path)
    for name in (name for name in lengths if name.split(".")[0] in sound_kinds.CUT):
        data = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(data[: round(len(data) * fraction)])
        assert not judge(tmp_path / name).is_whole, name


def test_what_other_programs_write_has_its_verdict(tmp_path):
    for name, expected in foreign_sounds.write(tmp_path).items():
        path = tmp_path / name
        verdict, (facts,) = judge(path), inspect((Clip("a", path, ()),), RATE_HZ)
        if expected == foreign_sounds.REFUSED:
            assert facts.error and "could be read" not in facts.error, name
            assert "does not exist" not in facts.error and "nternal error" not in facts.error, name
        elif expected == foreign_sounds.PART:
            assert facts.error and "could be read" in facts.error, name
        else:
            assert (facts.error, verdict.length_s) == ("", pytest.approx(expected, abs=1e-4)), name


def test_of_what_a_cut_file_holds_and_should_hold_the_seconds_are_right(tmp_path):
    lengths = sound_kinds.legal(tmp_path)
    for form in (
        "WAV_IMA_ADPCM",
        "WAV_MS_ADPCM",
        "W64_MS_ADPCM",
        "CAF_ALAC_16",
        "AIFF_PCM_16",
        "NIST_ULAW",
        "SDS_PCM_16",
    ):
        name = next(name for name in lengths if name.startswith(f"{form}."))
        data = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(data[: len(data) * 7 // 10])
        verdict = judge(tmp_path / name)
        assert verdict.whole_s == pytest.approx(lengths[name], abs=0.01), name
        assert 0.5 < verdict.length_s / lengths[name] < 0.8, name


@pytest.mark.parametrize(
    ("form", "subtype", "lost"), [("WAV", "PCM_16", 1), ("WAV", "GSM610", 2), ("AIFF", "PCM_24", 1)]
)
def test_the_last_byte_counts_where_it_belongs_to_a_sample(tmp_path, form, subtype, lost):
    path = sound_kinds.write(tmp_path, form, subtype)
    path.write_bytes(path.read_bytes()[:-lost])
    assert not judge(path).is_whole


def test_the_given_cases(shared):
    cases = shared / "cases"
    whole = {"telephone_gsm610.wav": 1.2, "whole.w64": 1.2, "vbr_without_length.mp3": 8.0457}
    for name, length_s in whole.items():
        assert judge(cases / name).is_whole
        assert judge(cases / name).length_s == pytest.approx(length_s, abs=1e-3)
    for name in ("hole.mp3", "cut.ogg", "cut.wav"):
        assert "could be read" in str(judge(cases / name))
        with pytest.raises(BadClip, match="could be read"):
            trained(cases / name, 0.1)
    assert str(judge(cases / "cut.wav")).startswith("2.00 of 5.00 s could be read")


def test_an_mp3_whose_length_was_counted_gives_the_samples_of_its_frames(shared):
    path = shared / "cases" / "vbr_without_length.mp3"
    assert examined(path).pieces
    decoder = Decoder(path, examined(path).pieces)
    samples = decoder.read(decoder.frames + 1)
    decoder.close()
    with soundfile.SoundFile(path) as file:
        np.testing.assert_allclose(samples, file.read(len(samples), dtype="float32", always_2d=True), atol=1e-6)


def test_nothing_is_printed_on_standard_output_about_a_damaged_file(tmp_path, capfd):
    path = sound_kinds.write(tmp_path, "SDS", "PCM_16")
    data = bytearray(path.read_bytes())
    data[21 + 127 * 50] = 0
    path.write_bytes(data)
    assert str(judge(path)) == "0.12 of 0.50 s could be read (packet 51 is damaged)"
    assert inferred_s(path) == pytest.approx(0.125, abs=0.001)
    assert capfd.readouterr().out == ""


@pytest.mark.parametrize("level", [np.nan, 1000.0, -1000.0])
def test_levels_are_refused_wherever_in_the_clip_they_are(tmp_path, level):
    samples = sound_kinds.tone()
    samples[-1] = level
    soundfile.write(tmp_path / "a.wav", samples, RATE_HZ, subtype="FLOAT")
    (facts,) = inspect((Clip("a", tmp_path / "a.wav", ()),), RATE_HZ)
    with pytest.raises(BadClip) as refused:
        trained(tmp_path / "a.wav", 0.05)
    assert refused.value.wrong == facts.error
    ClipReader(8000, 400).read(Clip("a", tmp_path / "a.wav", (), 0.0, 0.25), None)  # a segment without them


def test_of_a_damaged_ogg_the_place_is_named(tmp_path):
    path = sound_kinds.write(tmp_path, "OGG", "VORBIS", sound_kinds.tone(10 * RATE_HZ))
    data = bytearray(path.read_bytes())
    data[len(data) * 3 // 4] ^= 1
    path.write_bytes(data)
    assert "it is damaged after" in str(judge(path))
    last = bytes(data).rindex(b"OggS")
    path.write_bytes(bytes(data[:last]))
    assert "could be read" in str(judge(path))


@pytest.mark.parametrize(
    ("rate_hz", "is_allowed"), [(1, 0), (999, 0), (1000, 1), (768000, 1), (768001, 0), (2**31 - 1, 0)]
)
def test_rates_have_bounds(tmp_path, rate_hz, is_allowed):
    soundfile.write(tmp_path / "a.wav", sound_kinds.tone(), RATE_HZ)
    data = (tmp_path / "a.wav").read_bytes()
    (tmp_path / "a.wav").write_bytes(data[:24] + struct.pack("<I", rate_hz) + data[28:])
    verdict = judge(tmp_path / "a.wav")
    assert verdict.is_readable == bool(is_allowed)
    if not is_allowed:
        assert verdict.fault == f"its sample rate is {rate_hz:g} Hz; allowed: 1000 to 768000 Hz"
        with pytest.raises(BadClip, match="sample rate"):
            trained(tmp_path / "a.wav", 0.1)
        with pytest.raises(BadClip, match="sample rate"):
            inferred_s(tmp_path / "a.wav")
    recording = reader.Recording("a", sound_kinds.tone(), rate_hz)
    if not is_allowed:
        with pytest.raises(BadClip, match="sample rate"):
            list(mono_blocks(recording, 8000))


@pytest.mark.parametrize(("channels", "is_allowed"), [(256, True), (257, False)])
def test_channels_have_a_bound(tmp_path, channels, is_allowed):
    soundfile.write(tmp_path / "a.wav", np.full((100, channels), 0.1), RATE_HZ)
    assert judge(tmp_path / "a.wav").is_readable == is_allowed


ERRORS = (
    ValueError,
    MemoryError,
    RuntimeError,
    OSError,
    SystemError,
    UnicodeDecodeError,
    AssertionError,
    OverflowError,
)


@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize("method", ["__init__", "read"])
def test_whatever_a_decoder_raises_the_other_files_are_read(tmp_path, monkeypatch, error, method):
    raised = error("utf-8", b"", 0, 1, "bad") if error is UnicodeDecodeError else error("bad")
    paths = [tmp_path / name for name in ("a.wav", "bad.wav", "c.wav")]
    for path in paths:
        soundfile.write(path, sound_kinds.tone(), RATE_HZ)
    original = getattr(soundfile.SoundFile, method)

    def failing(self, *args, **named):
        if "bad" in str(args[0] if method == "__init__" else self.name):
            if method == "__init__":
                self._file = None
            raise raised
        return original(self, *args, **named)

    monkeypatch.setattr(soundfile.SoundFile, method, failing)
    good, bad, other = inspect(tuple(Clip(path.name, path, ()) for path in paths), RATE_HZ)
    assert (good.error, other.error, good.duration_s) == ("", "", 0.5)
    assert "libsndfile cannot decode it" in bad.error
    with pytest.raises(BadClip, match="cannot decode"):
        inferred_s(paths[1])


@pytest.mark.parametrize("ending", ["au", "snd", "vox", "gsm", "wav", "mp3"])
def test_no_ending_makes_a_sound_of_a_text(tmp_path, ending):
    (tmp_path / f"a.{ending}").write_text("no sound at all, " * 99, encoding="utf-8")
    assert not judge(tmp_path / f"a.{ending}").is_readable


def test_a_verdict_is_remembered_until_the_file_changes(tmp_path):
    path = tmp_path / "a.wav"
    soundfile.write(path, sound_kinds.tone(), RATE_HZ)
    assert judge(path).is_whole
    before = verdicts._examined.cache_info().misses
    assert judge(path).is_whole
    assert verdicts._examined.cache_info().misses == before
    path.write_bytes(b"x" * path.stat().st_size)
    os.utime(path, ns=(0, 0))
    assert not judge(path).is_readable
    soundfile.write(path, sound_kinds.tone(), RATE_HZ)
    os.truncate(path, 2000)
    assert judge(path).is_readable and not judge(path).is_whole


def test_what_is_no_file_gets_a_verdict(tmp_path):
    os.mkfifo(tmp_path / "pipe.wav")
    (tmp_path / "empty.wav").touch()
    found = {
        "gone.wav": "there is no such file",
        "pipe.wav": "it is no regular file",
        "empty.wav": "the file is empty",
        "x" * 300: "it cannot be opened",
        "null\0.wav": "it cannot be opened",
    }
    for name, fault in found.items():
        assert judge(tmp_path / name).fault.startswith(fault)
        assert not judge(tmp_path / name).is_readable
    assert judge(tmp_path).fault == "it is a folder"
