"""Which inputs are accepted, and how others are refused by their position."""

from pathlib import Path

import numpy as np
import pytest

from pannsdist.audio.reader import Recording
from pannsdist.inference.sounds import sound_files, sources
from pannsdist.runtime.errors import UserError

NOISE = np.random.default_rng(0).normal(0, 0.1, 100)


def refusal(sounds, sample_rate_hz=None):
    with pytest.raises(UserError) as caught:
        sources(sounds, sample_rate_hz)
    return str(caught.value)


def test_the_sound_files_of_a_folder_are_found_by_name(tmp_path):
    for name in ("b.WAV", "inner/a.flac", "c.mp3", "a.ogg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "notes.txt").touch()
    (tmp_path / "odd.wav").mkdir()
    found = [str(path.relative_to(tmp_path)) for path in sound_files([tmp_path]).files]
    assert found == ["a.ogg", "b.WAV", "c.mp3", "inner/a.flac"]


def test_a_file_is_taken_whatever_it_is_called_and_in_the_order_given(tmp_path):
    for name in ("b", "a.txt"):
        (tmp_path / name).touch()
    assert sound_files([tmp_path / "b", tmp_path / "a.txt"]).files == (tmp_path / "b", tmp_path / "a.txt")


def test_a_folder_without_sounds_and_a_missing_file_are_refused(tmp_path):
    with pytest.raises(UserError, match=f"folder {tmp_path} contains no sound file\n  endings: .wav .flac "):
        sound_files([tmp_path])
    with pytest.raises(UserError, match=f"there is no file {tmp_path}/a.wav"):
        sound_files([tmp_path / "a.wav"])


def test_paths_and_arrays_stay_in_their_order_and_a_folder_becomes_its_files(tmp_path):
    for name in ("inner/b.wav", "inner/a.wav", "c.wav"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    found = sources([NOISE, str(tmp_path / "inner"), tmp_path / "c.wav", NOISE[:, None]], 8000)
    inner = tmp_path / "inner"
    assert [str(one) for one in found] == [
        *("sounds[0]", f"{inner}/a.wav", f"{inner}/b.wav"),
        *(f"{tmp_path}/c.wav", "sounds[3]"),
    ]
    assert isinstance(found[0], Recording)
    assert (found[0].rate_hz, found[0].samples.shape, found[4].samples.shape) == (8000, (100,), (100, 1))


def test_one_sound_is_a_list_of_one(tmp_path):
    (tmp_path / "a.wav").touch()
    assert sources(str(tmp_path / "a.wav"), None) == [tmp_path / "a.wav"]
    assert sources(tmp_path / "a.wav", None) == [tmp_path / "a.wav"]
    assert [one.name for one in sources(NOISE, 8000)] == ["sounds[0]"]
    assert sources([], None) == []


@pytest.mark.parametrize(
    ("sound", "says"),
    [
        (
            (NOISE * 32768).astype(np.int16),
            "sounds[1] is of dtype int16\n  give floats in [-1, 1]; divide 16-bit",
        ),
        (np.zeros((2, 2, 2)), "sounds[1] has 3 dimensions\n  give (samples,) or (samples, channels)"),
        (np.zeros((2, 800), np.float32), "sounds[1] has the shape (2, 800), with more channels than samples"),
        (NOISE.tolist(), "sounds[1] is a list\n  give paths, or numpy arrays"),
        (np.array(["a.wav"]), "sounds[1] is of dtype <U5"),
    ],
)
def test_what_is_no_sound_is_refused_by_its_place(sound, says):
    assert says in refusal([NOISE, sound], 8000)


def test_arrays_need_a_rate_and_files_none(tmp_path):
    assert "give it as sample_rate_hz=" in refusal([NOISE])
    for rate_hz in (0, -8000, float("nan"), float("inf")):
        assert refusal(NOISE, rate_hz) == f"sample_rate_hz is {rate_hz}\n  give a rate from 1000 to 768000 Hz"
    (tmp_path / "a.wav").touch()
    assert "files contain their own rate" in refusal([Path(tmp_path / "a.wav")], 8000)
