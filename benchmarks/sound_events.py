"""Event F1 of a network that answers by frame beside sliding windows of networks for clips, on soundscapes of ESC-10.

    python benchmarks/sound_events.py --data ESC-10 --weights FILE [--folder DIR] [--nproc N] [--quick]

`--data` is a folder with `audio/` and `meta/esc50.csv`, as ESC-50 is published. The soundscapes are those of
`recipe:soundscapes/esc10`; `recipe:esc10_events` trains `efficientat_mn04` on them by frame. Beside it the same network
is trained for clips, on the labels of the soundscapes and on the isolated sounds of ESC-10, and `detect` slides its
windows over the soundscapes of the held-out fold, with each threshold. `--folder` keeps soundscapes and runs, and what
is already in it is not made again.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from argparse import Namespace
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

from measuring import Table, plain_parser, present, say

WINDOWS_S, HOPS_S = (0.5, 1.0, 2.0), (0.05, 0.1, 0.25)
THRESHOLDS = tuple(percent / 100 for percent in range(5, 100, 5))
COLLAR_S, OFFSET_FRACTION = 0.2, 0.2
FRAMES, SCENES, ISOLATED = "by frame", "for clips, soundscapes", "for clips, isolated sounds"
SCORES = ("valid/event_f1", "valid/psds1", "valid/psds2")
NO_EVENT_METRICS = ("metrics.event_f1=null", "metrics.psds1=null", "metrics.psds2=null")


@dataclass(frozen=True)
class Scene:
    """A soundscape: its file, and its events as `sed_eval` takes them."""

    file: Path
    events: Sequence[Mapping[str, Any]]


def main() -> None:
    """Mix, train what is missing, and print the scores."""
    parser = plain_parser("Event F1 by frames and by sliding windows, on soundscapes mixed from ESC-10.")
    parser.add_argument("--data", type=Path, required=True, help="folder with audio/ and meta/esc50.csv")
    parser.add_argument("--weights", default="", help="AudioSet weights of the network (default: those published)")
    parser.add_argument("--folder", type=Path, help="where soundscapes and runs are kept (default: nowhere)")
    parser.add_argument("--nproc", type=int, default=2, help="processes of a training run (default: 2)")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="pannsdist-") as name:
        present(measure(chosen, chosen.folder or Path(name)), chosen.json)


def measure(chosen: Namespace, folder: Path) -> list[Table]:
    """The scores by frame, and the event F1 of `detect` at its best threshold for each way to slide."""
    data = f"data.params.root={chosen.data.resolve()}"
    mixed = folder / "soundscapes"
    if not mixed.exists():
        few = ["soundscapes.train=24", "soundscapes.valid=4"] if chosen.quick else []
        command("data", "mix", "-c", "recipe:soundscapes/esc10", "-o", str(mixed), data, *few)
    listed = f"data.params.path={(mixed / 'clips.jsonl').resolve()}"
    clips = ("task=clips", *NO_EVENT_METRICS, "select.metric=valid/mean_average_precision")
    runs = {
        FRAMES: trained("esc10_events", folder / "frames", chosen, listed),
        SCENES: trained("esc10_events", folder / "clips", chosen, listed, *clips),
        ISOLATED: trained("esc10_mn04", folder / "isolated", chosen, data, "data.params.valid_fold=5"),
    }
    by_frame = evaluated(runs[FRAMES])
    by_frame["event F1 of fitted decisions, other half"] = fitted(runs[FRAMES])
    scenes = held_out(mixed)
    found = {
        f"{name}, {way}": score for name, run in runs.items() for way, score in detected(run, name, scenes, chosen)
    }
    of = f"{len(scenes)} soundscapes"
    return [
        Table(f"network by frame, {of}, decoded as in its recipe", "score", by_frame, ratios=False),
        Table(f"detect at its best threshold, {of}: event F1", "F1", found, ratios=False),
    ]


def trained(recipe: str, run: Path, chosen: Namespace, *settings: str) -> Path:
    """The folder of the run, trained unless it is there."""
    if not (run / "best_model" / "bundle.json").exists():
        weights = [f"model.weights={chosen.weights}"] if chosen.weights else []
        short = ["train.epochs=1", "schedule.warmup_epochs=0", "train.limit_steps=1"] if chosen.quick else []
        named = [f"runs={run.parent.resolve()}", f"name={run.name}"]
        processes = ["--nproc", str(chosen.nproc)]
        command("train", "-c", f"recipe:{recipe}", *processes, *named, *settings, *weights, *short)
    return run


def evaluated(run: Path) -> dict[str, list[float]]:
    """The scores of events of the best model, by its own metrics."""
    words = ("--model", str(run / "best_model"), "-c", str(run / "settings.yaml"), "--format", "json")
    scores = json.loads(command("evaluate", *words))["scores"]
    return {name: [scores[name]["value"]] for name in SCORES}


def fitted(run: Path) -> list[float]:
    """Event F1 of the decisions that `calibrate` fits on half of the soundscapes, judged on the others: both ways."""
    from pannsdist import settings
    from pannsdist.registry import Catalog
    from pannsdist.run.calibration.fitting import Wish, fit
    from pannsdist.run.calibration.scores import event_scores
    from pannsdist.run.evaluation import evaluate_bundle

    chosen, origin = settings.load(run / "settings.yaml", [])
    whole = evaluate_bundle(run / "best_model", chosen, origin, Catalog.installed(), "valid", raw=True).predictions
    halves = [rows(whole, range(first, len(whole.ids), 2)) for first in (0, 1)]
    pairs = (halves, halves[::-1])
    return [event_scores(fit(here, Wish(), "half"), there).get("event_f1", 0.0) for here, there in pairs]


def rows(predictions: Any, places: Sequence[int]) -> Any:
    """Some of the clips, all of which have events with times."""
    ids = tuple(predictions.ids[place] for place in places)
    of_frames = {name: place for place, name in enumerate(predictions.frames.ids)}
    frames = predictions.frames.take([of_frames[name] for name in ids])
    chosen = list(places)
    logits, targets = predictions.logits[chosen], predictions.targets[chosen]
    return replace(predictions, ids=ids, logits=logits, targets=targets, groups=(), frames=frames)


def detected(run: Path, name: str, scenes: Sequence[Scene], chosen: Namespace) -> Iterator[tuple[str, list[float]]]:
    """Each way to slide, with the event F1 at the best threshold."""
    from pannsdist.inference.detection import Rule, events
    from pannsdist.inference.model import load_model
    from pannsdist.runtime import console

    console.quiet_paddle()
    sliding = [(1.0, 0.25)] if chosen.quick else list(product(WINDOWS_S, HOPS_S))
    for window_s, hop_s in [(None, None)] if name == FRAMES else sliding:
        model = load_model(run / "best_model", window_s=window_s, hop_s=hop_s)
        timelines = [list(model.timeline(scene.file)) for scene in scenes]
        scores = {}
        for threshold in THRESHOLDS:
            found = [events(timeline, model.labels, Rule(threshold)) for timeline in timelines]
            scores[threshold] = event_f1(scenes, found, model.labels)
        best = max(scores, key=lambda threshold: scores[threshold])
        way = "no median filter" if window_s is None else f"windows of {window_s:g} s every {hop_s:g} s"
        say(f"  {name}, {way}: event F1 {scores[best]:.4f} at threshold {best:.2f}")
        yield way, [scores[best]]


def event_f1(scenes: Sequence[Scene], found: Sequence[Sequence[Any]], labels: Sequence[str]) -> float:
    """F1 of the events of each scene by `sed_eval`, mean over the classes, as the metric `event_f1` by default."""
    import sed_eval

    options = {"t_collar": COLLAR_S, "percentage_of_length": OFFSET_FRACTION}
    options["empty_system_output_handling"] = "zero_score"
    scorer = sed_eval.sound_event.EventBasedMetrics(event_label_list=list(labels), **options)
    for scene, events in zip(scenes, found, strict=True):
        rows = [{"onset": one.onset_s, "offset": one.offset_s, "event_label": one.label} for one in events]
        if scene.events or rows:
            scorer.evaluate(list(scene.events), rows)
    return float(scorer.results_class_wise_average_metrics()["f_measure"]["f_measure"])


def held_out(mixed: Path) -> list[Scene]:
    """The soundscapes of the split `valid`."""
    rows = [json.loads(line) for line in (mixed / "clips.jsonl").read_text(encoding="utf-8").splitlines()]
    return [Scene(mixed / row["path"], [reference(one) for one in row["events"]]) for row in rows if valid(row)]


def valid(row: Mapping[str, Any]) -> bool:
    """Whether it is a soundscape of the held-out fold."""
    return bool(row["split"] == "valid")


def reference(event: Mapping[str, Any]) -> dict[str, Any]:
    """An event as `sed_eval` takes it."""
    return {"onset": event["onset_s"], "offset": event["offset_s"], "event_label": event["label"]}


def command(*words: str) -> str:
    """What a command of pannsdist prints. Raises SystemExit if it fails."""
    say(f"  pannsdist {' '.join(words)}")
    done = subprocess.run([sys.executable, "-m", "pannsdist", *words], capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode != 0:
        raise SystemExit(f"pannsdist {words[0]} failed with code {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


if __name__ == "__main__":
    main()
