"""Conformance checks of augmentations."""

from __future__ import annotations

import dataclasses
import random

import numpy as np

from pannsdist.audio.augmentation import Augmentation
from pannsdist.contracts import Event
from pannsdist.devkit.checking import Check, NotApplicable, Subject, require
from pannsdist.devkit.checks.plugin import pickle_round_trip

RATES_HZ = (8000, 32000, 44100)


def it_has_a_probability(subject: Subject) -> str:
    """The param `probability`, from 0 to 1: how likely a clip is augmented."""
    fields = {item.name: item for item in dataclasses.fields(subject.plugin_class.Params)}
    require("probability" in fields, "Params has no field `probability`")
    default = fields["probability"].default
    require(isinstance(default, float) and 0.0 <= default <= 1.0, f"the default of probability is {default!r}")
    return f"default {default}"


def it_keeps_length_and_dtype_and_gives_finite_samples(subject: Subject) -> str:
    """(S,) float32 to (S,) float32, at any sample rate."""
    augmentation = _augmentation(subject)
    for rate_hz in RATES_HZ:
        waveform = _noise(rate_hz // 2)
        result = augmentation.apply(waveform, rate_hz, np.random.default_rng(1))
        require(result.shape == waveform.shape, f"{waveform.shape} at {rate_hz} Hz becomes {result.shape}")
        require(result.dtype == np.float32, f"float32 becomes {result.dtype}")
        require(np.isfinite(result).all(), f"NaN or infinite samples at {rate_hz} Hz")
    return ", ".join(f"{rate_hz} Hz" for rate_hz in RATES_HZ)


def silence_full_scale_and_a_single_sample_stay_finite(subject: Subject) -> str:
    """Input that breaks logarithms and divisions."""
    augmentation = _augmentation(subject)
    waveforms = {
        "silence": np.zeros(8000, np.float32),
        "full scale": np.where(np.arange(8000) // 20 % 2, 1, -1).astype(np.float32),
        "a single sample": np.full(1, 0.5, np.float32),
    }
    for name, waveform in waveforms.items():
        result = augmentation.apply(waveform, 16000, np.random.default_rng(0))
        require(result.shape == waveform.shape, f"{name} becomes {result.shape}")
        require(np.isfinite(result).all(), f"{name} becomes NaN or infinite")
    return ", ".join(waveforms)


def its_result_depends_only_on_clip_and_generator(subject: Subject) -> str:
    """No state is kept from clip to clip, and a pickled copy gives the same result."""
    augmentation, rate_hz, waveform = _augmentation(subject), 32000, _noise(16000)
    pickled = pickle_round_trip(augmentation)
    result = augmentation.apply(waveform, rate_hz, np.random.default_rng(1))
    augmentation.apply(waveform, rate_hz, np.random.default_rng(2))
    repeated = augmentation.apply(waveform, rate_hz, np.random.default_rng(1))
    require(np.array_equal(result, repeated), "the result differs the second time")
    by_copy = pickled.apply(waveform, rate_hz, np.random.default_rng(1))
    require(np.array_equal(result, by_copy), "the result differs after pickling")
    return "two calls, and a pickled copy"


def its_input_is_not_modified(subject: Subject) -> str:
    """The waveform may be in a cache."""
    waveform = _noise(16000)
    original = waveform.copy()
    _augmentation(subject).apply(waveform, 32000, np.random.default_rng(1))
    require(np.array_equal(waveform, original), "it modifies its input in place")
    return "16000 samples"


def it_uses_only_the_given_generator(subject: Subject) -> str:
    """The global generators of `random` and `numpy.random` are not used."""
    before = _global_states()
    _augmentation(subject).apply(_noise(16000), 32000, np.random.default_rng(1))
    require(before == _global_states(), "it draws from `random` or `numpy.random`")
    return "random and numpy.random are unchanged"


def events_move_with_the_sound(subject: Subject) -> str:
    """`with_events`, if it has that, gives the samples of a call, and events that lie in them."""
    plugin = subject.plugin()
    if not hasattr(plugin, "with_events"):
        raise NotApplicable("it has no `with_events`: events stay where they are")
    augmentation, waveform, rate_hz = _augmentation(subject), _noise(32000), 16000
    events = (Event(0.25, 0.75, "one"), Event(1.5, 2.0, "two"))
    for seed in range(5):
        expected = augmentation.apply(waveform, rate_hz, np.random.default_rng(seed))
        changed, moved = augmentation.with_events(waveform, rate_hz, np.random.default_rng(seed), events)
        require(np.array_equal(changed, expected), "the samples differ from those of a call with the same generator")
        for event in moved or ():
            require(isinstance(event, Event) and event.label in ("one", "two"), f"{event!r} is none of the events")
            require(0.0 <= event.onset_s < event.offset_s <= 2.0, f"{event} is not within the 2 s of the clip")
    return "five generators"


def _augmentation(subject: Subject) -> Augmentation:
    """The plugin as training calls it."""
    return Augmentation(subject.entry.name, 1.0, subject.plugin())


def _global_states() -> tuple[object, ...]:
    return random.getstate(), str(np.random.get_state())


def _noise(samples: int) -> np.ndarray:
    return np.random.default_rng(0).normal(0, 0.1, samples).astype(np.float32)


CHECKS = (
    Check(it_has_a_probability),
    Check(it_keeps_length_and_dtype_and_gives_finite_samples),
    Check(silence_full_scale_and_a_single_sample_stay_finite),
    Check(its_result_depends_only_on_clip_and_generator),
    Check(its_input_is_not_modified),
    Check(it_uses_only_the_given_generator),
    Check(events_move_with_the_sound),
)
