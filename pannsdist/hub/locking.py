"""The checkpoint folder of a `hub.Trainer`, locked against other processes while the trainer lives."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from pathlib import Path

from pannsdist.runtime import outputs
from pannsdist.runtime.folder_lock import FolderLock


def lock_for(trainer: object, folder: Path) -> Callable[[], None]:
    """Lock the folder until `trainer` is dropped or the process ends, however it ends. Rank 0 only.

    Other trainers of this process may lock it too, as where a cell of a notebook is run again. Gives a function that
    raises CannotWrite once the folder was removed or moved. Raises BadRunFolder where another process has the folder,
    CannotWrite where it cannot be written.
    """
    outputs.require_folder(folder, "checkpoint_dir")
    lock = FolderLock.acquire(folder)
    weakref.finalize(trainer, lock.close)
    return lock.check
