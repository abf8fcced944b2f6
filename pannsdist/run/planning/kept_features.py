"""Whether the features of clips are kept (`data.cache_features`): what prevents it, and what the plan says."""

from __future__ import annotations

from pannsdist.audio.mixup import Mixup
from pannsdist.run.planning import frozen_body
from pannsdist.run.planning.frames import Frames
from pannsdist.run.planning.padding import CropFit
from pannsdist.run.planning.plan import Plan
from pannsdist.run.planning.selection import Plugins
from pannsdist.run.planning.waveforms import size_text, waveform_cache
from pannsdist.runtime.errors import SettingsError
from pannsdist.runtime.names import shown
from pannsdist.settings import SettingsOrigin
from pannsdist.settings.schema import Settings

KEY = "data.cache_features"


def refuse_random_waveforms(
    settings: Settings, origin: SettingsOrigin, plugins: Plugins, mixup: Mixup | None, frames: Frames | None
) -> None:
    """Raise SettingsError where features are to be kept, and a clip has others each time but for its random crop."""
    if not settings.data.cache_features:
        return
    waveform_cache(settings)  # raises UserError for a user without a folder, in each process
    why = ""
    if frames is not None:
        why = "the network answers by frame, and its targets follow the crop"
    elif settings.train.overfit_batches:  # of clips from their start, unchanged
        return
    elif settings.train.group_by_length:
        why = f"{origin.where('train.group_by_length')} pads a clip to the longest of its batch"
    else:
        changes = [str(part) for part in plugins.augmentations.values()]
        if mixup is not None and mixup.domain == "waveform":
            changes.append(str(mixup))
        why = f"the waveforms of clips differ each time by {', '.join(changes)}" if changes else ""
    if why:
        right = f"{KEY}=false; SpecAugment and mixup.domain=features come after the front end, and are possible"
        raise SettingsError(f"{origin.where(KEY)} is true, but {why}", right, origin.command)


def described(plan: Plan, train_fit: CropFit | None) -> str:
    """A line of the plan; empty where no features are kept."""
    settings, front_end = plan.settings, plan.front_end
    if not settings.data.cache_features:
        return ""
    frames = plan.lengths.valid_crop_s * front_end.sample_rate_hz / front_end.hop_samples + 1
    clips = sum(map(len, plan.data.splits.values()))
    size = size_text(clips * frames * front_end.bins * 4)
    drawn = train_fit is not None and frozen_body.has_drawn_crops(train_fit) and not settings.train.overfit_batches
    but = "; of clips longer than train.crop_s in every epoch, since their crop is random" if drawn else ""
    where = shown(waveform_cache(settings).root)
    return f"computed once for each clip, {size}, in {where}{but}"
