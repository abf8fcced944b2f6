"""The tracker `wandb` for pannsdist."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pannsdist.contracts import TrackedRun
from pannsdist_wandb.params import WandbParams

if TYPE_CHECKING:
    from pannsdist_wandb.tracker import WandbTracker


class WeightsAndBiases:
    """Curves, images, audio and histograms in Weights & Biases, offline for `wandb sync`, or online.

    Source: https://docs.wandb.ai
    """

    contract = 1
    Params = WandbParams
    look = "wandb sync {folder}/wandb/offline-run-*"

    def __init__(self, params: WandbParams) -> None:
        self.params = params
        if params.mode == "online":
            self.look = ""

    def open(self, run: TrackedRun) -> WandbTracker:
        """Start logging, or resume after `run.from_step`."""
        from pannsdist_wandb.tracker import WandbTracker

        return WandbTracker(self.params, run)
