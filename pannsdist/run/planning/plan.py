"""A checked plan: everything that a run is, before anything of it exists."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pannsdist.audio.mixup import Mixup
from pannsdist.contracts import FrontEnd
from pannsdist.registry.building import Part
from pannsdist.run.planning import subset
from pannsdist.run.planning.data import Data
from pannsdist.run.planning.selection import masks_itself
from pannsdist.run.planning.training_plugins import TrainingPlugins
from pannsdist.settings.schema import Settings
from pannsdist.training import metrics
from pannsdist.training.run_length import RunLength

TRAIN, VALID = "train", "valid"
SAMPLED = {"balanced": "every class equally often", "weighted": "a clip by the inverse of its class's size"}
"""What an epoch takes where it is not every clip once."""


@dataclass(frozen=True)
class Plan:
    """Everything that a run is, before anything of it exists."""

    settings: Settings
    data: Data
    feature: Part
    model: Part
    augmentations: Mapping[str, Part]
    weights: Path | None
    metric: str
    higher_is_better: bool
    world_size: int
    training_plugins: TrainingPlugins
    trackers: Mapping[str, Part]

    @property
    def front_end(self) -> FrontEnd:
        """What the network hears."""
        front_end: FrontEnd = self.feature.plugin.front_end
        return front_end

    @property
    def steps(self) -> int:
        """Steps of an epoch."""
        steps = len(self.data.splits[TRAIN]) // self.clips_of_step
        return min(steps, self.settings.train.limit_steps or steps)

    @property
    def mixup(self) -> Mixup | None:
        """How training clips are mixed."""
        chosen, is_mixed = self.settings.mixup, not self.settings.train.overfit_batches
        return (
            Mixup(chosen.alpha, chosen.pairs, chosen.domain, len(self.data.labels))
            if chosen.alpha and is_mixed
            else None
        )

    @property
    def masks_features(self) -> bool:
        """Whether stripes are left out of the features, since the network has no place of its own for that."""
        return bool(self.settings.train.spec_augment) and not masks_itself(self.model)

    @property
    def augmented_by(self) -> list[str]:
        """What changes the training clips beside the crop, in its order, in words."""
        if self.settings.train.overfit_batches:
            return []
        has_stripes = self.masks_features or getattr(self.model.params, "spec_augment", False)
        masks = ["SpecAugment"] if has_stripes else []
        return [*map(str, self.augmentations.values()), *masks, *([str(self.mixup)] if self.mixup else [])]

    @property
    def clips_of_step(self) -> int:
        """Clips that a step uses up."""
        return self.settings.train.batch_size * (self.mixup.clips_of_output if self.mixup else 1)

    @property
    def score_names(self) -> list[str]:
        """Every score of an epoch."""
        computed = metrics.metrics_for(self.data.multi_label, len(self.data.labels))
        return ["train/loss", *(f"{VALID}/{name}" for name in (*computed, *self.training_plugins.metrics))]

    @property
    def run_length(self) -> RunLength:
        """How long the run is, and when something is told or saved."""
        train, save = self.settings.train, self.settings.save
        return RunLength(
            train.epochs,
            self.steps,
            self.settings.seed,
            self.settings.log.every_steps,
            train.max_steps,
            train.max_minutes,
            train.patience_epochs,
            train.max_bad_steps,
            save.every_steps,
            save.every_minutes,
        )

    @property
    def warmup_steps(self) -> int:
        """Steps in which the learning rate rises, as the settings say."""
        shape = self.settings.schedule
        return shape.warmup_steps or round(shape.warmup_epochs * self.steps)

    @property
    def further_parts(self) -> dict[str, Part]:
        """The plugins beside model, feature and dataset, by the key of the settings that names each."""
        augmentations = {f"augment.{name}": part for name, part in self.augmentations.items()}
        return augmentations | self.training_plugins.by_key

    @property
    def _warmup(self) -> str:
        steps = self.settings.schedule.warmup_steps
        return f"{steps} steps" if steps else f"{self.settings.schedule.warmup_epochs:g} epochs"

    @property
    def valid_crop_s(self) -> float:
        """Seconds of each clip that an evaluation hears."""
        return self.settings.valid.crop_s or self.settings.train.crop_s

    @property
    def min_clip_s(self) -> float:
        """Below this a clip is refused."""
        chosen = self.settings.data.min_clip_s
        minimum: int = self.model.plugin.minimum_samples(self.front_end)
        return minimum / self.front_end.sample_rate_hz if chosen is None else chosen

    @property
    def trial(self) -> str:
        """What is left out on purpose; empty for a run in earnest."""
        return subset.description(self.settings, self.steps, len(self.data.splits[VALID]))

    def __str__(self) -> str:
        chosen, train = self.settings, self.data.splits[TRAIN]
        left_out = len(train) - self.steps * self.clips_of_step
        missing = len(getattr(self.data.part.plugin, "missing", ()))
        taken = f"; {left_out} left out of each epoch, others each time" if left_out else ""
        if chosen.train.sampling in SAMPLED:
            taken = f"; {chosen.train.sampling}: {SAMPLED[chosen.train.sampling]}"
        rows = {
            "run": str(Path(chosen.runs) / chosen.name),
            "model": f"{self.model}, {self.weights.name if self.weights else 'random weights'}",
            "feature": f"{self.feature}: {self.front_end.sample_rate_hz} Hz, {self.front_end.bins} bins",
            "data": f"{self.data.part}: {len(self.data.labels)} classes"
            + (", several labels a clip" if self.data.multi_label else "")
            + (f"; {missing} listed clips have no file and are left out" if missing else ""),
            TRAIN: f"{len(train)} clips, {chosen.train.crop_s:g} s of each" + taken,
            "augment": "; ".join(self.augmented_by) or "nothing",
            VALID: f"{len(self.data.splits[VALID])} clips, {self.valid_crop_s:g} s of each",
            "batch": f"{chosen.train.batch_size} = {self.world_size} x {chosen.train.batch_size // self.world_size}",
            "length": subset.length(chosen.train, self.steps) + (f"; {self.trial}" if self.trial else ""),
            "optimizer": f"{self.training_plugins.optimizer or chosen.optimizer.name}, "
            f"learning rate {chosen.optimizer.learning_rate:g}, "
            f"{self.training_plugins.schedule or chosen.schedule.name} after {self._warmup} of warm-up",
            **(
                {"metrics": "; ".join(map(str, self.training_plugins.metrics.values()))}
                if self.training_plugins.metrics
                else {}
            ),
            "watched in": "; ".join(map(str, self.trackers.values())) or "nothing but the run's own files",
            "best by": f"{self.metric}, {'higher' if self.higher_is_better else 'lower'} is better",
        }
        return "\n".join(f"{name:<10} {text}" for name, text in rows.items())
