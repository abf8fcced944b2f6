"""What fitted decisions are worth on ESC-10: likelihood, F1, and sounds of no class, each judged on clips held out.

    python benchmarks/decisions.py --data ESC-10 [--weights FILE] [--quick]

`--data` is a folder with `audio/` and `meta/esc50.csv`, as ESC-50 is published. The body of `efficientat_mn04` stays as
it was trained on AudioSet; a linear head is trained on four of the five folds with the solver of `pannsdist probe`, and
decisions are fitted on the predictions of the other four heads for their own folds. Unknown sounds are each class in
turn, which no head and no decision has seen, and speech of `espeak-ng`, if it is installed. The model of the first fold
is exported.
"""

from __future__ import annotations

import csv
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from measuring import Table, plain_parser, present, say

MODEL, WINDOW_S, FOLDS, PENALTY = "efficientat_mn04", 5.0, 5, 1e-2
VOICES = ("en-gb", "en-us", "de", "fr", "es", "it", "cmn", "en-us+f3")
SENTENCES = (
    "The quick brown fox jumps over the lazy dog while seventeen engineers listen carefully.",
    "Please remember to bring the blue folder to the meeting room on the third floor tomorrow.",
    "Yesterday evening we walked along the river and counted forty two boats in the harbour.",
    "A sentence without any particular meaning is still a sentence, as every linguist will tell you.",
    "Numbers such as nine hundred and eighty one are hard to understand over a bad telephone line.",
)


@dataclass(frozen=True)
class Sounds:
    """Clips: their files, classes (N,), folds (N,) and what the head of the network gets (N, E)."""

    files: Sequence[Path]
    classes: np.ndarray
    folds: np.ndarray
    inputs: np.ndarray


def main() -> None:
    """Print the tables."""
    parser = plain_parser("Fitted decisions on ESC-10.")
    parser.add_argument("--data", type=Path, required=True, help="folder with audio/ and meta/esc50.csv")
    parser.add_argument("--weights", default="", help="weights of the network, a file (default: those published)")
    chosen = parser.parse_args()
    model = tagger(chosen.weights)
    sounds = read(model, chosen.data, 2 if chosen.quick else None)
    labels = tuple(sorted(set(sounds.classes)))
    tables = [*nested(sounds, labels, False), *nested(sounds, labels, True)]
    tables.append(unknown(model, sounds, labels[:1] if chosen.quick else labels, 1 if chosen.quick else len(VOICES)))
    tables.append(exported(model, sounds, labels))
    present(tables, chosen.json)


def tagger(weights: str) -> Any:
    """The published network."""
    from pannsdist.runtime import console

    console.quiet_paddle()
    console.quiet_compiler()
    from pannsdist.inference.model import load_model

    return load_model(MODEL, weights, "dygraph", WINDOW_S)


def read(model: Any, data: Path, clips_of_each: int | None) -> Sounds:
    """The clips of ESC-10, all or so many of each class and fold."""
    with (data / "meta" / "esc50.csv").open(encoding="utf-8", newline="") as table:
        rows = [row for row in csv.DictReader(table) if row["esc10"] == "True"]
    kept: dict[tuple[str, str], list[dict[str, str]]] = {}
    for row in rows:
        kept.setdefault((row["category"], row["fold"]), []).append(row)
    rows = [row for group in kept.values() for row in group[:clips_of_each]]
    names = [data / "audio" / row["filename"] for row in rows]
    files = [name if name.is_file() else name.with_suffix(".ogg") for name in names]
    say(f"  {len(files)} clips")
    inputs = head_inputs_of(model, files)
    return Sounds(
        files, np.array([row["category"] for row in rows]), np.array([int(row["fold"]) for row in rows]), inputs
    )


def head_inputs_of(model: Any, files: Sequence[Path]) -> np.ndarray:
    """(N, E): what the head gets for the first five seconds of each file."""
    from pannsdist.inference.heads import head_inputs
    from pannsdist.inference.sounds import beginning
    from pannsdist.registry import Catalog

    network, samples = model.inference_model.network, round(WINDOW_S * model.sample_rate_hz)
    head, parts = Catalog.installed().models.find(MODEL).load().head, []
    for start in range(0, len(files), 8):
        read = [beginning(file, model.sample_rate_hz, samples) for file in files[start : start + 8]]
        waveforms = np.stack([np.pad(one, (0, samples - len(one))) for one in read]).astype(np.float32)
        parts.append(head_inputs(network, head, waveforms))
    return np.concatenate(parts).astype(np.float64)


