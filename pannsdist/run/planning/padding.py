"""What part of a batch is padding, and what part of a clip is read: from the lengths of some clips of each split."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from pannsdist.audio.clip_lengths import ClipLengths, sampled_lengths
from pannsdist.run.planning.data import TRAIN, VALID
from pannsdist.run.planning.plan import Plan

MUCH = 0.5
"""Part of a batch that is padding from which on the plan warns."""
COVERED = (0.95, 0.75, 0.5, 0.25)
"""Parts of the clips that a suggested crop covers to their ends: the first of these that makes it shorter."""
SHORTER = 0.75
"""At most so much of the present crop is a suggestion."""
STEPS = (1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0)
"""Suggested crops are one of these, times a power of ten."""


@dataclass(frozen=True)
class CropFit:
    """How the clips of a split and its crop fit: `key` is the setting of `crop_s`, and `lengths` are of some clips.

    Clips below `min_clip_s` are not read, so they count in `too_short` alone. Without `is_padded` shorter clips are not
    padded to the crop.
    """

    split: str
    key: str
    crop_s: float
    min_clip_s: float
    lengths: ClipLengths
    is_padded: bool = True

    @property
    def seconds(self) -> np.ndarray:
        """The lengths of the clips that are read: (N,)."""
        return self.lengths.seconds[self.lengths.seconds >= self.min_clip_s]

    @property
    def too_short(self) -> int:
        """Clips that are refused for their length."""
        return len(self.lengths.seconds) - len(self.seconds)

    @property
    def padded(self) -> float:
        """The part of a batch that is silence, on average."""
        return self.padded_at(self.crop_s) if self.is_padded else 0.0

    def padded_at(self, crop_s: float) -> float:
        """The part of a batch that would be silence at another crop."""
        return float(np.maximum(0.0, 1.0 - self.seconds / crop_s).mean()) if len(self.seconds) else 0.0

    @property
    def read(self) -> float:
        """The part of a clip that an epoch reads, on average."""
        return float(np.minimum(1.0, self.crop_s / self.seconds).mean()) if len(self.seconds) else 1.0

    def shorter_crop_s(self, minimum_s: float) -> float | None:
        """A crop with less padding, at least `minimum_s`; None if there is none."""
        for covered in COVERED:
            crop_s = rounded_up(max(minimum_s, float(np.quantile(self.seconds, covered, method="inverted_cdf"))))
            if crop_s <= SHORTER * self.crop_s:
                return crop_s
        return None


def rounded_up(seconds: float) -> float:
    """The next number above that is easy to remember: 1, 1.5, 2, 2.5, 3, 4, 5, 6, 8 times a power of ten."""
    power = math.floor(math.log10(seconds))
    step = next((step for step in STEPS if step * 10.0**power >= seconds * (1 - 1e-9)), STEPS[-1])
    return float(f"{step * 10.0**power:.6g}")


def crop_fits(plan: Plan) -> list[CropFit]:
    """How the clips of each split fit its crop. Reads the headers of some files; rank 0 only. Raises nothing."""
    lengths, valid_key = plan.lengths, "train.crop_s" if plan.settings.valid.crop_s is None else "valid.crop_s"
    crops = {TRAIN: ("train.crop_s", lengths.train_crop_s)}
    if not plan.settings.train.all_clips:
        crops[VALID] = (valid_key, lengths.valid_crop_s)
    found = {split: sampled_lengths(plan.data.splits[split].clips, plan.settings.seed) for split in crops}
    is_padded = not plan.groups_by_length
    return [CropFit(split, *crop, lengths.min_clip_s, found[split], is_padded) for split, crop in crops.items()]


def length_lines(fits: list[CropFit]) -> list[str]:
    """One line for each split of which lengths are known."""
    return [
        f"{fit.split}: {'; '.join(_facts(fit))} ({fit.lengths.sampled} of {fit.lengths.clips} clips looked at)"
        for fit in fits
        if len(fit.lengths.seconds) or fit.lengths.unreadable
    ]


def _facts(fit: CropFit) -> Iterator[str]:
    if len(fit.seconds):
        yield f"median clip {np.median(fit.seconds):.3g} s"
    if fit.padded >= 0.005:
        yield f"{_percent(fit.padded)} of each batch is silence"
    if fit.read <= 0.995:
        where = "seen per epoch" if fit.split == TRAIN else "evaluated, from its start"
        yield f"of each clip {_percent(fit.read)} is {where}"
    if fit.lengths.unreadable:
        yield f"{fit.lengths.unreadable} without a readable header"


def padding_warnings(fits: list[CropFit], minimum_s: float, can_group: bool) -> list[str]:
    """Crops that are mostly padding, and what to set instead.

    `minimum_s` is the shortest input of the network, and `can_group` whether batches shorter than the crop save work.
    """
    return [
        f"{_percent(fit.padded)} of each batch of {fit.split} is silence; {_advice(fit, minimum_s, can_group)}"
        for fit in fits
        if fit.padded > MUCH and (fit.split == TRAIN or fit.key == "valid.crop_s")
    ]


def _advice(fit: CropFit, minimum_s: float, can_group: bool) -> str:
    crop_s = fit.shorter_crop_s(minimum_s)
    cut = 0.0 if crop_s is None else float((fit.seconds > crop_s).mean())
    advice = f"a shorter {fit.key} cuts the long clips"
    if crop_s is not None:
        cuts = f" and crops {_percent(cut)} of the clips" if cut >= 0.005 else ""
        advice = f"{fit.key}={crop_s:g} leaves {_percent(fit.padded_at(crop_s))}{cuts}"
    is_cut = crop_s is None or cut >= 0.005
    return f"{advice}; train.group_by_length=true pads less and crops none" if is_cut and can_group else advice


def refusal_warnings(fits: list[CropFit], on_bad_clip: str) -> list[str]:
    """Clips that are refused for their length; `on_bad_clip` is the setting of this name."""
    result = "they are skipped" if on_bad_clip == "skip" else "the run stops at the first one"
    return [
        f"{fit.too_short} of {len(fit.lengths.seconds)} clips of {fit.split} are shorter than the minimum of "
        f"{fit.min_clip_s:.3g} s, {result}; data.min_clip_s=0 pads them with silence"
        for fit in fits
        if fit.too_short
    ]


def _percent(part: float) -> str:
    return f"{100 * part:.0f} %"
