"""How often does a published tagger, trained on AudioSet alone, know the class of an ESC-10 clip?

    python benchmarks/zero_shot.py --data ESC-10 [--weights FILE] [--clips-of-each N]

`--data` is a folder with `audio/` and `meta/esc50.csv`, as ESC-50 is published, of which the ten classes of ESC-10 are
heard (Piczak 2015). A clip gets the class whose best AudioSet name scores highest; the names were chosen by what they
mean. Nothing is trained.
"""

from __future__ import annotations

import argparse
import csv
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

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
class Answer:
    """What was heard in a clip: its file, its class, the class that was answered, and the first AudioSet name."""

    file: str
    right: str
    found: str
    first: str


def main() -> None:
    """Print the accuracy, what was mistaken for what, and the seconds that it took."""
    parser = argparse.ArgumentParser(description="Zero-shot accuracy of an AudioSet tagger on ESC-10.")
    parser.add_argument("--data", type=Path, required=True, help="folder with audio/ and meta/esc50.csv")
    parser.add_argument("--model", default=MODEL, help=f"a model plugin (default {MODEL})")
    parser.add_argument("--weights", default="", help="a tag of the model's, or a file (default: its first tag)")
    parser.add_argument("--clips-of-each", type=int, help="the first so many clips of each class (default: all)")
    chosen = parser.parse_args()
    start = time.perf_counter()
    answers = hear(chosen.data, chosen.model, chosen.weights, chosen.clips_of_each)
    right = sum(answer.right == answer.found for answer in answers)
    seconds = time.perf_counter() - start
    print(f"{right} of {len(answers)} right, accuracy {right / len(answers):.4f}, in {seconds:.1f} s with start-up")
    mistaken = Counter((answer.right, answer.found) for answer in answers if answer.right != answer.found)
    for (name, found), count in mistaken.most_common():
        print(f"  {name} taken for {found}: {count}")


def hear(data: Path, model: str, weights: str, clips_of_each: int | None = None) -> list[Answer]:
    """The answers to the clips of ESC-10, in the order of its table."""
    from pannsdist.runtime import console

    console.quiet_paddle()
    console.quiet_compiler()
    from pannsdist.inference.model import load_model

    files = clips(data, clips_of_each)
    predictor = load_model(model, weights).predictor
    answers = []
    for prediction in predictor.predict([data / "audio" / file for file in files]):
        if prediction.error is not None:
            raise prediction.error
        scores = dict(prediction.scores)
        found = max(NAMES, key=lambda name: max(scores[label] for label in NAMES[name]))
        name = Path(str(prediction.source)).name
        answers.append(Answer(name, files[name], found, prediction.scores[0][0]))
    return answers


def clips(data: Path, of_each: int | None) -> dict[str, str]:
    """The class of each file."""
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