def heads(sounds: Sounds, labels: Sequence[str], multi_label: bool, without: str = "") -> dict[int, Any]:
    """A head for each fold, trained on the clips of the other folds."""
    from pannsdist.run.probing.solvers import Inputs, Task, fit_linear

    task, found = Task(labels, multi_label, 0), {}
    for fold in range(1, FOLDS + 1):
        rows = (sounds.folds != fold) & (sounds.classes != without)
        targets = targets_of(sounds.classes[rows], labels, multi_label)
        found[fold] = fit_linear(task, Inputs(sounds.inputs[rows]), targets, PENALTY)
    return found


def targets_of(classes: np.ndarray, labels: Sequence[str], multi_label: bool) -> np.ndarray:
    """Indices (N,), or (N, C) of 0 and 1."""
    hot = classes[:, None] == np.array(labels)
    return hot.astype(np.float32) if multi_label else hot.argmax(axis=1)


def held_out(
    sounds: Sounds, labels: Sequence[str], found: Mapping[int, Any], multi_label: bool, without: str = ""
) -> dict[int, Any]:
    """The predictions of each head for the clips of its own fold."""
    from pannsdist.contracts.predictions import Predictions

    folds = {}
    for fold, head in found.items():
        rows = (sounds.folds == fold) & (sounds.classes != without)
        logits = head.logits(sounds.inputs[rows]).astype(np.float32)
        ids = tuple(file.name for file, chosen in zip(sounds.files, rows, strict=True) if chosen)
        targets = targets_of(sounds.classes[rows], labels, multi_label)
        folds[fold] = Predictions(ids, logits, targets, tuple(labels), multi_label)
    return folds


def fitted(folds: Mapping[int, Any], fold: int, factor: float = 1.0) -> Any:
    """The decisions for a fold, from the predictions of the others, whose logits are multiplied."""
    from pannsdist.run.calibration.fitting import Wish, fit, joined

    others = joined([folds[other] for other in folds if other != fold])
    return fit(replace(others, logits=others.logits * factor), Wish(), "the other folds")


def nested(sounds: Sounds, labels: Sequence[str], multi_label: bool) -> list[Table]:
    """Likelihood and F1 on each fold, of decisions that were fitted on the others."""
    from pannsdist.contracts.predictions import losses
    from pannsdist.inference.decisions import decided

    folds = held_out(sounds, labels, heads(sounds, labels, multi_label), multi_label)
    loss: dict[str, list[float]] = {"network": [], "calibrated": []}
    f1: dict[str, list[float]] = {"network": [], "one threshold": [], "thresholds of the classes": []}
    factor = []
    for fold, own in folds.items():
        found = fitted(folds, fold)
        factor.append(fitted(folds, fold, 3.0).temperature / found.temperature)
        loss["network"].append(float(losses(own).mean()))
        loss["calibrated"].append(float(losses(replace(own, logits=own.logits / found.temperature)).mean()))
        common = replace(found, thresholds=(found.threshold,) * len(labels))
        for name, given in zip(f1, (own.guessed, decided(common, own), decided(found, own)), strict=True):
            f1[name].append(macro_f1(given, own.positives))
    kind = "several labels" if multi_label else "one label"
    worse = sum(after > before for before, after in zip(*loss.values(), strict=True))
    title = f"{kind}: negative log likelihood on five folds, worse on {worse} of them"
    tables = [
        Table(title, "nats", loss, "lower"),
        Table(f"{kind}: temperature of logits multiplied by 3", "ratio", {"to the own": factor}, "", ratios=False),
    ]
    if multi_label:
        means = {name: [float(np.mean(values))] for name, values in f1.items()}
        tables.append(Table(f"{kind}: macro F1, mean of five folds", "F1", means, ratios=False))
    return tables


def macro_f1(chosen: np.ndarray, truth: np.ndarray) -> float:
    """The mean F1 of the classes, from decisions and truth (N, C)."""
    return float(np.mean(2 * (chosen & truth).sum(axis=0) / np.maximum(1, chosen.sum(axis=0) + truth.sum(axis=0))))


