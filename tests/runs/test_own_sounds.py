"""A folder and a table of own sounds become models, by the commands of docs/en/own_sounds.md."""

import csv
import json
import subprocess
from pathlib import Path

import calling
import numpy as np
import packing
import pytest
import soundfile
import spoken_digits

pytestmark = [
    pytest.mark.any_paddle,
    pytest.mark.skipif(not spoken_digits.is_installed(), reason="the wheel espeakng-loader is not installed"),
]

HELD_OUT_SEED = 1
QUICK = ("--nproc", "1", "train.epochs=1", "--limit", "1", "data.workers=0", "log.worst_clips=0")


def typed(*arguments, work):
    """Run a command in this process; it must succeed."""
    launched = calling.pannsdist(*arguments, cwd=work)
    assert launched.exit_code == 0, str(launched)


def typed_where_installed(*arguments, work, scripts):
    """What a command prints where the wheels alone are installed; it must succeed."""
    command = [scripts / "pannsdist", *map(str, arguments)]
    how = {"cwd": work, "env": packing.clean_environment()}
    done = subprocess.run(command, capture_output=True, text=True, check=False, **how)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def accuracy(work, scripts):
    """Of the model on the sounds in `unheard`, by their class folders."""
    model = ("--model", "runs/digits/best_model")
    said = typed_where_installed("predict", *model, "unheard", "--format", "json", work=work, scripts=scripts)
    found = json.loads(said)
    right = [max(one["scores"], key=one["scores"].get) == Path(one["path"]).parent.name for one in found]
    assert len(right) == len(list((work / "unheard").rglob("*.wav")))
    return sum(right) / len(right)


def mix(work, pairs):
    """`mixed.csv`: sounds in which two digits are said one after the other, with both labels."""
    names = sorted((work / "digits").glob("*/*.wav"))
    rows = []
    for number in range(pairs):
        one, other = names[number * 7 % len(names)], names[(number * 31 + 11) % len(names)]
        (first, rate_hz), (second, _) = (soundfile.read(path, dtype="float32") for path in (one, other))
        (work / "mixed").mkdir(exist_ok=True)
        soundfile.write(work / "mixed" / f"{number:03d}.wav", np.concatenate([first, second]), rate_hz)
        rows.append((f"mixed/{number:03d}.wav", ";".join(sorted({one.parent.name, other.parent.name}))))
    with (work / "mixed.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("filename", "labels"), *rows])


def test_a_folder_becomes_a_model_and_a_table_becomes_decisions(shared, work):
    weights = shared / "weights" / "mn04_as_mAP_432.pt"
    spoken_digits.speak_digits(work / "digits", 100)
    typed("init", "--from", "digits/", "--weights", weights, "--group", "(*)_*", work=work)
    typed("train", "-c", "digits.yaml", *QUICK, work=work)
    model = ("--model", "runs/digits/best_model")
    typed("predict", *model, "digits/one", "--format", "json", "-o", "scored.json", work=work)
    (scored, *_) = json.loads((work / "scored.json").read_text(encoding="utf-8"))
    assert set(scored["scores"]) <= set(spoken_digits.WORDS)

    mix(work, pairs=100)
    typed("init", "--from", "mixed.csv", "--weights", weights, work=work)
    typed("train", "-c", "mixed.yaml", *QUICK, work=work)
    model = ("--model", "runs/mixed/best_model", "-c", "mixed.yaml")
    typed("evaluate", *model, "--split", "test", "--predictions", "test.csv", work=work)
    with (work / "test.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows
    assert {"id", "truth", "decision"} <= set(rows[0])


@pytest.mark.long
@pytest.mark.real
def test_the_proposed_settings_recognise_digits_of_voices_that_were_never_heard(shared, work, installed):
    spoken_digits.speak_digits(work / "digits", 770)
    spoken_digits.speak_digits(work / "unheard", 230, HELD_OUT_SEED, spoken_digits.HELD_OUT)
    how = {"work": work, "scripts": installed}
    weights = shared / "weights" / "mn04_as_mAP_432.pt"
    typed_where_installed("init", "--from", "digits/", "--weights", weights, "--group", "(*)_*", **how)
    typed_where_installed("train", "-c", "digits.yaml", "--nproc", "2", **how)
    assert accuracy(**how) >= 0.95
