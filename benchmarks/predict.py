"""Tagging speed in clips per second, from files to the printed table: our engines and panns-inference, interleaved.

    python benchmarks/predict.py [--rounds N] [--clips N] [--quick]

Ten-second clips of 16-bit WAV at 44.1 kHz, and `panns_cnn14` with the same random weights for all arms. Each arm is a
fresh process in every round: it tags nine clips to warm up (and compile), and then all clips, measured from the first
file to the last line of the table. Start-up and warm-up times are listed separately. `panns-inference` is measured if
it is installed with PyTorch, as in its documentation (one librosa.load and one call per clip), and in batches of eight.
Absolute numbers depend on the machine and its load; the ratios are comparable.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from importlib.util import find_spec
from pathlib import Path
from statistics import median

MODEL, CLIP_S, RATE_HZ, MODEL_RATE_HZ, TOPK = "panns_cnn14", 10, 44100, 32000, 10
BATCH = 8
OURS = ("default", "dygraph", "paddle", "onnx")
THEIRS = ("panns-inference", "panns-inference, batches of 8")
FIRST = "default"


def main() -> None:
    """Run the arms in rounds and print a table; with `--worker`, run one arm."""
    parser = argparse.ArgumentParser(description="Clips tagged per second, as ratios from interleaved runs.")
    parser.add_argument("--rounds", type=int, default=3, help="rounds over all arms")
    parser.add_argument("--clips", type=int, default=24, help="clips to tag")
    parser.add_argument("--quick", action="store_true", help="one round of eight clips, as a smoke test")
    parser.add_argument("--worker", nargs=2, metavar=("ARM", "FOLDER"), help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.worker:
        work(chosen.worker[0], Path(chosen.worker[1]))
        return
    if chosen.quick:
        chosen.rounds, chosen.clips = 1, BATCH
    with tempfile.TemporaryDirectory(prefix="pannsdist-") as name:
        folder = Path(name)
        run("prepare", folder, clips=chosen.clips)
        arms = list(available())
        speeds: dict[str, list[float]] = {arm: [] for arm in arms}
        starts: dict[str, list[float]] = {arm: [] for arm in arms}
        for number in range(1, chosen.rounds + 1):
            for arm in arms:
                measured = run(arm, folder)
                speeds[arm].append(chosen.clips / measured["seconds"])
                starts[arm].append(measured["start"])
                text = f"{speeds[arm][-1]:.2f} clips/s, ready after {starts[arm][-1]:.1f} s"
                print(f"  round {number}/{chosen.rounds}  {arm}: {text}", file=sys.stderr, flush=True)
    print("\n".join(table(speeds, starts)))


def available() -> Iterable[str]:
    """The arms whose packages are installed."""
    yield from OURS if find_spec("onnx") and find_spec("onnxruntime") else OURS[:-1]
    if find_spec("panns_inference") and find_spec("torch"):
        yield from THEIRS


def run(arm: str, folder: Path, clips: int = 0) -> dict[str, float]:
    """Run one arm in its own process. Raises SystemExit with its output if it fails."""
    # panns-inference reads its table of classes from the home folder, and downloads it if missing.
    environment = {**os.environ, "HOME": str(folder), "BENCHMARK_CLIPS": str(clips)}
    command = [sys.executable, __file__, "--worker", arm, str(folder)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode != 0:
        raise SystemExit(f"{arm} failed with code {done.returncode}\n{done.stdout}{done.stderr}")
    return dict(json.loads(done.stdout.splitlines()[-1]))


def table(speeds: dict[str, list[float]], starts: dict[str, list[float]]) -> Iterable[str]:
    """A Markdown table: clips per second, the ratio to the first arm, seconds to start and compile."""
    yield "| arm | clips/s, median (min-max) | ratio to the default, median of the rounds (min-max) | ready after, s |"
    yield "|---|---|---|---|"
    for arm, values in speeds.items():
        ratios = [value / base for value, base in zip(values, speeds[FIRST], strict=True)]
        yield f"| {arm} | {spread(values)} | {spread(ratios)} | {median(starts[arm]):.1f} |"


def spread(values: Sequence[float]) -> str:
    """`median (min-max)`."""
    return f"{median(values):.2f} ({min(values):.2f}-{max(values):.2f})"


def work(arm: str, folder: Path) -> None:
    """Run an arm: start, warm up, tag all clips, and print the seconds of start and tagging."""
    start = time.perf_counter()
    if arm == "prepare":
        prepare(folder, int(os.environ["BENCHMARK_CLIPS"]))
        print(json.dumps({}))
        return
    tag = ours(arm, folder) if arm in OURS else theirs(arm, folder)
    files = sorted(str(path) for path in folder.glob("clip*.wav"))
    with contextlib.redirect_stdout(io.StringIO()):
        tag(files[:1] * (BATCH + 1))
    ready = time.perf_counter()
    with contextlib.redirect_stdout(io.StringIO()) as written:
        tag(files)
    done = time.perf_counter()
    lines = written.getvalue().splitlines()
    assert len(lines) == len(files), f"{len(lines)} lines for {len(files)} files"
    print(json.dumps({"start": ready - start, "seconds": done - ready}))


def ours(arm: str, folder: Path) -> Callable[[list[str]], None]:
    """The function behind `pannsdist tag`, with one of our engines."""
    from pannsdist.runtime import console

    console.quiet_paddle()
    console.quiet_compiler()
    from pannsdist.cli import sounds
    from pannsdist.inference.model import load_model

    model = load_model(MODEL, str(folder / "cnn14.pth"), None if arm == "default" else arm)

    def tag(files: list[str]) -> None:
        sounds.predict(model, [Path(name) for name in files], TOPK, "table")

    return tag


def theirs(arm: str, folder: Path) -> Callable[[list[str]], None]:
    """panns-inference, with the same weights."""
    import librosa
    import numpy as np
    import torch
    from panns_inference import AudioTagging, labels
    from panns_inference.models import Cnn14

    torch.set_num_threads(len(os.sched_getaffinity(0)))
    checkpoint = folder / "panns.pth"
    if not checkpoint.is_file():
        # Its loader also needs the weights of its fixed front end, which our files do not contain.
        network = Cnn14(
            sample_rate=32000, window_size=1024, hop_size=320, mel_bins=64, fmin=50, fmax=14000, classes_num=527
        )
        state = {**network.state_dict(), **torch.load(folder / "cnn14.pth", weights_only=True)}
        torch.save({"model": state}, checkpoint)
    tagger = AudioTagging(checkpoint_path=str(checkpoint), device="cpu")
    size = BATCH if arm == THEIRS[1] else 1

    def tag(files: list[str]) -> None:
        for first in range(0, len(files), size):
            batch = files[first : first + size]
            clips = np.stack([librosa.load(path, sr=MODEL_RATE_HZ, mono=True)[0] for path in batch])
            scores, _ = tagger.inference(clips)
            for path, row in zip(batch, scores, strict=True):
                order = np.argsort(-row)[:TOPK]
                print(f"{path}  " + "  ".join(f"{labels[i]} {row[i]:.4f}" for i in order))

    return tag


def prepare(folder: Path, clips: int) -> None:
    """Write the clips, the weights in the original format, and the table of classes."""
    import shutil

    import numpy as np
    import paddle
    import soundfile

    import pannsdist.inference.audioset
    from pannsdist.registry import Catalog
    from pannsdist.weights.conversion import convert

    random = np.random.default_rng(0)
    for number in range(clips):
        clip = random.normal(0, 0.1, CLIP_S * RATE_HZ)
        soundfile.write(folder / f"clip{number:03d}.wav", clip, RATE_HZ, subtype="PCM_16")
    plugin_class = Catalog.installed().models.find(MODEL).load()
    paddle.seed(0)
    layer = plugin_class(plugin_class.Params()).build(pannsdist.inference.audioset.labels(), plugin_class.front_end)
    paddle.save(layer.state_dict(), str(folder / "cnn14.pdparams"))
    convert(folder / "cnn14.pdparams", folder / "cnn14.pth", layer)
    (folder / "panns_data").mkdir()
    shutil.copy(
        Path(pannsdist.inference.audioset.__file__).with_name("class_labels.csv"),
        folder / "panns_data" / "class_labels_indices.csv",
    )


if __name__ == "__main__":
    main()
