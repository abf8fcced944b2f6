"""Which clips each step was trained on, although processes were killed and steps were repeated.

The processes of `tiny` note it themselves, in the folder `ledger` of their working folder, where there is one. They
read the clips of a split, or save, slowly while a test wishes it.
"""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

FOLDER, STARTS = "ledger", "starts.jsonl"
SECONDS = {"train": 1.0, "valid": 0.5, "save": 3.0}
"""How long it takes to read a clip of a split, or to save, when it is slow."""
IMPORTED_NS = time.monotonic_ns()
"""Before the processes join each other, so before rank 0 opens its trackers."""


def note(name: str) -> None:
    """Note that this process reads a clip."""
    if Path(FOLDER).is_dir():
        _linger(name.partition("/")[0])
        rank = os.environ.get("PADDLE_TRAINER_ID", "0")
        with (Path(FOLDER) / f"{_start()}.{rank}.{IMPORTED_NS}").open("a") as file:
            file.write(f"{name}\n")


def _start() -> str:
    """What the processes of one start have in common, and hardly those of another: the port of rank 0."""
    return os.environ.get("PADDLE_TRAINER_ENDPOINTS", "alone").partition(",")[0].rpartition(":")[2]


def _linger(what: str) -> None:
    """Take some seconds, and say so, where a test wishes it."""
    if (Path(FOLDER) / f"slow_{what}").exists():
        (Path(FOLDER) / f"in_{what}").touch()
        time.sleep(SECONDS[what])


def slow(work: Path, what: str) -> None:
    """From now on the processes take some seconds for each `train` or `valid` clip, or `save`."""
    (work / FOLDER / f"slow_{what}").touch()


def is_in(work: Path, what: str) -> bool:
    """Whether a process has begun what is slow."""
    return (work / FOLDER / f"in_{what}").exists()


def fast(work: Path) -> None:
    """From now on nothing is slow."""
    for what in SECONDS:
        (work / FOLDER / f"slow_{what}").unlink(missing_ok=True)


@dataclass(frozen=True)
class LedgerParams:
    """None."""


class Ledger:
    """A tracker that notes from which step each start of the processes goes on."""

    Params = LedgerParams
    look = ""

    def __init__(self, params: LedgerParams) -> None:
        self.params = params

    def open(self, run) -> Ledger:
        if Path(FOLDER).is_dir():
            world = int(os.environ.get("PADDLE_TRAINERS_NUM", "1"))
            record = {"start": _start(), "after_step": run.from_step, "world": world, "ns": time.monotonic_ns()}
            with (Path(FOLDER) / STARTS).open("a") as file:
                file.write(json.dumps(record) + "\n")
        return self

    def steps(self, report) -> None:
        """Nothing."""

    def epoch(self, report) -> None:
        """Nothing."""

    def flush(self) -> None:
        _linger("save")

    def close(self) -> None:
        """Nothing."""


def trained(work: Path, batch: int, steps: int) -> dict[int, list[str]]:
    """The clips of each step, of the last start that has done it: the next one goes on from its checkpoint."""
    folder = work / FOLDER
    starts = [json.loads(line) for line in (folder / STARTS).read_text().splitlines()]
    of_step = {step: start for start in starts for step in range(start["after_step"] + 1, steps + 1)}
    read = {id(start): _read(folder, start) for start in starts}
    found = {}
    for step, start in of_step.items():
        count, place = batch // start["world"], step - start["after_step"] - 1
        found[step] = [name for names in read[id(start)] for name in names[place * count : (place + 1) * count]]
    return found


def _read(folder: Path, start: Mapping) -> list[list[str]]:
    """The clips of the training split that each process of a start has read, in order."""
    found = []
    for rank in range(start["world"]):
        files = folder.glob(f"{start['start']}.{rank}.*")
        imported = {int(path.suffix[1:]): path for path in files}
        own = [moment for moment in imported if moment < start["ns"]]
        names = imported[max(own)].read_text().splitlines() if own else []
        found.append([name for name in names if name.startswith("train/")])
    return found


def lost(of_step: Mapping[int, Sequence[str]], clips: Sequence[str], epochs: int) -> list[str]:
    """Each clip that an epoch has not trained on exactly once, with the epoch."""
    per_epoch = len(of_step) // epochs
    found = []
    for epoch in range(epochs):
        used = Counter(name for step in range(per_epoch) for name in of_step[epoch * per_epoch + step + 1])
        used.subtract(clips)
        found += [f"epoch {epoch + 1}: {name} {1 + count} times" for name, count in used.items() if count]
    return found
