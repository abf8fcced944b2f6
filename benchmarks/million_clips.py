"""What a manifest of a million clips costs before and in a run: seconds of each part, and memory.

    python benchmarks/million_clips.py [--clips N] [--processes N]

It writes a table of clips with one to three of 527 labels and three splits, and an empty file for each, into a
temporary folder, a thousand to a folder. All parts are measured once, in one process, in the order of the table.
"""

from __future__ import annotations

import os
import random
import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from measuring import Table, plain_parser, present, say

from pannsdist import settings
from pannsdist.audio.batches import EvaluationPlan, Shard, TrainingPlan
from pannsdist.audio.clip_reader import ClipReader
from pannsdist.audio.sampling import epoch_indices
from pannsdist.registry import Catalog
from pannsdist.run.data_record import data_record
from pannsdist.run.planning.data import Data, load_train_and_valid
from pannsdist.run.planning.selection import choose_dataset

LABELS, IN_A_FOLDER = 527, 1000
SPLITS = ("test", "valid", *["train"] * 18)
OF_ONE_PROCESS = 32
"""Clips of a batch that each process reads."""


def main() -> None:
    """Print both tables."""
    parser = plain_parser("What a manifest of a million clips costs.")
    parser.add_argument("--clips", type=int, default=1_000_000, metavar="N")
    parser.add_argument("--processes", type=int, default=1024, metavar="N", help="of the simulated epoch")
    chosen = parser.parse_args()
    clips, processes = (4000, 16) if chosen.quick else (chosen.clips, chosen.processes)
    with tempfile.TemporaryDirectory() as folder:
        say(f"  writing {clips} files")
        write(Path(folder), clips)
        before = peak_mb()
        seconds = measure(Path(folder), processes)
    rows = {name: [value] for name, value in seconds.items()}
    title = f"{clips:,} clips, {LABELS} labels, {processes} processes"
    memory = {"before": [before], "after": [peak_mb()]}
    tables = [
        Table(title, "s", rows, better="lower", ratios=False),
        Table("largest memory of the process", "MB", memory, better="lower", ratios=False),
    ]
    present(tables, chosen.json)


def write(folder: Path, clips: int) -> None:
    """The table and its files."""
    draws = random.Random(0)  # noqa: S311
    with (folder / "clips.csv").open("w", encoding="utf-8") as table:
        table.write("path,labels,split\n")
        for number in range(clips):
            name = f"audio/{number // IN_A_FOLDER:04d}/clip_{number:07d}.wav"
            if number % IN_A_FOLDER == 0:
                (folder / name).parent.mkdir(parents=True)
            os.close(os.open(folder / name, os.O_CREAT))
            labels = ";".join(f"label {label}" for label in draws.sample(range(LABELS), draws.randint(1, 3)))
            table.write(f"{name},{labels},{SPLITS[number % len(SPLITS)]}\n")


def measure(folder: Path, processes: int) -> dict[str, float]:
    """Seconds of each part."""
    found: dict[str, float] = {}

    @contextmanager
    def timed(name: str) -> Iterator[None]:
        started_s = time.perf_counter()
        yield
        found[name] = time.perf_counter() - started_s
        say(f"  {name}: {found[name]:.3g} s")

    keys = [
        f"data.params.path={folder / 'clips.csv'}",
        "data.name=manifest",
        "data.params.multi_label=true",
        "model.name=panns_cnn6",
    ]
    chosen, origin = settings.load({}, keys)
    with timed("listing"):
        dataset = choose_dataset(chosen.data, origin, Catalog.installed())
    with timed("checks, targets"):
        data = load_train_and_valid(dataset, chosen, origin)
    with timed("sizes of all files (rank 0)"):
        record = data_record(data)
    with timed("digest of the data (rank 0)"):
        _ = record.digest
    of_epochs(data, processes, timed)
    return found


def of_epochs(data: Data, processes: int, timed: Callable[[str], Any]) -> None:
    """The order of epochs, and which process reads what."""
    train, reader = data.splits["train"], ClipReader(32000, 160000)
    for sampling in ("shuffled", "balanced", "weighted"):
        with timed(f"order of an epoch, {sampling}"):
            epoch_indices(train.targets, sampling, 0, 1)
    plan = TrainingPlan(train, min(OF_ONE_PROCESS * processes, len(train)), 0, reader)
    with timed("batches of an epoch, one process"):
        _count(plan.requests(1, Shard(0, processes)))
    with timed("batches of an epoch, all processes"):
        order = plan.order(1)
        clips = sum(_count(plan.slices(order, 1, Shard(rank, processes))) for rank in range(processes))
    assert clips == plan.steps * plan.batch_size
    evaluation = EvaluationPlan(data.splits["valid"], OF_ONE_PROCESS, reader)
    with timed("ids of an evaluation"):
        assert len(set(evaluation.ids)) == len(data.splits["valid"])


def _count(requests: Iterator[Any]) -> int:
    return sum(len(request.clips) for request in requests)


def peak_mb() -> float:
    """The largest memory of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
