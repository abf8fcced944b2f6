"""Zero-shot accuracy on ESC-10 of a published tagger trained on AudioSet.

    python benchmarks/zero_shot.py --data ESC-10 [--weights FILE] [--clips-of-each N] [--quick]

`--data` is a folder with `audio/` and `meta/esc50.csv`, as ESC-50 is published; the ten classes of ESC-10 are evaluated
(Piczak 2015). The predicted class is the one whose best AudioSet label has the highest score; the labels were assigned
to classes by meaning. Nothing is trained.
"""

from __future__ import annotations

import csv
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from measuring import Table, plain_parser, present

MODEL = "efficientat_mn04"
NAMES: Mapping[str, Sequence[str]] = {
    "dog": ("Dog", "Bark", "Yip", "Howl", "Bow-wow", "Growling", "Whimper (dog)"),
    "rooster": ("Chicken, rooster", "Crowing, cock-a-doodle-doo"),
    "rain": ("Rain", "Raindrop", "Rain on surface"),
    "sea_waves": ("Ocean", "Waves, surf"),
    "crackling_fire": ("Fire", "Crackle"),
    "crying_baby": ("Baby cry, infant cry", "Crying, sobbing"),
    "sneezing": ("Sneeze",),
    "clock_tick": ("Clock", "Tick", "Tick-tock"),
    "helicopter": ("Helicopter",),
    "chainsaw": ("Chainsaw",),
}


@dataclass(frozen=True)
class Result:
    """The result for a clip: its file, true class, predicted class, and top AudioSet label."""

    file: str
    right: str
    found: str
    first: str


def main() -> None:
    """Print accuracy, confusions and duration."""
    parser = plain_parser("Zero-shot accuracy of an AudioSet tagger on ESC-10.")
    parser.add_argument("--data", type=Path, required=True, help="folder with audio/ and meta/esc50.csv")
    parser.add_argument("--model", default=MODEL, help=f"model plugin (default: {MODEL})")
    parser.add_argument("--weights", default="", help="tag of the model's weights, or a file (default: its first tag)")
    parser.add_argument("--clips-of-each", type=int, help="number of clips per class (default: all)")
    chosen = parser.parse_args()
    if chosen.quick:
        chosen.clips_of_each = 1
    start = time.perf_counter()
    results = classify(chosen.data, chosen.model, chosen.weights, chosen.clips_of_each)
    right = sum(result.right == result.found for result in results)
    seconds = time.perf_counter() - start
    title = f"{chosen.model} on {len(results)} clips of ESC-10, untrained"
    accuracy = Table(f"{title}: {right} right", "accuracy", {"zero-shot": [right / len(results)]}, ratios=False)
    duration = Table(f"{title}: start-up included", "seconds", {"zero-shot": [seconds]}, better="lower", ratios=False)
    present([accuracy, duration], chosen.json)
    confusions = Counter((result.right, result.found) for result in results if result.right != result.found)
    for (name, found), count in confusions.most_common():
        print(f"  {name} predicted as {found}: {count}")


def classify(data: Path, model: str, weights: str, clips_of_each: int | None = None) -> list[Result]:
    """The results for the clips of ESC-10, in the order of the metadata table."""
    from pannsdist.runtime import console

    console.quiet_paddle()
    console.quiet_compiler()
    from pannsdist.inference.model import load_model

    files = clips(data, clips_of_each)
    predictor = load_model(model, weights).predictor
    results = []
    for prediction in predictor.predict([data / "audio" / file for file in files]):
        if prediction.error is not None:
            raise prediction.error
        scores = dict(prediction.scores)
        found = max(NAMES, key=lambda name: max(scores[label] for label in NAMES[name]))
        name = Path(str(prediction.source)).name
        results.append(Result(name, files[name], found, prediction.scores[0][0]))
    return results


def clips(data: Path, of_each: int | None) -> dict[str, str]:
    """The true class of each file."""
    with (data / "meta" / "esc50.csv").open(encoding="utf-8", newline="") as table:
        rows = [(row["filename"], row["category"]) for row in csv.DictReader(table) if row["category"] in NAMES]
    files = {name if (data / "audio" / name).is_file() else f"{Path(name).stem}.ogg": right for name, right in rows}
    seen: Counter[str] = Counter()
    chosen = {}
    for name, right in files.items():
        seen[right] += 1
        if of_each is None or seen[right] <= of_each:
            chosen[name] = right
    return chosen


if __name__ == "__main__":
    main()
