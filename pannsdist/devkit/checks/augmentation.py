"""What an augmentation keeps to."""

from __future__ import annotations

import dataclasses
import random

import numpy as np

from pannsdist.devkit.checking import Check, Subject, require
from pannsdist.devkit.checks.plugin import travelled

RATES_HZ = (8000, 32000, 44100)


def it_has_a_probability(subject: Subject) -> str:
    """The share of the clips that are given to it: a param from 0 to 1."""
    fields = {item.name: item for item in dataclasses.fields(subject.plugin_class.Params)}
    require("probability" in fields, "Params has no field `probability`")
    default = fields["probability"].default
    require(isinstance(default, float) and 0.0 <= default <= 1.0, f"probability is {default!r} by itself")
    return f"{default} by itself"


def it_gives_as_many_finite_float32_samples_as_it_got(subject: Subject) -> str:
    """(S,) to (S,), at any rate."""
    augmentation = subject.opened()
    for rate_hz in RATES_HZ:
        given = _noise(rate_hz // 2)
        made = augmentation(given, rate_hz, np.random.default_rng(1))
        require(made.shape == given.shape, f"{given.shape} at {rate_hz} Hz becomes {made.shape}")
        require(made.dtype == np.float32, f"float32 becomes {made.dtype}")
        require(np.isfinite(made).all(), f"NaN or infinite samples at {rate_hz} Hz")
    return ", ".join(f"{rate_hz} Hz" for rate_hz in RATES_HZ)


def silence_full_scale_and_a_single_sample_stay_finite(subject: Subject) -> str:
    """The clips that break a logarithm or a division."""
    augmentation = subject.opened()
    sounds = {
        "silence": np.zeros(8000, np.float32),
        "full scale": np.where(np.arange(8000) // 20 % 2, 1, -1).astype(np.float32),
        "a single sample": np.full(1, 0.5, np.float32),
    }
    for name, sound in sounds.items():
        made = augmentation(sound, 16000, np.random.default_rng(0))
        require(made.shape == sound.shape, f"{name} becomes {made.shape}")
        require(np.isfinite(made).all(), f"{name} becomes NaN or infinite")
    return ", ".join(sounds)


def one_generator_gives_one_result_here_and_in_a_worker(subject: Subject) -> str:
    """Nothing is remembered from one clip to the next."""
    augmentation, rate_hz, given = subject.opened(), 32000, _noise(16000)
    workers = travelled(augmentation)
    made = augmentation(given, rate_hz, np.random.default_rng(1))
    augmentation(given, rate_hz, np.random.default_rng(2))
    require(np.array_equal(made, augmentation(given, rate_hz, np.random.default_rng(1))), "another the second time")
    require(np.array_equal(made, workers(given, rate_hz, np.random.default_rng(1))), "another in a worker")
    return "twice here, once pickled"


def what_it_is_given_stays_as_it_is(subject: Subject) -> str:
    """The cache of waveforms may hold it."""
    given = _noise(16000)
    kept = given.copy()
    subject.opened()(given, 32000, np.random.default_rng(1))
    require(np.array_equal(given, kept), "it writes into the waveform that it is given")
    return "16000 samples"


def it_draws_from_its_generator_alone(subject: Subject) -> str:
    """Neither `random` nor `numpy.random` moves on."""
    before = _global_states()
    subject.opened()(_noise(16000), 32000, np.random.default_rng(1))
    require(before == _global_states(), "it draws from `random` or `numpy.random`")
    return "random and numpy.random stay"


def _global_states() -> tuple[object, ...]:
    return random.getstate(), str(np.random.get_state())


def _noise(samples: int) -> np.ndarray:
    return np.random.default_rng(0).normal(0, 0.1, samples).astype(np.float32)


CHECKS = (
    Check(it_has_a_probability),
    Check(it_gives_as_many_finite_float32_samples_as_it_got),
    Check(silence_full_scale_and_a_single_sample_stay_finite),
    Check(one_generator_gives_one_result_here_and_in_a_worker),
    Check(what_it_is_given_stays_as_it_is),
    Check(it_draws_from_its_generator_alone),
)
