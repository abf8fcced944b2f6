"""Tagging speed in clips per second, from files to the printed table: our engines and panns-inference, interleaved.

    python benchmarks/predict.py [--model NAME] [--rounds N] [--clips N] [--arms NAME...] [--peers PYTHON] [--quick]

Ten-second clips of 16-bit WAV at 44.1 kHz, and `panns_cnn14` with the same random weights for all arms. Each arm is a
fresh process in every round: it tags nine clips to warm up (and compile), and then all clips, measured from the first
file to the last line of the table. Start-up and warm-up times are listed separately. With `--peers`, a Python that
has panns-inference, that is measured as in its documentation (one librosa.load and one call per clip), in batches
of eight, and so in bfloat16 (its network in channels_last under torch.autocast). Rows that end in bf16 have that
precision, where this processor has it.
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
from pathlib import Path

from measuring import Table, interleave_several, parser, present

MODEL, CLIP_S, RATE_HZ, MODEL_RATE_HZ, TOPK = "panns_cnn14", 10, 44100, 32000, 10
BATCH = 8
OURS = ("default", "dygraph", "paddle", "onnx", "onednn", "default bf16", "paddle bf16", "onednn bf16")
THEIRS = ("panns-inference", "panns-inference, batches of 8", "panns-inference, batches of 8, bf16")
QUICK = "efficientat_mn04"
"""A small network, for the smoke test."""


def main() -> None:
    """Run the arms in rounds and print a table; with `--worker`, run one arm."""
    arguments = parser("Clips tagged per second, as ratios from interleaved runs.")
    arguments.add_argument("--clips", type=int, default=24, help="clips to tag")
    arguments.add_argument("--model", default=MODEL, help=f"model plugin (default: {MODEL})")
    arguments.add_argument("--arms", nargs="+", choices=(*OURS, *THEIRS), metavar="NAME", help="rows (default: all)")
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

    def measured(arm: str) -> tuple[float, float, float]:
        found = run(arm, folder, chosen)
        return float(chosen.clips / found["seconds"]), found["core_s"] / chosen.clips, found["start"]

    arms = [arm for arm in OURS if possible(arm)]
    if chosen.quick:
        arms = [arm for arm in arms if arm in ("default", "onnx")]
    elif chosen.peers:
        arms += THEIRS
    if chosen.arms:
        arms = [arm for arm in arms if arm in chosen.arms]
    title = f"{chosen.model}: {chosen.clips} clips of {CLIP_S} s"
    speeds, cores, starts = interleave_several(arms, chosen.rounds, "clips/s", measured)
    ready = Table(f"{title}: start, compilation and warm-up", "seconds", starts, better="lower", ratios=False)
    busy = Table(f"{title}: seconds of all cores together", "s/clip", cores, better="lower", ratios=False)
    return [Table(f"{title}: tagged, from files to the table", "clips/s", speeds), busy, ready]


def possible(arm: str) -> bool:
    """Whether one of our engines is installed, and its precision is one of this processor."""
    name, _, precision = arm.partition(" ")
    from pannsdist.inference.engines.kinds import engine_kind
    from pannsdist.runtime.errors import UserError

    try:
        engine_kind("paddle" if name == "default" else name, precision or "fp32")
    except UserError:
        return False
    return True


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
    ready, busy = time.perf_counter(), time.process_time()
    with contextlib.redirect_stdout(io.StringIO()) as written:
        tag(files)
    done, busy = time.perf_counter(), time.process_time() - busy
    lines = written.getvalue().splitlines()
    assert len(lines) == len(files), f"{len(lines)} lines for {len(files)} files"
    print(json.dumps({"start": ready - start, "seconds": done - ready, "core_s": busy}))


def ours(arm: str, name: str, folder: Path) -> Callable[[list[str]], None]:
    """The function behind `pannsdist tag`, with one of our engines."""
    from pannsdist.runtime import console, heap

    heap.keep_freed_memory()  # as the command does
    console.quiet_paddle()
    console.quiet_compiler()
    from pannsdist.cli import sounds
    from pannsdist.cli.formats import Output
    from pannsdist.inference.model import load_model

    engine, _, precision = arm.partition(" ")
    chosen = None if engine == "default" else engine
    model = load_model(name, str(folder / "weights.pth"), chosen, precision=precision or None)

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
    size, is_half = (1 if arm == THEIRS[0] else BATCH), arm == THEIRS[2]
    if is_half:
        tagger.model.to(memory_format=torch.channels_last)

    def scores_of(clips: np.ndarray) -> np.ndarray:
        if not is_half:
            return np.asarray(tagger.inference(clips)[0])
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
            output = tagger.model.eval()(torch.from_numpy(clips), None)
        return np.asarray(output["clipwise_output"].float().numpy())

    def tag(files: list[str]) -> None:
        for first in range(0, len(files), size):
            batch = files[first : first + size]
            clips = np.stack([librosa.load(path, sr=MODEL_RATE_HZ, mono=True)[0] for path in batch])
            for path, row in zip(batch, scores_of(clips), strict=True):
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
