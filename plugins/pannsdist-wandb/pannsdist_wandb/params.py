"""The params of the tracker `wandb`."""

from __future__ import annotations

from dataclasses import dataclass, field

from pannsdist.contracts import param


@dataclass(frozen=True)
class WandbParams:
    """What stands under trackers.wandb. A key is none of it: `wandb login` and WANDB_API_KEY are where W&B takes it."""

    mode: str = param("offline", "offline: nothing leaves the machine", choices=("offline", "online"))
    project: str = param("pannsdist", "project that the run belongs to")
    entity: str = param("", "user or team; empty: that of the login")
    tags: list[str] = field(default_factory=list, metadata={"doc": "words that the run is found by"})
