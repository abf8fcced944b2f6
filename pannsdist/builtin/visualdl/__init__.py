"""Tracker plugin `visualdl`, the default tracker."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pannsdist.contracts import TrackedRun, UserError, param, shell_command

if TYPE_CHECKING:
    from pannsdist.builtin.visualdl.log import VisualDLTracker


@dataclass(frozen=True)
class VisualDLParams:
    """Settings under trackers.visualdl."""

    folder: str = param("vdl", "log folder below the run folder")


class VisualDL:
    """Logs scalars, images, audio and hyper-parameters to VisualDL.

    Source: https://github.com/PaddlePaddle/VisualDL
    """

    contract = 1
    Params = VisualDLParams
    look = "visualdl --logdir {folder}/vdl"

    def __init__(self, params: VisualDLParams) -> None:
        self.params = params
        if Path(params.folder).name != params.folder:
            raise UserError(
                f"trackers.visualdl.folder is {params.folder!r}",
                "give a single folder name; it is created below the run folder",
            )
        self.look = f"visualdl --logdir {{folder}}/{shell_command(params.folder)}"

    def open(self, run: TrackedRun) -> VisualDLTracker:
        """Start a log, or resume it after `run.from_step`."""
        from pannsdist.builtin.visualdl.log import VisualDLTracker

        return VisualDLTracker(run.folder / self.params.folder, run)
