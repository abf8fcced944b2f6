"""Accuracy on voices that no training clip had, with the settings that `pannsdist init` proposes for own sounds.

    python benchmarks/held_out_voices.py --weights FILE [--draws 8] [--variants all] [--folder DIR] [key=value ...]

Each draw, by the seeds 0, 1, 2 ..., takes 13 voices of eSpeak NG (see `spoken_digits.py`, which needs the wheel
espeakng-loader). Ten of them say 770 digits, on which `init` and `train` run as in docs/en/own_sounds.md; the other
three say 230, which the model predicts. `key=value` changes what `init` proposed. The folder keeps sounds and runs.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

import spoken_digits
from measuring import Table, plain_parser, write_json

QUICK = ("train.epochs=1", "schedule.warmup_epochs=0", "data.workers=0")


@dataclass(frozen=True)
class Answer:
    """What the model predicted for a clip."""

    voice: str
    right: str
    found: str

    @property
    def is_right(self) -> bool:
        """Whether the digit is the one that was said."""
        return self.right == self.found


def main() -> None:
    """Print the accuracy of each draw, of its voices, and the confusions; at the end mean and minimum."""
    parser = plain_parser("Accuracy of what init proposes on voices that are held out.")
    parser.add_argument("--weights", type=Path, required=True, help="file of pretrained weights, for init")
    parser.add_argument("--draws", type=int, default=1, help="number of draws, by seeds from 0 on (default: 1)")
    parser.add_argument("--variants", choices=("numbered", "all"), default="numbered", help="of eSpeak NG's voices")
    parser.add_argument("--clips", type=int, default=1000, help="in a draw, 77 %% of them for training (default: 1000)")
    parser.add_argument("--nproc", type=int, default=2, help="processes that train (default: 2)")
    parser.add_argument("--folder", type=Path, help="where everything is written (default: a temporary folder)")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="changes of the proposed settings")
    chosen = parser.parse_args()
    if chosen.quick:
        chosen.draws, chosen.clips, chosen.nproc, chosen.overrides = 1, 65, 1, [*QUICK, *chosen.overrides]
    variants = spoken_digits.all_variants() if chosen.variants == "all" else spoken_digits.NUMBERED
    with tempfile.TemporaryDirectory() as temporary:
        accuracies = []
        for seed in range(chosen.draws):
            folder = (chosen.folder or Path(temporary)) / f"draw_{seed}"
            speak(folder, chosen.clips, seed, variants)
            train(folder, chosen.weights.absolute(), chosen.nproc, chosen.overrides)
            answers = predict(folder)
            accuracies.append(accuracy(answers))
            print("\n".join(lines(seed, answers)), flush=True)
    table = Table(
        "voices that no training clip had, one value per draw", "accuracy", {"init": accuracies}, ratios=False
    )
    write_json([table], chosen.json)
    draws = f"{len(accuracies)} draw{'s' if len(accuracies) > 1 else ''}"
    print(f"{draws}: mean {mean(accuracies):.4f}, lowest {min(accuracies):.4f}")


def speak(folder: Path, clips: int, seed: int, variants: Sequence[str]) -> None:
    """`digits` for training and `unheard` for the prediction."""
    trained, held_out = spoken_digits.draw_voices(seed, variants)
    for_training = round(0.77 * clips)
    spoken_digits.speak_digits(folder / "digits", for_training, trained, 2 * seed)
    spoken_digits.speak_digits(folder / "unheard", clips - for_training, held_out, 2 * seed + 1)


def train(folder: Path, weights: Path, processes: int, overrides: Sequence[str]) -> None:
    """The first two commands of docs/en/own_sounds.md."""
    typed(folder, "init", "--from", "digits/", "--weights", weights, "--group", "(*)_*")
    typed(folder, "train", "-c", "digits.yaml", "--nproc", processes, *overrides)


def predict(folder: Path) -> list[Answer]:
    """The model's answer for each clip of `unheard`."""
    model = ("--model", "runs/digits/best_model")
    found = json.loads(typed(folder, "predict", *model, "unheard", "--format", "json"))
    assert len(found) == len(list((folder / "unheard").rglob("*.wav")))
    answers = []
    for one in found:
        path, scores = Path(one["path"]), one["scores"]
        answers.append(Answer(path.stem.split("_")[0], path.parent.name, max(scores, key=scores.get)))
    return answers


def typed(folder: Path, *arguments: object) -> str:
    """What a command of pannsdist prints, in a process of its own."""
    command = [sys.executable, "-W", "ignore", "-m", "pannsdist", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)  # noqa: S603
    if done.returncode:
        sys.exit(done.stdout + done.stderr)
    return done.stdout


def accuracy(answers: Sequence[Answer]) -> float:
    """Correct answers in proportion to all."""
    return mean(answer.is_right for answer in answers)


def lines(seed: int, answers: Sequence[Answer]) -> list[str]:
    """The result of a draw."""
    of_voice = defaultdict(list)
    for answer in answers:
        of_voice[answer.voice].append(answer)
    voices = "  ".join(f"{voice} {accuracy(some):.3f}" for voice, some in of_voice.items())
    wrong = Counter((answer.right, answer.found, answer.voice) for answer in answers if not answer.is_right)
    confused = [
        f"  {right} predicted as {found}, {voice}: {count}" for (right, found, voice), count in wrong.most_common()
    ]
    return [f"seed {seed}  accuracy {accuracy(answers):.4f}  {len(answers)} clips  {voices}", *confused]


if __name__ == "__main__":
    main()
