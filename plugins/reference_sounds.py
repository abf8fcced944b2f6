"""The sounds on which the tests of feature plugins compare them with their references."""

from __future__ import annotations

import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import paddle
import pytest
import soundfile
import soxr

RATE_HZ = 32000
ESC10 = Path(__file__).resolve().parents[1].parent / "shared" / "data" / "ESC-10" / "audio"
GENERATED = ("noise", "chirp", "tone", "click", "silence")
RECORDED = ("1-100032-A-0", "1-43382-A-1", "2-127108-A-38", "2-81731-A-10", "3-151080-A-20", "5-198411-D-20")
"""Clips of ESC-10: dog, rooster, clock, rain and two babies. Some end in silence."""

_there = pytest.mark.skipif(not ESC10.is_dir(), reason=f"needs the clips of ESC-10 in {ESC10}")
recordings = pytest.mark.parametrize("name", [pytest.param(name, marks=_there) for name in RECORDED])
generated = pytest.mark.parametrize("name", GENERATED)


@cache
def sound(name: str) -> np.ndarray:
    """One of them, (S,) float32 at 32 kHz."""
    if name in RECORDED:
        samples, rate_hz = soundfile.read(ESC10 / f"{name}.ogg", dtype="float32")
        return soxr.resample(samples, rate_hz, RATE_HZ)
    time_s = np.arange(2 * RATE_HZ) / RATE_HZ
    made = {
        "noise": np.random.default_rng(0).normal(0, 0.1, time_s.shape),
        "chirp": 0.5 * np.sin(2 * np.pi * (100 * time_s + 3000 * time_s**2)),
        "tone": 0.5 * np.sin(2 * np.pi * 1000 * time_s),
        "click": (time_s == 1.0).astype(float),
        "silence": np.zeros(time_s.shape),
    }
    return made[name].astype(np.float32)


def image(feature: Any, waveform: np.ndarray) -> np.ndarray:
    """What a feature plugin makes of a waveform (S,): (T, F)."""
    return feature.build()(paddle.to_tensor(waveform[None])).numpy()[0, 0]


def needs_paddle_to_be_named(package: str, plugin: str) -> bool:
    """Whether paddle is imported when the plugin is built with its defaults and asked for its front end."""
    code = f"import sys, {package} as p; p.{plugin}(p.{plugin}.Params()).front_end; sys.exit('paddle' in sys.modules)"
    return subprocess.run([sys.executable, "-c", code], check=False).returncode != 0  # noqa: S603 our own interpreter
