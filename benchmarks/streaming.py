"""Speed of a stream on one core, and how long it holds sound back.

    python benchmarks/streaming.py [--seconds N] [--model NAME] [--arms NAME...] [--rounds N] [--quick]

The sound is noise at 44.1 kHz, and the weights are random: the speed does not depend on them. Each arm is a process of
its own in every round, on one core alone. It pushes pieces of a length, windows of 1 s every 0.25 s, first for some
seconds, in which an engine compiles, and then for those that are measured. Real time is 1 s of sound in a second. The
second table is of the processor's time, which other work on the machine changes little; the third has no time in it:
it is how much of a sound has arrived at most that the resampler has not let go, for the rates of the sound and of the
network.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from argparse import Namespace
from pathlib import Path

import detection
import numpy as np
from measuring import Table, interleave_several, parser, present

MODEL, SECONDS, RATE_HZ, WINDOW_S, HOP_S = "efficientat_mn04", 120.0, 44100, 1.0, 0.25
WARM_UP_S = 15.0
ARMS = {
    "engine of the table, pieces of 20 ms": ("", 0.02),
    "engine of the table, pieces of 2 s": ("", 2.0),
    "onnx, pieces of 20 ms": ("onnx", 0.02),
    "onnx, pieces of 2 s": ("onnx", 2.0),
}
RATES_HZ = ((44100, 32000), (48000, 32000), (16000, 32000), (8000, 32000), (44100, 16000), (48000, 16000))


def main() -> None:
    """Run the arms in rounds and print tables; with `--worker`, run one arm."""
    arguments = parser("Seconds of sound per second on one core, as ratios from interleaved runs.")
    arguments.add_argument("--seconds", type=float, default=SECONDS, help="length of the sound")
    arguments.add_argument("--model", default=MODEL, help=f"model plugin (default: {MODEL})")
    arguments.add_argument("--arms", nargs="+", choices=ARMS, metavar="NAME", default=list(ARMS), help="rows")
    arguments.add_argument("--worker", nargs=2, metavar=("ARM", "FOLDER"), help="of this program alone")
    chosen = arguments.parse_args()
    if chosen.worker:
        work(chosen.worker[0], Path(chosen.worker[1]), chosen.seconds)
        return
    if chosen.quick:
        chosen.rounds, chosen.seconds, chosen.model, chosen.arms = 1, 3.0, "efficientat_mn01", list(ARMS)[-1:]
    with tempfile.TemporaryDirectory(prefix="pannsdist-") as name:
        detection.prepare(Path(name), Namespace(minutes=0.0, model=chosen.model, classes=detection.CLASSES))
        present([*speeds(chosen, Path(name)), delays()], chosen.json)


def speeds(chosen: Namespace, folder: Path) -> list[Table]:
    """Seconds of sound per second of each arm, by the clock and by the processor's time."""

    def measured(arm: str) -> tuple[float, float]:
        command = [sys.executable, __file__, "--worker", arm, str(folder), "--seconds", str(chosen.seconds)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
        if done.returncode != 0:
            raise SystemExit(f"{arm} failed with code {done.returncode}\n{done.stdout}{done.stderr}")
        found = json.loads(done.stdout.splitlines()[-1])
        return chosen.seconds / found["seconds"], chosen.seconds / found["core_s"]

    title = f"{chosen.model}, windows of {WINDOW_S:g} s every {HOP_S:g} s, one core"
    walls, cores = interleave_several(chosen.arms, chosen.rounds, "s of sound/s", measured)
    of_core = Table(f"{title}: by the time of the processor", "s of sound/CPU s", cores, ratios=False)
    return [Table(f"{title}: a stream", "s of sound/s", walls), of_core]


def work(arm: str, folder: Path, seconds: float) -> None:
    """Run an arm on one core: warm up, push the sound, and print what it took."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    os.environ["OMP_NUM_THREADS"] = "1"
    from pannsdist.inference.model import load_model
    from pannsdist.runtime import console, heap

    heap.keep_freed_memory()  # as the command does
    console.quiet_paddle()
    engine, piece_s = ARMS[arm]
    stream = load_model(folder / "clips", "", engine or None, WINDOW_S, HOP_S).stream(RATE_HZ, 1.0)
    samples = np.random.default_rng(0).normal(0, 0.1, round(10 * RATE_HZ)).astype(np.float32)
    size, windows = round(piece_s * RATE_HZ), 0
    for length_s in (WARM_UP_S, seconds):
        start, busy, pushed, windows = time.perf_counter(), time.process_time(), 0, 0
        while pushed < length_s * RATE_HZ:
            at = pushed % (len(samples) - size)
            stream.push(samples[at : at + size])
            pushed, windows = pushed + size, windows + len(stream.scores)
    found = {"seconds": time.perf_counter() - start, "core_s": time.process_time() - busy}
    assert abs(windows - seconds / HOP_S) <= 2 / HOP_S, f"{windows} windows in {seconds} s"
    print(json.dumps(found))


def delays() -> Table:
    """What the resampler holds back at most, in blocks of a millisecond."""
    from pannsdist.audio.arriving import Resampling

    rows = {}
    for own_hz, rate_hz in RATES_HZ:
        resampling, out, most_s = Resampling(own_hz, rate_hz), 0, 0.0
        for number in range(1, 12_000):  # beyond the border of two chunks
            first, end = ((number - 1) * own_hz // 1000, number * own_hz // 1000)
            out += len(resampling.add(np.zeros(end - first, np.float32)))
            most_s = max(most_s, end / own_hz - out / rate_hz)
        rows[f"{own_hz} Hz to {rate_hz} Hz"] = [1000 * most_s]
    return Table("Held back by the resampler at most", "ms", rows, better="lower", ratios=False)


if __name__ == "__main__":
    main()
