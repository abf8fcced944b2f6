"""VisualDL, where a run is watched unless the settings say otherwise."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pannsdist.contracts import TrackedRun, UserError, param

if TYPE_CHECKING:
    from pannsdist.builtin.visualdl.log import VisualDLTracker


@dataclass(frozen=True)
class VisualDLParams:
    """What stands under trackers.visualdl."""

    folder: str = param("vdl", "the log's folder, in that of the run")


class VisualDL:
    """Curves, pictures, sounds and hyper-parameters in VisualDL.

    Source: https://github.com/PaddlePaddle/VisualDL
    """

    contract = 1
    Params = VisualDLParams
    look = "visualdl --logdir {folder}/vdl"

    def __init__(self, params: VisualDLParams) -> None:
        self.params = params
        if Path(params.folder).name != params.folder:
            raise UserError(f"trackers.visualdl.folder is {params.folder!r}", "one name: a folder in that of the run")
        self.look = f"visualdl --logdir {{folder}}/{params.folder}"

    def open(self, run: TrackedRun) -> VisualDLTracker:
        """Begin, or go on with what was logged up to `run.from_step`."""
        from pannsdist.builtin.visualdl.log import VisualDLTracker

        return VisualDLTracker(run.folder / self.params.folder, run)
