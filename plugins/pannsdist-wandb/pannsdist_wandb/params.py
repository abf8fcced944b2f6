"""The params of the tracker `wandb`."""

from __future__ import annotations

from dataclasses import dataclass, field

from pannsdist.contracts import param


@dataclass(frozen=True)
class WandbParams:
    """Settings under trackers.wandb. The API key is not among them: use `wandb login` or WANDB_API_KEY."""

    mode: str = param("offline", "offline: nothing is uploaded", choices=("offline", "online"))
    project: str = param("pannsdist", "W&B project of the run")
    entity: str = param("", "user or team; empty: the default of the login")
    tags: list[str] = field(default_factory=list, metadata={"doc": "tags of the run"})
