"""Whether a frozen body is computed once for each clip: what the settings say about it."""

from __future__ import annotations

from pannsdist.run.planning.padding import CropFit
from pannsdist.run.planning.plan import Plan

UNDRAWN = 0.01
"""A clip that is longer than the crop by at most this part of it is read from its start: codecs add some samples."""


def changes(plan: Plan) -> list[str]:
    """What changes the training clips beside the random crop, in the order of application."""
    if plan.settings.train.overfit_batches:
        return []
    masks = plan.masks_features or getattr(plan.plugins.model.params, "spec_augment", False)
    named = [*plan.plugins.augmentations.values(), *(["SpecAugment"] if masks else [])]
    return [str(one) for one in (*named, *([plan.mixup] if plan.mixup else []))]


def obstacle(plan: Plan) -> str:
    """Why a frozen body has to be computed in every step; empty where the settings do not require it."""
    if found := changes(plan):
        return f"clips differ each time by {', '.join(found)}"
    if plan.frames is not None:
        return "the network answers by frame"
    if plan.groups_by_length:
        return "train.group_by_length pads a clip to the longest of its batch"
    return ""


def described(plan: Plan, train_fit: CropFit | None) -> str:
    """What is frozen, and how it is computed; empty where nothing is."""
    chosen = plan.settings.train
    until = f" until epoch {chosen.unfreeze_epoch}" if chosen.unfreeze_epoch else ""
    if not plan.freezes_body:
        return f"{', '.join(chosen.freeze)}{until}" if chosen.freeze else ""
    if why := obstacle(plan):
        return f"body{until}; computed in every step: {why}"
    cropped = train_fit is not None and has_drawn_crops(train_fit) and not chosen.overfit_batches
    but = "; clips longer than train.crop_s in every epoch, since their crop is random" if cropped else ""
    return f"body{until}; computed once for each clip{but}"


def has_drawn_crops(fit: CropFit) -> bool:
    """Whether the crop of some clip is drawn."""
    return bool((fit.seconds > fit.crop_s * (1 + UNDRAWN)).any())
