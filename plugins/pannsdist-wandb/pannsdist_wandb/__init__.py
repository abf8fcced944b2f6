"""The tracker `wandb` for pannsdist."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pannsdist.contracts import TrackedRun, param

if TYPE_CHECKING:
    from pannsdist_wandb.tracker import WandbTracker


@dataclass(frozen=True)
class WandbParams:
    """What stands under trackers.wandb. A key is none of it: `wandb login` and WANDB_API_KEY are where W&B takes it."""

    mode: str = param("offline", "offline: nothing leaves the machine", choices=("offline", "online"))
    project: str = param("pannsdist", "project that the run belongs to")
    entity: str = param("", "user or team; empty: that of the login")
    tags: list[str] = field(default_factory=list, metadata={"doc": "words that the run is found by"})


class WeightsAndBiases:
    """Curves, pictures, sounds and histograms in Weights & Biases; a folder to `wandb sync` later, or at once.

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
        """Begin, or go on with what was told up to `run.from_step`."""
        from pannsdist_wandb.tracker import WandbTracker

        return WandbTracker(self.params, run)
