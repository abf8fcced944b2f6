"""Removing what finished runs no longer need, and runs that were not finished; never anything of a running one."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from pannsdist.run.listing import FINISHED, STOPPED, ListedRun, run_state
from pannsdist.runtime import reading, storage
from pannsdist.runtime.errors import BadRunFolder
from pannsdist.runtime.folder_lock import FolderLock, refuse_held
from pannsdist.training.checkpoint import DAMAGED, CheckpointStore

LOGS = ("log", "vdl", "tensorboard", "wandb")
"""The folders of the launcher's logs and of trackers. A link is removed, not the folder that it leads to."""


@dataclass(frozen=True)
class What:
    """What to remove: of finished runs all checkpoints but the latest, and their `logs`; `unfinished` runs whole.

    The latest stays because the command of a finished run would train it again without it.
    """

    logs: bool = False
    unfinished: bool = False


@dataclass(frozen=True)
class Removal:
    """Paths of a run that are to be removed, and their size."""

    run: ListedRun
    paths: tuple[Path, ...]
    size_bytes: int

    @property
    def line(self) -> str:
        """The removal as a line of text."""
        names = [path.relative_to(self.run.path).as_posix() for path in self.paths]
        if names == ["."]:
            best = f", best {self.run.best.metric} {self.run.best_value}" if self.run.best else ""
            what = f"the whole run, {self.run.epochs_done}/{self.run.epochs} epochs{best}"
        else:
            what = ", ".join(names)
        return f"{self.run.path}  {self.run.state}  {size(self.size_bytes)}  {what}"


def size(size_bytes: int) -> str:
    """A size in MiB."""
    return f"{size_bytes / 2**20:.1f} MiB"


def removals(runs: Sequence[ListedRun], what: What) -> list[Removal]:
    """What would be removed. Writes nothing. Raises CannotRead."""
    return [Removal(run, paths, sum(map(_bytes, paths))) for run in runs if (paths := _paths(run, what))]


def remove(removal: Removal, what: What) -> int:
    """Remove it with the run folder locked; the size of what was removed in bytes.

    Raises BadRunFolder for a run that is running, alone or in a series, or is in another state now; CannotWrite.
    """
    run = removal.run
    refuse_held(run.path.absolute().parent)
    lock = FolderLock.acquire(run.path, again=False)
    with closing(lock):
        if run_state(run.path) != run.state:
            raise BadRunFolder(f"{run.path} has changed meanwhile; nothing of it was removed", "repeat the command")
        paths = _paths(run, what)
        freed = sum(map(_bytes, paths))
        for path in paths:
            storage.remove(path)
    return freed


def _paths(run: ListedRun, what: What) -> tuple[Path, ...]:
    if run.state == STOPPED and what.unfinished:
        return (run.path,)
    if run.state != FINISHED:
        return ()
    folder = run.path / "checkpoints"
    older = [*CheckpointStore(folder, 1).folders[:-1], *_damaged(folder)]
    gone = {path.resolve() for path in older}
    places = [folder / name for name in sorted(reading.names_in(folder))]
    links = [path for path in places if path.is_symlink() and path.resolve() in gone]
    logs = [run.path / name for name in LOGS if os.path.lexists(run.path / name)] if what.logs else []
    return (*older, *links, *logs)


def _damaged(folder: Path) -> list[Path]:
    return [folder / name for name in sorted(reading.names_in(folder)) if name.endswith(DAMAGED)]


def _bytes(path: Path) -> int:
    """The size of a file or of all files in a folder; of a link 0."""
    if path.is_symlink():
        return 0
    if not reading.is_folder(path):
        return path.stat().st_size
    return sum(
        (Path(place) / name).lstat().st_size
        for place, _, names in os.walk(path)
        for name in names
        if not (Path(place) / name).is_symlink()
    )
