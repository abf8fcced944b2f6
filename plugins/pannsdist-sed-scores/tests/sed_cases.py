"""Small seeded cases: predictions by frame and reference events, with everything that is awkward about either."""

from __future__ import annotations

import dataclasses

import numpy as np
import pannsdist_sed_scores

from pannsdist.contracts import Event
from pannsdist.contracts.predictions import FramePredictions, Predictions

FRAMES_S = (0.02, 0.04, 0.064, 0.1, 0.25)
METRICS = {
    plugin.name: plugin
    for plugin in vars(pannsdist_sed_scores).values()
    if isinstance(plugin, type) and hasattr(plugin, "needs_events")
}
"""The scores by name."""


def settings(name, seed, frame_s):
    """The defaults of a score for even seeds, else others; with the length of the median filter in frames, too."""
    given = dataclasses.asdict(METRICS[name].Params())
    generator = np.random.default_rng(seed)
    if seed % 2:
        others = {
            "average": ("macro", "micro"),
            "threshold": (0.2, 0.5, 0.7),
            "collar_s": (0.05, 0.5),
            "offset_fraction": (0.0, 0.5),
            "segment_s": (0.5, 1.0),
            "max_fpr": (0.1, 0.5),
            "dtc_threshold": (0.3, 0.5),
            "gtc_threshold": (0.3, 0.5),
            "alpha_st": (0.0, 1.0),
        }
        given.update({key: generator.choice(values).item() for key, values in others.items() if key in given})
    if "e_max" in given:  # one false positive in a few seconds is more than 100 in an hour
        given["e_max"] = float(generator.choice([100.0, 3e3, 3e4]))
    given["median"] = 1 if seed % 3 else 2 * int(generator.integers(1, 9)) + 1
    given["median_filter_s"] = given["median"] * frame_s if seed % 3 == 0 else 0.0
    return given


def metric(name, given):
    """The score with such settings."""
    params = METRICS[name].Params
    return METRICS[name](params(**{field.name: given[field.name] for field in dataclasses.fields(params)}))


def case(seed):
    """Up to four clips and classes; by chance ties, empty clips, silent classes, touching and overlapping events."""
    generator = np.random.default_rng(seed)
    frame_s = float(generator.choice(FRAMES_S))
    clips, classes, count = (int(generator.integers(1, high)) for high in (5, 5, 31))
    durations_s = np.full(clips, count * frame_s)
    if generator.random() < 0.5:  # padding, and the last frame in part
        durations_s *= generator.uniform(0.3, 1.0, clips)
    labels = tuple("dcba"[:classes])
    occurring = labels[: int(generator.integers(0, classes + 1))] if generator.random() < 0.3 else labels
    events = tuple(_events(generator, occurring, duration_s, frame_s) for duration_s in durations_s.tolist())
    logits = _logits(generator, events, labels, (clips, count, classes), frame_s)
    ids = tuple(f"clip {number}" for number in generator.permutation(clips).tolist())
    return predictions(FramePredictions(ids, logits, frame_s, durations_s, events, labels))


def predictions(frames):
    """With the largest logit of each clip as that of the clip."""
    logits = frames.logits.max(axis=1)
    return Predictions(frames.ids, logits, (logits > 0).astype(np.float32), frames.labels, True, frames=frames)


def _events(generator, labels, duration_s, frame_s):
    """None to five events, on the grid of the frames or off it; some touch, overlap, or end with the clip."""
    events = []
    for _ in range(int(generator.integers(0, 6)) if labels else 0):
        onset_s, offset_s = np.sort(generator.uniform(0, duration_s, 2)).tolist()
        chance = generator.random()
        if chance < 0.3:
            onset_s, offset_s = (round(value / frame_s) * frame_s for value in (onset_s, offset_s))
        elif chance < 0.4:
            offset_s = duration_s
        elif chance < 0.5 and events:
            onset_s = events[-1].offset_s
        offset_s = min(offset_s, duration_s)
        if offset_s - onset_s > 1e-3:
            label = events[-1].label if events and generator.random() < 0.3 else str(generator.choice(labels))
            events.append(Event(onset_s, offset_s, label))
    return tuple(events)


def _logits(generator, events, labels, shape, frame_s):
    """Guesses that are often right; in a third of the cases of few levels, so that they tie, or are all alike."""
    logits = generator.normal(-1.5, 1.0, shape)
    for clip, of_clip in enumerate(events):
        for event in of_clip:
            first, stop = (
                round((edge + generator.normal(0, 0.05)) / frame_s) for edge in (event.onset_s, event.offset_s)
            )
            logits[clip, max(first, 0) : max(stop, 0), labels.index(event.label)] += generator.choice([0, 3, 6])
    chance = generator.random()
    if chance < 0.2:
        logits = np.round(logits)
    elif chance < 0.3:
        logits = np.where(logits > 0, 1.0, -1.0) * generator.choice([-1.0, 1.0])
    elif chance < 0.35:
        logits = np.full(shape, generator.choice([-3.0, 0.0, 3.0]))
    return logits.astype(np.float32)
