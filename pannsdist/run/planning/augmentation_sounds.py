"""The sound files that augmentations mix into clips: judged before the run, as those of a dataset are by its check."""

from __future__ import annotations

from pathlib import Path

from pannsdist.audio.verdicts import judge
from pannsdist.contracts import shown
from pannsdist.contracts.sound_files import how_to_read
from pannsdist.registry.building import Part, blamed
from pannsdist.run.planning.selection import Plugins
from pannsdist.runtime.errors import SettingsError

NAMED = 5


def refuse_unusable_sounds(plugins: Plugins) -> None:
    """Raise SettingsError for an augmentation whose sounds are not all whole. Opens each of them once."""
    for name, part in plugins.augmentations.items():
        sounds = _sounds(part)
        faults = {path: str(verdict) for path in sounds if not (verdict := judge(path)).is_whole}
        if faults:
            some = [f"{shown(path)}: {why}" for path, why in list(faults.items())[:NAMED]]
            hints = dict.fromkeys(filter(None, (how_to_read(path) for path in list(faults)[:NAMED])))
            wrong = f"augment.{name}: {len(faults)} of {len(sounds)} sounds cannot be used whole, such as"
            raise SettingsError(wrong, "\n".join([*some, *hints, "repair them, or remove them from the folder"]))


def _sounds(part: Part) -> list[Path]:
    with blamed(part.entry, part.params):
        return [Path(path) for path in getattr(part.plugin, "sounds", ())]
