"""Tagging speed in clips per second, from files to the printed table: our engines and panns-inference, interleaved.

    python benchmarks/predict.py [--model NAME] [--rounds N] [--clips N] [--peers PYTHON] [--quick]

Ten-second clips of 16-bit WAV at 44.1 kHz, and `panns_cnn14` with the same random weights for all arms. Each arm is a
fresh process in every round: it tags nine clips to warm up (and compile), and then all clips, measured from the first
file to the last line of the table. Start-up and warm-up times are listed separately. With `--peers`, a Python that
has panns-inference, that is measured as in its documentation (one librosa.load and one call per clip) and in batches
of eight.
Absolute numbers depend on the machine and its load; the ratios are comparable.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
import tempfile
import time
from argparse import Namespace
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

from measuring import Table, interleave, parser, present

MODEL, CLIP_S, RATE_HZ, MODEL_RATE_HZ, TOPK = "panns_cnn14", 10, 44100, 32000, 10
BATCH = 8
OURS = ("default", "dygraph", "paddle", "onnx")
THEIRS = ("panns-inference", "panns-inference, batches of 8")
QUICK = "efficientat_mn04"
"""A small network, for the smoke test."""


def main() -> None:
    """Run the arms in rounds and print a table; with `--worker`, run one arm."""
    arguments = parser("Clips tagged per second, as ratios from interleaved runs.")
    arguments.add_argument("--clips", type=int, default=24, help="clips to tag")
    arguments.add_argument("--model", default=MODEL, help=f"model plugin (default: {MODEL})")
    arguments.add_argument("--peers", type=Path, metavar="PYTHON", help="a Python with PyTorch and panns-inference")
    arguments.add_argument("--worker", nargs=2, metavar=("ARM", "FOLDER"), help="of this program alone")
    chosen = arguments.parse_args()
    if chosen.worker:
        work(chosen.worker[0], chosen.model, Path(chosen.worker[1]), chosen.clips)
        return
    if chosen.quick:
        chosen.rounds, chosen.clips, chosen.model = 1, 2, QUICK
    with tempfile.TemporaryDirectory(prefix="pannsdist-") as name:
        present(measure(chosen, Path(name)), chosen.json)


def measure(chosen: Namespace, folder: Path) -> list[Table]:
    """Clips per second of each arm, and the seconds until it is ready."""
    run("prepare", folder, chosen)
    starts: dict[str, list[float]] = {}

    def clips_per_s(arm: str) -> float:
        measured = run(arm, folder, chosen)
        starts.setdefault(arm, []).append(measured["start"])
        return float(chosen.clips / measured["seconds"])

    arms = [*(OURS if find_spec("onnx") and find_spec("onnxruntime") else OURS[:-1])]
    if chosen.quick:
        arms = [arms[0], arms[-1]]
    elif chosen.peers:
        arms += THEIRS
    title = f"{chosen.model}: {chosen.clips} clips of {CLIP_S} s"
    speeds = interleave(arms, chosen.rounds, "clips/s", clips_per_s)
    ready = Table(f"{title}: start, compilation and warm-up", "seconds", starts, better="lower", ratios=False)
    return [Table(f"{title}: tagged, from files to the table", "clips/s", speeds), ready]


def run(arm: str, folder: Path, chosen: Namespace) -> dict[str, float]:
    """Run one arm in its own process. Raises SystemExit with its output if it fails."""
    # panns-inference reads its table of classes from the home folder, and downloads it if missing.
    environment = {**os.environ, "HOME": str(folder)}
    python = str(chosen.peers) if arm in THEIRS else sys.executable
    options = ["--model", chosen.model, "--clips", str(chosen.clips)]
    command = [python, __file__, "--worker", arm, str(folder), *options]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode != 0:
        raise SystemExit(f"{arm} failed with code {done.returncode}\n{done.stdout}{done.stderr}")
    return dict(json.loads(done.stdout.splitlines()[-1]))


def work(arm: str, model: str, folder: Path, clips: int) -> None:
    """Run an arm: start, warm up, tag all clips, and print the seconds of start and tagging."""
    start = time.perf_counter()
    if arm == "prepare":
        prepare(folder, model, clips)
        print(json.dumps({}))
        return
    tag = ours(arm, model, folder) if arm in OURS else theirs(arm, folder)
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


def ours(arm: str, name: str, folder: Path) -> Callable[[list[str]], None]:
    """The function behind `pannsdist tag`, with one of our engines."""
    from pannsdist.runtime import console

    console.quiet_paddle()
    console.quiet_compiler()
    from pannsdist.cli import sounds
    from pannsdist.cli.formats import Output
    from pannsdist.inference.model import load_model

    model = load_model(name, str(folder / "weights.pth"), None if arm == "default" else arm)

    def tag(files: list[str]) -> None:
        sounds.predict(model, [Path(name) for name in files], TOPK, Output(given="table"))

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
        state = {**network.state_dict(), **torch.load(folder / "weights.pth", weights_only=True)}
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


def prepare(folder: Path, model: str, clips: int) -> None:
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
    plugin_class = Catalog.installed().models.find(model).load()
    paddle.seed(0)
    layer = plugin_class(plugin_class.Params()).build(pannsdist.inference.audioset.labels(), plugin_class.front_end)
    paddle.save(layer.state_dict(), str(folder / "weights.pdparams"))
    convert(folder / "weights.pdparams", folder / "weights.pth", layer)
    (folder / "panns_data").mkdir()
    shutil.copy(
        Path(pannsdist.inference.audioset.__file__).with_name("class_labels.csv"),
        folder / "panns_data" / "class_labels_indices.csv",
    )


if __name__ == "__main__":
    main()
