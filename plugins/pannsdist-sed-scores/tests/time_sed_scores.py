"""CPU seconds of each score for 1000 clips of 250 frames and 10 classes: `python time_sed_scores.py`.

Two events in each clip; of four in five of them the logits are higher by 6. Once with few false detections, and once
with many, as of a network that has not learnt yet. Imports are not counted.
"""

from __future__ import annotations

import time

import numpy as np
from sed_cases import METRICS, predictions

from pannsdist.contracts import Event
from pannsdist.contracts.predictions import FramePredictions

CLIPS, FRAMES, CLASSES, FRAME_S = 1000, 250, 10, 0.04


def made(clips, bias, seed=0):
    """Smooth noise around `bias`, and events."""
    generator = np.random.default_rng(seed)
    labels = tuple(f"label {number}" for number in range(CLASSES))
    noise = generator.normal(size=(clips, FRAMES + 8, CLASSES))
    logits = bias + 2 / 3 * np.lib.stride_tricks.sliding_window_view(noise, 9, axis=1).sum(axis=-1)
    events = []
    for clip in logits:
        of_clip = []
        for column in generator.choice(CLASSES, 2, replace=False).tolist():
            onset_s = round(generator.uniform(0, 8), 3)
            offset_s = round(min(onset_s + generator.uniform(0.3, 4), FRAMES * FRAME_S), 3)
            of_clip.append(Event(onset_s, offset_s, labels[column]))
            if generator.random() < 0.8:
                clip[int(onset_s / FRAME_S) : int(offset_s / FRAME_S), column] += 6
        events.append(tuple(of_clip))
    ids = tuple(f"clip {number:04d}" for number in range(clips))
    durations_s = np.full(clips, FRAMES * FRAME_S)
    return predictions(FramePredictions(ids, logits.astype(np.float32), FRAME_S, durations_s, tuple(events), labels))


def main():
    """Print a row for each score."""
    cases = {"few false detections": made(CLIPS, -4.0), "many": made(CLIPS, 0.0)}
    warm = made(5, -4.0)
    for name in sorted(METRICS):
        score = METRICS[name](METRICS[name].Params())
        score(warm)
        seconds = []
        for given in cases.values():
            started = time.process_time()
            score(given)
            seconds.append(time.process_time() - started)
        print(f"| `{name}` | " + " | ".join(f"{value:.1f}" for value in seconds) + " |", flush=True)


if __name__ == "__main__":
    main()
