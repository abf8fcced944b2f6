"""The recipe of soundscapes: every key with its default, documentation and limits, and what contradicts another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from omegaconf import MISSING

from pannsdist.run.mixing.distributions import Bounds, Distribution, distribution
from pannsdist.runtime.errors import SettingsError
from pannsdist.settings import SettingsOrigin
from pannsdist.settings.loading import load_schema
from pannsdist.settings.schema import setting

SHOW_KEYS = "pannsdist data mix --keys"
COLOURS = ("white", "pink", "brown")
LOUDEST_SNR_DB = 80.0
MOST_EVENTS = 1000
MOST_SOUNDSCAPES = 999_999


@dataclass(frozen=True)
class SourceSettings:
    """The isolated sounds: a dataset, whose splits keep their clips apart."""

    name: str = setting(MISSING, "dataset plugin of the isolated sounds, each with one label")
    params: dict[str, Any] = setting({}, "parameters of the plugin")
    on_bad_clip: str = setting("stop", "action on a clip that cannot be used", choices=("stop", "skip"))


@dataclass(frozen=True)
class TrimSettings:
    """Where in a clip it sounds; what is silent in it is never part of an event."""

    frame_s: float = setting(0.01, "length of the frames whose energy is compared, in seconds", low=0.001, high=1)
    below_peak_db: float = setting(
        40.0, "frames count as silent that are so many dB below the loudest one of the clip", above=0, high=120
    )
    gap_s: float = setting(
        0.25, "a silence up to this length is part of a source; a longer one ends it", low=0, high=60
    )
    label_gaps_s: dict[str, float] = setting({}, "LABEL: another gap_s for this label, such as of a clock that ticks")
    shortest_s: float = setting(0.05, "what sounds for less than this is no source", low=0, high=60)
    hangover_s: float = setting(
        0.05, "a source goes on for so long behind its last frame, into the silence", low=0, high=10
    )
    longest_clip_s: float = setting(300.0, "longer clips cannot be used", above=0, high=3600)


@dataclass(frozen=True)
class BackgroundSettings:
    """What sounds all the time, and is the reference of the levels."""

    level_lufs: float = setting(-50.0, "integrated loudness of the background", low=-70, high=0)
    noise: str = setting("pink", "colour of the generated noise, where there are no sounds", choices=COLOURS)
    sounds: dict[str, str] = setting({}, "SPLIT: folder of background sounds, for every split of soundscapes")


@dataclass(frozen=True)
class EventSettings:
    """The events of a soundscape. Distributions are written as in scaper, such as `[uniform, 5, 20]`."""

    count: list[Any] = setting(["uniform", 1, 4], "number of events, a whole number")
    onset_s: list[Any] = setting([], "onset; empty: uniform over the soundscape")
    duration_s: list[Any] = setting(["uniform", 0.5, 5], "duration; at most the length of the source")
    source_time_s: list[Any] = setting(["const", 0], "where in the source the event begins, counted from its onset")
    snr_db: list[Any] = setting(["uniform", 5, 20], "loudness of the event above that of the background, both in LUFS")
    most_at_once: int = setting(3, "events that may sound at one time", low=1, high=100)
    label_gap_s: float = setting(0.0, "silence between two events of one label, which never overlap", low=0, high=60)
    fade_s: float = setting(0.01, "length of the fades at onset and offset", low=0, high=1)


@dataclass(frozen=True)
class Recipe:
    """All keys of a recipe."""

    soundscapes: dict[str, int] = setting({}, "SPLIT of the dataset: number of soundscapes; 0: none")
    data: SourceSettings = field(default_factory=SourceSettings)
    labels: list[str] = setting([], "labels of the dataset to use; empty: all")
    seed: int = setting(0, "random seed", low=0, high=2**32 - 1)
    duration_s: float = setting(10.0, "length of a soundscape", above=0, high=3600)
    rate_hz: int = setting(32000, "sample rate", low=1000, high=192000)
    dtype: str = setting("int16", "samples in the WAV files", choices=("int16", "float32"))
    background: BackgroundSettings = field(default_factory=BackgroundSettings)
    events: EventSettings = field(default_factory=EventSettings)
    trim: TrimSettings = field(default_factory=TrimSettings)

    @property
    def splits(self) -> dict[str, int]:
        """The number of soundscapes of each split that has some."""
        return {split: count for split, count in self.soundscapes.items() if count}

    @property
    def samples(self) -> int:
        """The length of a soundscape in samples."""
        return round(self.duration_s * self.rate_hz)


@dataclass(frozen=True)
class EventDistributions:
    """What the events are drawn from."""

    count: Distribution
    onset_s: Distribution
    duration_s: Distribution
    source_time_s: Distribution
    snr_db: Distribution


@dataclass(frozen=True)
class CheckedRecipe:
    """A recipe without contradictions."""

    recipe: Recipe
    origin: SettingsOrigin
    events: EventDistributions


def load_recipe(path: Path, overrides: Sequence[str] = ()) -> CheckedRecipe:
    """The recipe of a file and overrides. Raises SettingsError with file and key."""
    recipe, origin = load_schema(Recipe, path, overrides, SHOW_KEYS)
    return check_recipe(recipe, origin)


def check_recipe(recipe: Recipe, origin: SettingsOrigin) -> CheckedRecipe:
    """Refuse what contradicts another key. Raises SettingsError."""
    _refuse_counts(recipe, origin)
    _refuse_backgrounds(recipe, origin)
    bounds = {
        "count": Bounds(0, MOST_EVENTS, is_whole=True),
        "onset_s": Bounds(0, recipe.duration_s),
        "duration_s": Bounds(recipe.trim.frame_s, 3600),
        "source_time_s": Bounds(0, 3600),
        "snr_db": Bounds(-LOUDEST_SNR_DB, LOUDEST_SNR_DB),
    }
    given = {name: getattr(recipe.events, name) for name in bounds}
    given["onset_s"] = given["onset_s"] or ["uniform", 0, recipe.duration_s]
    read = {name: distribution(given[name], limits, f"events.{name}", origin) for name, limits in bounds.items()}
    return CheckedRecipe(recipe, origin, EventDistributions(**read))


def _refuse_counts(recipe: Recipe, origin: SettingsOrigin) -> None:
    if not any(recipe.soundscapes.values()):
        right = "name the splits of the dataset and how many of each, such as soundscapes: {train: 400, valid: 100}"
        raise SettingsError("the recipe makes no soundscapes", right, origin.command)
    for split, count in recipe.soundscapes.items():
        place = origin.where(f"soundscapes.{split}")
        if not 0 <= count <= MOST_SOUNDSCAPES:
            raise SettingsError(f"{place} is {count}", f"allowed: 0 to {MOST_SOUNDSCAPES}", origin.command)
        if not split.isidentifier() or not split.isascii():
            right = "letters, digits and _; it becomes the name of a folder"
            raise SettingsError(f"{place}: {split!r} is no name of a split here", right, origin.command)


def _refuse_backgrounds(recipe: Recipe, origin: SettingsOrigin) -> None:
    sounds = recipe.background.sounds
    unknown = [split for split in sounds if split not in recipe.splits]
    lacking = [split for split in recipe.splits if sounds and split not in sounds]
    if unknown or lacking:
        wrong = f"{origin.where('background.sounds')} has {', '.join(sounds)}, and soundscapes are made for "
        right = "give a folder for each of them; those of held-out soundscapes best have other recordings in it"
        raise SettingsError(wrong + ", ".join(recipe.splits), right, origin.command)
