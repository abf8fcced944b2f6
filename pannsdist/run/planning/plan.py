"""A checked plan: the chosen parts and settings of a run, before anything is built from them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pannsdist.audio.mixup import Mixup
from pannsdist.contracts import FrontEnd
from pannsdist.kernels.choice import Choice
from pannsdist.run.planning.data import Data
from pannsdist.run.planning.frames import Frames
from pannsdist.run.planning.lengths import Lengths
from pannsdist.run.planning.metrics import BestMetric, score_names
from pannsdist.run.planning.selection import Plugins
from pannsdist.settings.schema import Settings
from pannsdist.training.optimization.freezing import BODY

if TYPE_CHECKING:
    import paddle


@dataclass(frozen=True)
class Plan:
    """The chosen parts and settings of a run. `weights` is the file that it starts from, None for random weights;
    in the plan of a dry run it may have to be downloaded first. `workers` are those of each process. `frames` are those
    of a run that learns sound events."""

    settings: Settings
    plugins: Plugins
    data: Data
    mixup: Mixup | None
    lengths: Lengths
    best_metric: BestMetric
    weights: Path | None
    world_size: int
    kernels: Choice
    workers: int
    frames: Frames | None = None

    def build_model(self) -> paddle.nn.Layer:
        """The network (B, 1, T, F) -> logits, with random weights of Paddle's generator."""
        plugin, frames = self.plugins.model.plugin, self.frames
        if frames is None:
            return plugin.build(self.data.labels, self.front_end)
        return plugin.build_frames(self.data.labels, self.front_end, frames.pooling)

    @property
    def frame_samples(self) -> int:
        """The samples of a frame of a network that answers by frame; 0 for one of clips."""
        return 0 if self.frames is None else self.frames.samples

    @property
    def front_end(self) -> FrontEnd:
        """The input of the network."""
        return self.plugins.front_end

    @property
    def masks_features(self) -> bool:
        """Whether SpecAugment masks the features, because the network has no masks of its own."""
        return bool(self.settings.train.spec_augment) and not self.plugins.model_masks

    @property
    def groups_by_length(self) -> bool:
        """Whether clips are padded to the longest of their batch, and in evaluation not at all."""
        return self.settings.train.group_by_length and not self.settings.train.overfit_batches

    @property
    def freezes_body(self) -> bool:
        """Whether the head alone is trained, at least until `train.unfreeze_epoch`."""
        return BODY in self.settings.train.freeze

    @property
    def score_names(self) -> list[str]:
        """Every score of an epoch, as split/metric; the loss alone where nothing is evaluated."""
        names = score_names(self.data, self.plugins.metrics)
        return names[:1] if self.settings.train.all_clips else names
