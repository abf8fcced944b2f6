"""Spoken digits in many voices, made with eSpeak NG: for tests of the way from a folder of own sounds to a model.

The wheel `espeakng-loader` holds the library and its data. One process speaks; speed, pitch and the start of each word
are drawn by a seed, so that the first call of a process makes the same files in each.
"""

from __future__ import annotations

import ctypes
import importlib.util
import random
import wave
from collections.abc import Sequence
from pathlib import Path

import numpy as np

WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
ACCENTS = ("en", "en-029", "en-gb-scotland", "en-gb-x-gbclan", "en-gb-x-gbcwmd", "en-gb-x-rp", "en-us", "en-us-nyc")
"""All of English, without `en-shaw`, which is `en` for another alphabet."""
NUMBERED = (*(f"m{number}" for number in range(1, 9)), *(f"f{number}" for number in range(1, 6)))
"""eSpeak NG's own men and women. Among the named variants are whispering, croaking, robots and another synthesizer."""
TRAINED, HELD_OUT = 10, 3
SYNCHRONOUS, WITHOUT_EXIT, BLOCK = 2, 0x8000, 0
RATE, PITCH, RANGE = 1, 3, 4  # espeak_PARAMETER
UTF8 = 1


def is_installed() -> bool:
    """Whether the library can be loaded."""
    return importlib.util.find_spec("espeakng_loader") is not None


class Speaker:
    """eSpeak NG in this process; there is one state for all instances."""

    def __init__(self) -> None:
        import espeakng_loader

        self._library = ctypes.CDLL(espeakng_loader.get_library_path())
        self._pieces: list[np.ndarray] = []
        folder = str(espeakng_loader.get_data_path()).encode()
        self.rate_hz = self._library.espeak_Initialize(SYNCHRONOUS, 0, folder, WITHOUT_EXIT)
        assert self.rate_hz > 0, folder
        kind = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)
        self._keep = kind(self._collect)
        self._library.espeak_SetSynthCallback(self._keep)

    def say(self, words: str, voice: str, speed: int, pitch: int, liveliness: int) -> np.ndarray:
        """The samples (S,) of a text, float32 in [-1, 1]."""
        assert self._library.espeak_SetVoiceByName(voice.encode()) == 0, voice
        for parameter, value in ((RATE, speed), (PITCH, pitch), (RANGE, liveliness)):
            self._library.espeak_SetParameter(parameter, value, 0)
        self._pieces.clear()
        text = words.encode()
        self._library.espeak_Synth(text, len(text) + 1, 0, 1, 0, UTF8, None, None)
        return np.concatenate(self._pieces).astype(np.float32) / 32768

    def _collect(self, samples: object, count: int, _events: object) -> int:
        if samples and count:
            self._pieces.append(np.ctypeslib.as_array(samples, (count,)).copy())
        return 0


def all_variants() -> list[str]:
    """The numbered and the named variants that the wheel has."""
    import espeakng_loader

    return sorted(path.name for path in (Path(espeakng_loader.get_data_path()) / "voices" / "!v").iterdir())


def draw_voices(seed: int, variants: Sequence[str] = NUMBERED) -> tuple[list[str], list[str]]:
    """Ten voices for training and three others, drawn by a seed: accents with variants, and no variant twice.

    So a voice that is held out is no other accent of a voice that is trained on. Its accent may be among the ten.
    """
    chance = random.Random(seed)  # noqa: S311
    drawn = chance.sample(variants, TRAINED + HELD_OUT)
    voices = [f"{chance.choice(ACCENTS)}+{variant}" for variant in drawn]
    return voices[:TRAINED], voices[TRAINED:]


def speak_digits(root: Path, clips: int, voices: Sequence[str], seed: int = 0) -> list[Path]:
    """`root/DIGIT/VOICE_NUMBER.wav`: `clips` files of the ten digits in turn, each digit in every voice."""
    speaker, chance, made = Speaker(), random.Random(seed), []  # noqa: S311
    for number in range(clips):
        word, voice = WORDS[number % 10], voices[number // 10 % len(voices)]
        samples = speaker.say(word, voice, chance.randint(130, 200), chance.randint(30, 70), chance.randint(30, 70))
        path = root / word / f"{name_of(voice)}_{number:04d}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        write(path, samples, speaker.rate_hz)
        made.append(path)
    return made


def name_of(voice: str) -> str:
    """A voice in a file name: letters and digits alone."""
    return "".join(letter for letter in voice if letter.isalnum())


def write(path: Path, samples: np.ndarray, rate_hz: int) -> None:
    """Write mono samples (S,) as 16-bit WAV."""
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, rate_hz, len(samples), "NONE", ""))
        file.writeframes((np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes())
