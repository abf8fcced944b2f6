"""What W&B is told, and kept beside it so that a run that goes on is one run in which nothing stands twice.

W&B cannot go on with an off-line run (0.31): each start makes a folder of its own, and what a killed process had not
written yet is lost. So each start begins anew under the same id, says again what was kept, and clears the earlier
folder away: there is always one folder, and it is whole.
"""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from pannsdist.contracts import EpochReport, StepReport, TrackedRun, UserError
from pannsdist.contracts.lines import StepLines
from pannsdist.contracts.showing import AudioExcerpt, Histogram, Picture, Shown, epoch_points, shown, step_points

if TYPE_CHECKING:
    from pannsdist_wandb.params import WandbParams

KEPT = "kept"
"""The folder of what was told: lines.jsonl, media, the run's id."""


class WandbTracker:
    """Everything that is reported, as rows of W&B's history at the number of the step."""

    _open: ClassVar[set[int]] = set()
    """Those that are open in this process: they share what W&B started."""

    def __init__(self, params: WandbParams, run: TrackedRun) -> None:
        self._run, self._folder = run, run.folder / "wandb"
        earlier = sorted(self._folder.glob("offline-run-*"))
        self._wandb = _begun(params, run, _run_id(self._folder / KEPT / "run_id"))
        self._lines = StepLines(self._folder / KEPT / "lines.jsonl", run.from_step)
        self._known = self._wandb.step  # on-line, the steps below it are there already
        for line in self._lines.kept:
            self._log(line["step"], {tag: value for tag, value in line.items() if tag != "step"})
        for folder in earlier:
            shutil.rmtree(folder)
        self._open.add(id(self))

    def steps(self, report: StepReport) -> None:
        """Points at the step's number."""
        self._tell(report.step, step_points(report))

    def epoch(self, report: EpochReport) -> None:
        """Scores, and what else there is to show, at the number of the epoch's last step."""
        self._tell(report.step, epoch_points(report))
        for item in shown(self._run, report):
            self._tell(report.step, self._as_value(item, report.step))

    def flush(self) -> None:
        """Have on disk what was told; W&B's own file follows within seconds, and is made again of this if need be."""
        self._lines.flush()

    def close(self) -> None:
        """Write what is left, and end the process that W&B started, unless somebody else's run is in it."""
        import wandb

        self._lines.close()
        self._wandb.finish()
        self._open.discard(id(self))
        if not self._open and wandb.run is None:
            wandb.teardown()

    def _tell(self, step: int, values: Mapping[str, Any]) -> None:
        self._log(step, self._lines.add(step, values))

    def _log(self, step: int, values: Mapping[str, Any]) -> None:
        if values and step >= self._known:
            self._wandb.log({tag: self._as_shown(value) for tag, value in values.items()}, step=step)

    def _as_value(self, item: Shown, step: int) -> dict[str, Any]:
        """One thing that is shown as JSON by its tag; sound and picture are written into files. Curves are left out."""
        if isinstance(item, Histogram):
            return {item.tag: {"counts": item.counts.tolist(), "edges": item.edges.tolist()}}
        if not isinstance(item, (Picture, AudioExcerpt)):
            return {}
        path = self._folder / KEPT / "media" / f"{item.tag}_{step}{'.png' if isinstance(item, Picture) else '.wav'}"
        path.parent.mkdir(parents=True, exist_ok=True)
        name = path.relative_to(self._folder).as_posix()
        if isinstance(item, Picture):
            from PIL import Image

            Image.fromarray(item.pixels).save(path)
            return {item.tag: {"picture": name}}
        import soundfile

        soundfile.write(path, item.waveform, item.rate_hz)
        return {item.tag: {"sound": name, "caption": item.description}}

    def _as_shown(self, value: Any) -> Any:
        """A value of a line as W&B takes it."""
        import wandb

        if not isinstance(value, dict):
            return value
        if "picture" in value:
            return wandb.Image(str(self._folder / value["picture"]))
        if "sound" in value:
            return wandb.Audio(str(self._folder / value["sound"]), caption=value["caption"])
        return wandb.Histogram(np_histogram=(value["counts"], value["edges"]))


def _run_id(path: Path) -> str:
    """The id that W&B knows the run by; drawn once, and not from the run's own random numbers."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(secrets.token_hex(6), encoding="utf-8")
    return path.read_text(encoding="utf-8").strip()


def _begun(params: WandbParams, run: TrackedRun, name: str) -> Any:
    """W&B's run. What it would add of this machine is left out: a run's folder is passed on."""
    if params.mode == "offline":
        os.environ.setdefault("WANDB_ERROR_REPORTING", "false")  # it would report its own errors to its makers
    import wandb

    own = {f"x_disable_{what}": True for what in ("meta", "stats", "machine_info")}
    quiet = {"console": "off", "silent": True, "disable_git": True, "save_code": False, "symlink": False}
    try:
        return wandb.init(
            project=params.project,
            entity=params.entity or None,
            tags=list(params.tags),
            mode=params.mode,
            dir=run.folder,
            id=name,
            name=run.name,
            config=dict(run.hyper_parameters),
            resume="allow" if params.mode == "online" else None,
            reinit="create_new",
            settings=wandb.Settings(**quiet, **own, x_save_requirements=False),
        )
    except wandb.errors.Error as error:
        right = "trackers.wandb.mode=offline needs no login; trackers.wandb=null leaves it out"
        raise UserError(f"W&B does not begin: {error}", right, "wandb login") from error
