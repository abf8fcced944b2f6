"""What float16 and int8 exports lose and gain on ESC-10: accuracy on held-out clips, bytes, and speed.

    python benchmarks/small_exports.py --data ESC-10 [--weights FILE] [--rounds N] [--quick]

`--data` is a folder with `audio/` and `meta/esc50.csv`, as ESC-50 is published. For each of its five folds
`pannsdist probe` trains a head on the other four, with the body of `efficientat_mn04` as it was trained on AudioSet;
`pannsdist export` makes the three precisions of it, calibrated on clips of those four, and judged on the fold itself.
Speed is that of the first fold's graphs.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from measuring import Table, interleave, parser, present, say

FOLDS = range(1, 6)
PRECISIONS = ("fp16", "int8")
BATCH = 8


def main() -> None:
    """Print the tables."""
    arguments = parser("Exports of ESC-10 in float16 and int8.", rounds=7)
    arguments.add_argument("--data", type=Path, required=True, help="folder with audio/ and meta/esc50.csv")
    arguments.add_argument("--weights", default="", help="weights of the network, a file (default: those published)")
    chosen = arguments.parse_args()
    folds, rounds = (FOLDS[:1], 1) if chosen.quick else (FOLDS, chosen.rounds)
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        found = {fold: exported(work / str(fold), chosen, fold) for fold in folds}
        tables = [*scores(found), *sizes(found[1]), speed(work / "1", rounds)]
    present(tables, chosen.json)


def exported(work: Path, chosen: Any, fold: int) -> dict[str, Any]:
    """The exports of one fold in `work`; what `export.json` says of the small ones, by precision."""
    work.mkdir()
    overrides = [f"data.params.root={chosen.data.resolve()}", f"data.params.valid_fold={fold}", "data.workers=0"]
    weights = [f"model.weights={Path(chosen.weights).resolve()}"] if chosen.weights else []
    quick = ["train.crop_s=1", "valid.crop_s=1"] if chosen.quick else []
    pannsdist(work, "probe", "-c", "recipe:esc10_mn04", *overrides, *weights, *quick)
    model = next((work / "runs").glob("*/best_model"))
    order = ["export", "--model", str(model), "--format", "onnx"]
    pannsdist(work, *order, "-o", "fp32")
    for precision in PRECISIONS:
        pannsdist(work, *order, "--precision", precision, "--max-loss", "1", "-o", precision)
    return {precision: record(work / precision)["small"] for precision in PRECISIONS}


def pannsdist(work: Path, *words: str) -> None:
    """Run a command in a folder. Raises SystemExit if it fails."""
    done = subprocess.run(  # noqa: S603 - our own command
        [sys.executable, "-m", "pannsdist", *words], cwd=work, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise SystemExit(f"pannsdist {' '.join(words)} failed:\n{done.stdout}{done.stderr}")
    say(f"  {work.name}: pannsdist {words[0]}")


def record(folder: Path) -> dict[str, Any]:
    """The content of `export.json`."""
    found: dict[str, Any] = json.loads((folder / "export.json").read_text(encoding="utf-8"))
    return found


def scores(found: Mapping[int, dict[str, Any]]) -> list[Table]:
    """Accuracy of each fold on its held-out clips, of the exact and the small graphs, and how far they agree."""
    judged = {name: [one[name]["judgement"] for one in found.values()] for name in PRECISIONS}
    clips = sum(one["clips"] for one in judged["int8"])
    accuracy = {"fp32": [float(np.mean([one["exact"] for one in judged["int8"]]))]}
    accuracy |= {name: [float(np.mean([one["small"] for one in rows]))] for name, rows in judged.items()}
    same = {name: [float(np.mean([one["same"] for one in rows]))] for name, rows in judged.items()}
    differences = {name: [max(one["difference"] for one in rows)] for name, rows in judged.items()}
    return [
        Table(f"ESC-10: accuracy on {clips} held-out clips", "fraction right", accuracy, ratios=False),
        Table("the same decision as fp32", "fraction of the clips", same, ratios=False),
        Table("the largest difference of a probability", "probability", differences, "lower", ratios=False),
    ]


def sizes(small: Mapping[str, Any]) -> list[Table]:
    """MB of the network's weights, and of what is around it."""
    exact = small["int8"]["exact"]
    rows = {"fp32": exact, **{name: one["small"] for name, one in small.items()}}
    return [
        Table(title, "MB", {name: [row[key] / 1e6] for name, row in rows.items()}, "lower")
        for title, key in (("weights of the network", "network"), ("front end and windows", "around"))
    ]


def speed(work: Path, rounds: int) -> Table:
    """Windows per second of the three graphs, in turn."""
    graphs = {name: graph(work / name / "model.onnx") for name in ("fp32", *PRECISIONS)}
    samples = record(work / "fp32")["windows"]["window_samples"]
    waveforms = np.random.default_rng(0).normal(0, 0.1, (BATCH, samples)).astype(np.float32)
    for one in graphs.values():
        one(waveforms)
    rows = interleave(graphs, rounds, "windows/s", lambda name: BATCH / seconds(graphs[name], waveforms))
    return Table("windows of a clip per second in onnxruntime", "windows/s", rows)


def graph(path: Path) -> Callable[[np.ndarray], np.ndarray]:
    """An exported graph on all cores."""
    from pannsdist.inference.engines.onnx_runtime import load_onnx

    return load_onnx(path)


def seconds(run: Callable[[np.ndarray], np.ndarray], waveforms: np.ndarray) -> float:
    """How long one batch takes."""
    begin = time.perf_counter()
    run(waveforms)
    return time.perf_counter() - begin


if __name__ == "__main__":
    main()
