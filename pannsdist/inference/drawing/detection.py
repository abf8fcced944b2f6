"""A plot of the events detected in one sound file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pannsdist.audio.loudness import LevelMeter
from pannsdist.audio.reader import duration_s
from pannsdist.audio.sounds import mono_blocks
from pannsdist.inference.detection import Event, Rule, events
from pannsdist.inference.drawing.outline import Curves, Outline
from pannsdist.inference.drawing.plot import Scene, draw
from pannsdist.runtime.names import shown

if TYPE_CHECKING:
    from pannsdist.audio.reader import AudioInput
    from pannsdist.inference.model import Model


def plot_events(
    model: Model, source: AudioInput, rule: Rule, output: Path, meter: LevelMeter
) -> tuple[list[Event], str]:
    """Detect events in a sound file and plot them; returns (the events, a note on the plot, empty if there is none).

    `meter` measures the levels of the sound.
    """
    length_s = duration_s(source)
    curves = Curves(length_s, len(model.labels))
    found = events(curves.record(model.timeline(source, meter)), model.labels, rule)
    outline = Outline(length_s, model.sample_rate_hz).add(mono_blocks(source, model.sample_rate_hz))
    return found, draw(output, outline, curves, Scene(shown(source.name), model.labels, found, rule.threshold))
