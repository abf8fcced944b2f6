"""Batches into a training process: how fast they come, and how long its steps wait for them.

    python benchmarks/data_loading.py [--data ESC-10] [--rounds N] [--workers N ...] [--processes N ...] [--quick]

`--data` is a folder with `audio/`, as ESC-50 is published; without it the files are noise of 5 s in Ogg at 44.1 kHz.
First, clips a second into a process, from two workers, beside two bare processes that only decode, mix to mono and
resample, by soundfile and soxr called directly. Arms alternate within each round, and ratios
are taken per round. Then training steps of panns_cnn6 on WAV files at the model's own rate, which cost nearly nothing
to read, as a cached sound does.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import mean

import numpy as np
import psutil
import soundfile
import soxr
from measuring import Table, interleave_several, parser, present

BARE, LOADED = "two bare processes that only decode", "a training process with two workers"
RATE_HZ, CLIP_S, BATCH = 32000, 5.0, 16
BEFORE = 3
"""Steps before the first one that is measured."""
CONFIG = """\
name: waiting
model: {{name: panns_cnn6}}
data: {{name: folder, params: {{root: "{root}"}}}}
train: {{epochs: 1000, max_steps: {steps}, batch_size: {batch}, crop_s: 5.0}}
schedule: {{name: constant, warmup_epochs: 0}}
trackers: {{visualdl: null}}
"""


@dataclass(frozen=True)
class Size:
    """Clips of a step, and steps before those that are measured."""

    batch: int
    before: int
    steps: int


def main() -> None:
    """Print the tables; with `--bare` or `--fit` be one of the processes that are measured."""
    if sys.argv[1:2] == ["--bare"]:
        decode([Path(word) for word in sys.argv[2:]])
        return
    if sys.argv[1:2] == ["--fit"]:
        fit(*sys.argv[2:])
        return
    arguments = parser("Batches into a training process.", rounds=5)
    arguments.add_argument("--data", "--esc10", type=Path, metavar="DIR", help="a folder with audio/ of Ogg files")
    arguments.add_argument("--clips", type=int, default=256, help="clips of each arm and round (default: 256)")
    arguments.add_argument("--steps", type=int, default=10, help="measured steps of each arm and round (default: 10)")
    arguments.add_argument("--workers", nargs="+", default=["0", "1", "2", "auto"], metavar="N", help="data.workers")
    arguments.add_argument("--processes", nargs="+", type=int, default=[2], metavar="N", help="processes of the runs")
    chosen = arguments.parse_args()
    size = Size(BATCH, BEFORE, chosen.steps)
    if chosen.quick:
        chosen.rounds, chosen.clips, chosen.workers, chosen.processes, size = 2, 32, ["0", "1"], [1], Size(2, 1, 1)
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        tables = throughput(ogg_files(chosen.data, work, chosen.clips), chosen.rounds)
        for count in chosen.processes:
            tables += waiting(work, count, chosen.workers, chosen.rounds, size)
    present(tables, chosen.json)


def ogg_files(data: Path | None, work: Path, clips: int) -> list[Path]:
    """So many files of the data set, or of noise."""
    if data is not None:
        return sorted((data / "audio").glob("*.ogg"))[:clips]
    (work / "noise").mkdir()
    files = [work / "noise" / f"{number}.ogg" for number in range(clips)]
    for number, file in enumerate(files):
        noise = np.random.default_rng(number).standard_normal(round(44100 * CLIP_S)) / 10
        soundfile.write(file, noise, 44100)
    return files


def throughput(files: Sequence[Path], rounds: int) -> list[Table]:
    """Clips a second into a training process with two workers, and into two bare ones; and their processor time."""

    def measured(arm: str) -> tuple[float, float]:
        wall_s, cpu_s = bare(files) if arm == BARE else loaded(files)
        return len(files) / wall_s, 1000 * cpu_s / len(files)

    speeds, cpu_ms = interleave_several([BARE, LOADED], rounds, "clips/s", measured)
    title = f"{len(files)} Ogg files of {CLIP_S:g} s, decoded, mixed to mono and resampled to {RATE_HZ} Hz"
    return [
        Table(title, "clips/s", speeds),
        Table("processor time of all processes", "ms per clip", cpu_ms, better="lower"),
    ]


def bare(files: Sequence[Path]) -> tuple[float, float]:
    """(wall, processor) seconds of two processes that begin together."""
    command = [sys.executable, str(Path(__file__).resolve()), "--bare"]
    processes = [
        subprocess.Popen(  # noqa: S603 - this program
            [*command, *map(str, files[part::2])], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for part in range(2)
    ]
    for process in processes:
        assert process.stdout is not None
        process.stdout.readline()
    start = time.perf_counter()
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    used_s = [float(process.stdout.readline()) for process in processes if process.stdout]
    wall_s = time.perf_counter() - start
    for process in processes:
        process.communicate()
    return wall_s, sum(used_s)


def decode(files: Sequence[Path]) -> None:
    """Decode files in this process, once a line of input has come; print the processor seconds."""
    samples(files[0])
    print("ready", flush=True)
    sys.stdin.readline()
    start = time.process_time()
    for file in files:
        samples(file)
    print(time.process_time() - start, flush=True)


def samples(file: Path) -> np.ndarray:
    """A file without any of this package: (S,) float32."""
    found, own_hz = soundfile.read(file, dtype="float32", always_2d=True)
    mono = found[:, 0] if found.shape[1] == 1 else found.mean(axis=1, dtype=np.float32)
    resampled: np.ndarray = soxr.resample(mono, own_hz, RATE_HZ, quality="HQ")[: round(RATE_HZ * CLIP_S)]
    return resampled


def loaded(files: Sequence[Path]) -> tuple[float, float]:
    """(wall, processor) seconds of reading an epoch with two workers, after another one."""
    from pannsdist.audio.batches import ClipTable, Shard, TrainingPlan
    from pannsdist.audio.clip_reader import ClipReader
    from pannsdist.audio.loader import Loader
    from pannsdist.contracts import Clip

    clips = [Clip(file.name, file, ("any",)) for file in files]
    reader = ClipReader(RATE_HZ, round(RATE_HZ * CLIP_S))
    plan = TrainingPlan(ClipTable(clips, np.zeros(len(clips), np.int64)), BATCH, 0, reader)
    with closing(Loader(2)) as loader:
        for _ in loader.read(plan.requests(1, Shard(0, 1))):
            pass
        workers = psutil.Process().children()
        before_s, start = processor_s(workers), time.perf_counter()
        for _ in loader.read(plan.requests(2, Shard(0, 1))):
            pass
        return time.perf_counter() - start, processor_s(workers) - before_s


def processor_s(workers: Sequence[psutil.Process]) -> float:
    """Processor seconds of this process and of these so far."""
    return time.process_time() + sum(sum(worker.cpu_times()[:2]) for worker in workers)


def waiting(work: Path, processes: int, workers: Sequence[str], rounds: int, size: Size) -> list[Table]:
    """Clips a second of a training run by its number of workers, and the percentage of its time that it waits."""
    root = work / "wav"
    if not root.exists():
        for split, label in ((split, label) for split in ("train", "valid") for label in ("a", "b")):
            (root / split / label).mkdir(parents=True)
            for number in range(64 if split == "train" else 1):
                noise = np.random.default_rng(number).standard_normal(round(RATE_HZ * CLIP_S)) / 10
                soundfile.write(root / split / label / f"{number}.wav", noise, RATE_HZ)

    def measured(arm: str) -> tuple[float, float]:
        speed, waited = run(work, root, processes, arm.split(maxsplit=1)[0].replace("no", "0"), size)
        return speed, 100 * waited

    names = {"0": "no worker", "1": "1 worker"}
    arms = [names.get(count, f"{count} workers") for count in workers]
    title = f"panns_cnn6, {processes} processes, {size.batch} clips of {CLIP_S:g} s a step, on a processor"
    speeds, waits = interleave_several(arms, rounds, "clips/s", measured)
    return [
        Table(title, "clips/s", speeds),
        Table(f"{title}: time spent waiting", "%", waits, better="lower", ratios=False),
    ]


def run(work: Path, root: Path, processes: int, workers: str, size: Size) -> tuple[float, float]:
    """(clips a second, part of the time that was spent waiting) of a training run of so many processes."""
    from pannsdist.run.launching.command import launcher_command

    with tempfile.TemporaryDirectory(dir=work) as folder:
        config = Path(folder) / "config.yaml"
        steps = size.before + size.steps + 1
        config.write_text(CONFIG.format(root=root, steps=steps, batch=size.batch), encoding="utf-8")
        script = [
            str(Path(__file__).resolve()),
            "--fit",
            folder,
            str(config),
            str(size.before),
            f"runs={folder}/runs",
            f"data.workers={workers}",
        ]
        launched = launcher_command(processes, Path(folder) / "log", (), script)
        command = [sys.executable, *script] if processes == 1 else launched
        subprocess.run(command, check=True, capture_output=True, cwd=folder)  # noqa: S603 - this program
        found = [json.loads(file.read_text(encoding="utf-8")) for file in Path(folder).glob("*.json")]
    seconds = mean(one["seconds"] for one in found)
    return size.batch * size.steps / seconds, mean(one["waited"] for one in found) / seconds


def fit(folder: str, config: str, before: str, *overrides: str) -> None:
    """Train in this process as train.py does; write how long the measured steps took, and waited."""
    from pannsdist.run import one_run
    from pannsdist.runtime import cpu, heap, launcher

    cpu.use_fast_kernels()
    heap.keep_freed_memory()
    plan = one_run.checked(Path(config), overrides, launcher.size())
    from pannsdist.training import step_sync

    starts: list[float] = []
    waits: list[float] = []
    read = step_sync._next_batch

    def timed(*given: object) -> object:
        starts.append(time.perf_counter())
        try:
            return partial(read, *given)()
        finally:
            waits.append(time.perf_counter() - starts[-1])

    step_sync._next_batch = timed  # type: ignore[assignment]
    one_run.carry_out(plan)
    first, last = int(before), len(starts) - 1
    found = {"seconds": starts[last] - starts[first], "waited": sum(waits[first:last])}
    (Path(folder) / f"{os.getpid()}.json").write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    main()
