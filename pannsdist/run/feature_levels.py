"""Mean and deviation of what the front end makes of a dataset, which some networks want normalized."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass

import numpy as np

from pannsdist.audio.clip_reader import ClipReader
from pannsdist.registry.building import Part
from pannsdist.run.planning.data import Data
from pannsdist.runtime.errors import BadClip, CannotRead

AT_MOST = 200
SEED = 0


@dataclass(frozen=True)
class FeatureLevels:
    """Mean and standard deviation over all values of `clips` clips; `params` of the feature that would normalize them.

    `params` are empty for a feature without shift and scale. They give mean 0 and deviation 0.5, as AST takes them.
    """

    feature: str
    clips: int
    mean: float
    deviation: float
    params: dict[str, float]

    def __str__(self) -> str:
        text = f"front end {self.feature}: mean {self.mean:.4f}, deviation {self.deviation:.4f}, of {self.clips} clips"
        named = " ".join(f"feature.params.{name}={value:.4f}" for name, value in self.params.items())
        return text + (f"; for mean 0 and deviation 0.5: {named}" if named else "")


def feature_levels(data: Data, feature: Part, minimum_samples: int, longest_s: float) -> FeatureLevels | None:
    """Of at most 200 clips, drawn by a seed from the split `train` (else from all), each up to `longest_s`.

    Clips that cannot be used are left out; None if no clip is left. Padding is not counted. Imports paddle.
    """
    import paddle

    tables = [data.splits["train"]] if "train" in data.splits else list(data.splits.values())
    clips = [clip for table in tables for clip in table.clips]
    front_end, layer = feature.plugin.front_end, feature.plugin.build()
    layer.eval()
    reader = ClipReader(front_end.sample_rate_hz, round(longest_s * front_end.sample_rate_hz))
    count, total, squares, used = 0, 0.0, 0.0, 0
    for clip in random.Random(SEED).sample(clips, min(AT_MOST, len(clips))):  # noqa: S311
        try:
            waveform = reader.crop(clip, None).waveform
        except (BadClip, CannotRead):
            continue  # the report names it, or was refused
        padded = np.pad(waveform, (0, max(0, minimum_samples - len(waveform))))
        with paddle.no_grad():
            values = layer(paddle.to_tensor(padded[None])).numpy().astype(np.float64)
        count, total, squares, used = count + values.size, total + values.sum(), squares + (values**2).sum(), used + 1
    if not count:
        return None
    mean = total / count
    deviation = math.sqrt(max(0.0, squares / count - mean**2))
    return FeatureLevels(feature.entry.name, used, float(mean), deviation, _normalizing(front_end, mean, deviation))


def _normalizing(front_end: object, mean: float, deviation: float) -> dict[str, float]:
    """`shift` and `scale` of (x + shift) / scale, for a feature that has them and has given this mean and deviation."""
    details = dict(getattr(front_end, "details", {}))
    if not deviation or not {"shift", "scale"} <= set(details):
        return {}
    shift, scale = float(details["shift"]), float(details["scale"])
    return {"shift": shift - mean * scale, "scale": 2 * deviation * abs(scale)}
