"""The W&B run, with a local copy of everything logged, so that a resumed run stays one run without duplicates.

W&B cannot resume an offline run (0.31): each start creates a new folder, and data not yet written by a killed process
is lost. So each start creates a run with the same id, logs the local copy again, and deletes the earlier folder: there
is always exactly one complete folder.
"""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from pannsdist.contracts import EpochReport, StepReport, TestReport, TrackedRun, UserError
from pannsdist.contracts.lines import StepLines
from pannsdist.contracts.reporting import (
    AudioExcerpt,
    Histogram,
    Picture,
    Summary,
    epoch_points,
    epoch_summaries,
    step_points,
    test_points,
    test_summaries,
)
from pannsdist.contracts.writing import make_folder, remove, stream_atomic, write_atomic

if TYPE_CHECKING:
    from pannsdist_wandb.params import WandbParams

KEPT = "kept"
"""Folder of the local copy: lines.jsonl, media, and the run id."""


class WandbTracker:
    """Logs all reports as rows of the W&B history, by step."""

    _open: ClassVar[set[int]] = set()
    """Open trackers of this process, which share the W&B service process."""

    def __init__(self, params: WandbParams, run: TrackedRun) -> None:
        self._run, self._folder = run, run.folder / "wandb"
        earlier = sorted(self._folder.glob("offline-run-*"))
        _wait_for_another_second(earlier)
        self._wandb = _start_run(params, run, _run_id(self._folder / KEPT / "run_id"))
        self._lines = StepLines(self._folder / KEPT / "lines.jsonl", run.from_step)
        self._known = self._wandb.step  # online, earlier steps are on the server already
        for line in self._lines.kept:
            self._log(line["step"], {tag: value for tag, value in line.items() if tag != "step"})
        for folder in earlier:
            remove(folder)
        self._open.add(id(self))

    def steps(self, report: StepReport) -> None:
        """Log the points of training steps."""
        self._add(report.step, step_points(report))

    def epoch(self, report: EpochReport) -> None:
        """Log scores, images, audio and histograms at the epoch's last step."""
        self._add(report.step, epoch_points(report))
        self._add_items(epoch_summaries(self._run, report), report.step)

    def test(self, report: TestReport) -> None:
        """Log scores, images and audio of the test split at `report.step`."""
        self._add(report.step, test_points(report))
        self._add_items(test_summaries(self._run, report), report.step)

    def flush(self) -> None:
        """Flush the local copy to disk; W&B's own file follows within seconds, and can be recreated from the copy."""
        self._lines.flush()

    def close(self) -> None:
        """Finish the run, and stop the W&B service process unless another run uses it."""
        import wandb

        self._lines.close()
        self._wandb.finish()
        self._open.discard(id(self))
        if not self._open and wandb.run is None:
            wandb.teardown()

    def _add_items(self, items: Iterable[Summary], step: int) -> None:
        for item in items:
            self._add(step, self._as_value(item, step))

    def _add(self, step: int, values: Mapping[str, Any]) -> None:
        self._log(step, self._lines.add(step, values))

    def _log(self, step: int, values: Mapping[str, Any]) -> None:
        if values and step >= self._known:
            self._wandb.log({tag: self._as_shown(value) for tag, value in values.items()}, step=step)

    def _as_value(self, item: Summary, step: int) -> dict[str, Any]:
        """An item as JSON by tag; images and audio are written to files, and class curves are ignored."""
        if isinstance(item, Histogram):
            return {item.tag: {"counts": item.counts.tolist(), "edges": item.edges.tolist()}}
        if not isinstance(item, (Picture, AudioExcerpt)):
            return {}
        path = self._folder / KEPT / "media" / f"{item.tag}_{step}{'.png' if isinstance(item, Picture) else '.wav'}"
        make_folder(path.parent)
        name = path.relative_to(self._folder).as_posix()
        if isinstance(item, Picture):
            from PIL import Image

            stream_atomic(path, lambda file: Image.fromarray(item.pixels).save(file, format="PNG"))
            return {item.tag: {"picture": name}}
        import soundfile

        stream_atomic(path, lambda file: soundfile.write(file, item.waveform, item.rate_hz, format="WAV"))
        return {item.tag: {"sound": name, "caption": item.description}}

    def _as_shown(self, value: Any) -> Any:
        """A value of a line as a W&B object."""
        import wandb

        if not isinstance(value, dict):
            return value
        if "picture" in value:
            return wandb.Image(str(self._folder / value["picture"]))
        if "sound" in value:
            return wandb.Audio(str(self._folder / value["sound"]), caption=value["caption"])
        return wandb.Histogram(np_histogram=(value["counts"], value["edges"]))


def _wait_for_another_second(earlier: Iterable[Path]) -> None:
    """W&B (0.31) names a folder by the second; of two starts of a run in the same one, the later has no history."""
    names = [folder.name for folder in earlier]
    while any(time.strftime("%Y%m%d_%H%M%S") in name for name in names):
        time.sleep(0.05)


def _run_id(path: Path) -> str:
    """The W&B run id, created once, without the run's random generators."""
    if not path.exists():
        make_folder(path.parent)
        write_atomic(path, secrets.token_hex(6))
    return path.read_text(encoding="utf-8").strip()


def _start_run(params: WandbParams, run: TrackedRun, name: str) -> Any:
    """Start the W&B run without machine information, because run folders may be shared."""
    if params.mode == "offline":
        os.environ.setdefault("WANDB_ERROR_REPORTING", "false")  # otherwise W&B reports its own errors online
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
        right = "trackers.wandb.mode=offline needs no login; trackers.wandb=null disables the tracker"
        raise UserError(f"W&B cannot start the run: {error}", right, "wandb login") from error