def unknown(model: Any, sounds: Sounds, left_out: Sequence[str], voices: int) -> Table:
    """The area under the ROC curve of the energy, for known clips of a fold against unknown sounds: mean of folds."""
    speech = spoken(voices)
    rows: dict[str, list[float]] = {}
    if speech:
        rows["speech of espeak-ng"] = [separation(sounds, "", head_inputs_of(model, speech))]
    for name in left_out:
        rows[f"{name}, left out"] = [separation(sounds, name, sounds.inputs[sounds.classes == name])]
    return Table("unknown sounds: area under the ROC curve of the energy", "area", rows, ratios=False)


def separation(sounds: Sounds, without: str, inputs: np.ndarray) -> float:
    """Of sounds whose head gets `inputs`, of a class that nothing was fitted on."""
    from sklearn.metrics import roc_auc_score

    from pannsdist.inference.decisions import energies

    labels = sorted(set(sounds.classes) - {without})
    found = heads(sounds, labels, False, without)
    folds, areas = held_out(sounds, labels, found, False, without), []
    for fold, own in folds.items():
        temperature = fitted(folds, fold).temperature
        known, strange = own.logits / temperature, found[fold].logits(inputs) / temperature
        energy = np.concatenate([energies(known, False), energies(strange, False)])
        areas.append(roc_auc_score(np.arange(len(energy)) < len(known), energy))
    return float(np.mean(areas))


def spoken(voices: int) -> list[Path]:
    """Files with every sentence in so many voices; none without espeak-ng."""
    program = shutil.which("espeak-ng")
    if program is None:
        say("  skipped: espeak-ng is not installed, so there is no speech")
        return []
    folder, files = Path(tempfile.mkdtemp(prefix="pannsdist-speech-")), []
    for number, (voice, text) in enumerate((voice, text) for voice in VOICES[:voices] for text in SENTENCES):
        files.append(folder / f"{number:02d}.wav")
        pace, pitch = str(120 + 7 * number % 80), str(30 + 11 * number % 50)
        command = [program, "-v", voice, "-s", pace, "-p", pitch, "-w", str(files[-1]), text]
        subprocess.run(command, check=True)  # noqa: S603 - texts of this file
    return files


def exported(model: Any, sounds: Sounds, labels: Sequence[str]) -> Table:
    """How many clips the exported ONNX file decides as `predict` does, with the head of the first fold."""
    from paddle import nn

    from pannsdist.contracts import Clip
    from pannsdist.inference.engines.export import export
    from pannsdist.inference.engines.onnx_runtime import load_onnx_outputs
    from pannsdist.inference.heads import replace_layer, set_weights
    from pannsdist.inference.predictor import Predictor
    from pannsdist.inference.sounds import beginning
    from pannsdist.registry import Catalog

    found = heads(sounds, labels, False)
    plain, head = model.inference_model, Catalog.installed().models.find(MODEL).load().head
    replace_layer(plain.network.model, head, nn.Linear(sounds.inputs.shape[1], len(labels)))
    set_weights(plain.network, head, found[1].layers)
    decisions = fitted(held_out(sounds, labels, found, False), 1)
    own = replace(plain, labels=labels, multi_label=False, window_s=WINDOW_S, pad_to_s=WINDOW_S, decisions=decisions)
    with tempfile.TemporaryDirectory() as folder:
        export(own, "onnx", Path(folder) / "out", [Clip(sounds.files[0].name, sounds.files[0], ())])
        graph, same = load_onnx_outputs(Path(folder) / "out" / "model.onnx"), 0
        for file, answer in zip(sounds.files, Predictor(own).predict(sounds.files), strict=True):
            waveform = beginning(file, own.rate_hz, 1 << 30)
            chosen = {labels[column] for column in np.flatnonzero(graph(waveform[None])[1][0])}
            same += chosen == set(answer.decision or ())
    title = f"the exported ONNX decides {same} of {len(sounds.files)} clips as predict does"
    return Table(title, "fraction", {"the same": [same / len(sounds.files)]}, ratios=False)


if __name__ == "__main__":
    main()
