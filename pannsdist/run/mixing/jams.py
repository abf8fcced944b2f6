"""The JAMS file beside a soundscape: its events as scaper writes them, and what explains it.

The published JSON schema of JAMS (Humphrey et al., ISMIR 2014) with the namespace `scaper`; its library is not needed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pannsdist
from pannsdist.contracts import Event
from pannsdist.run.mixing.planned import Plan
from pannsdist.run.mixing.recipe import Recipe
from pannsdist.run.mixing.rendering import MixedEvent, Soundscape
from pannsdist.runtime.names import shown

VERSION = "0.3.4"
"""Of the schema."""
PLACES = 6
"""Decimal places of seconds: finer than a sample."""
FOREGROUND = "foreground"


@dataclass(frozen=True)
class Summary:
    """What the tables need of a soundscape that is on disk.

    `without_place` and `silent` count events that are not in it; `scale` is below 1 where it was scaled down.
    """

    name: str
    events: tuple[Event, ...]
    without_place: int
    silent: int
    scale: float
    wav_sha256: str
    is_new: bool = True


def seconds(samples: int, rate_hz: int) -> float:
    """A time as it stands in JAMS files and tables."""
    return round(samples / rate_hz, PLACES)


def jams(plan: Plan, soundscape: Soundscape, recipe: Recipe, wav_sha256: str) -> bytes:
    """The content of the JAMS file of a soundscape."""
    rate_hz, duration_s = recipe.rate_hz, seconds(recipe.samples, recipe.rate_hz)
    observed = [
        _background(plan, soundscape, recipe),
        *(_observation(event, rate_hz) for event in soundscape.events),
    ]
    made_by = {
        "wav_sha256": wav_sha256,
        "seed": recipe.seed,
        "number": plan.number,
        "scale": soundscape.scale,
        "level_lufs": recipe.background.level_lufs,
        "events_without_place": plan.without_place,
        "silent_events": soundscape.silent,
        "source_lufs": [round(event.source_lufs, 3) for event in soundscape.events],
    }
    annotation = {
        "annotation_metadata": _annotation_metadata(),
        "namespace": "scaper",
        "data": observed,
        "sandbox": {"pannsdist": made_by},
        "time": 0.0,
        "duration": duration_s,
    }
    content = {"annotations": [annotation], "file_metadata": _file_metadata(plan, duration_s), "sandbox": {}}
    return (json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode("utf-8", "backslashreplace")


def summary(name: str, content: Any) -> Summary:
    """What a JAMS file says of its soundscape. Raises ValueError, KeyError, TypeError or AttributeError."""
    annotation = content["annotations"][0]
    made_by = annotation["sandbox"]["pannsdist"]
    events = [
        Event(
            float(one["time"]), round(float(one["time"]) + float(one["duration"]), PLACES), str(one["value"]["label"])
        )
        for one in annotation["data"]
        if one["value"]["role"] == FOREGROUND
    ]
    left_out = int(made_by["events_without_place"]), int(made_by["silent_events"])
    return Summary(name, tuple(events), *left_out, float(made_by["scale"]), str(made_by["wav_sha256"]), is_new=False)


def _observation(event: MixedEvent, rate_hz: int) -> Mapping[str, Any]:
    planned = event.planned
    onset_s = seconds(planned.onset, rate_hz)
    duration_s = round(seconds(planned.offset, rate_hz) - onset_s, PLACES)
    source_s = seconds(planned.source_first, rate_hz)
    value = _value(planned.label, planned.clip.id, source_s, onset_s, duration_s)
    return _observed(value | {"snr": round(planned.snr_db, PLACES), "role": FOREGROUND})


def _background(plan: Plan, soundscape: Soundscape, recipe: Recipe) -> Mapping[str, Any]:
    noise = f"{recipe.background.noise} noise"
    label, clip = ("background", plan.background.id) if plan.background else (noise, noise)
    start_s, duration_s = (seconds(of, recipe.rate_hz) for of in (soundscape.background_first, recipe.samples))
    return _observed(_value(label, clip, start_s, 0.0, duration_s) | {"snr": 0.0, "role": "background"})


def _value(label: str, source: str, source_s: float, onset_s: float, duration_s: float) -> dict[str, Any]:
    return {
        "label": label,
        "source_file": shown(source),
        "source_time": source_s,
        "event_time": onset_s,
        "event_duration": duration_s,
        "time_stretch": None,
        "pitch_shift": None,
    }


def _observed(value: Mapping[str, Any]) -> dict[str, Any]:
    times = {"time": value["event_time"], "duration": value["event_duration"]}
    return {**times, "value": value, "confidence": 1.0}


def _annotation_metadata() -> dict[str, Any]:
    empty = dict.fromkeys(("version", "corpus", "annotation_rules", "validation"), "")
    tools = {"annotation_tools": f"pannsdist {pannsdist.__version__}", "data_source": "program"}
    return {"curator": {"name": "", "email": ""}, "annotator": {}, **empty, **tools}


def _file_metadata(plan: Plan, duration_s: float) -> dict[str, Any]:
    described = {"title": plan.name, "artist": "", "release": "", "duration": duration_s}
    return {**described, "identifiers": {}, "jams_version": VERSION}
