"""A folder and a table of own sounds become models, by the commands of docs/en/own_sounds.md."""

import csv
import re
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

BENCHMARK = Path(__file__).resolve().parents[2] / "benchmarks" / "held_out_voices.py"
QUICK = ("train.epochs=1", "train.limit_steps=1", "data.workers=0", "log.worst_clips=0")


def typed(*arguments, work):
    """Run a command in this process; it must succeed."""
    launched = calling.pannsdist(*arguments, cwd=work)
    assert launched.exit_code == 0, str(launched)


def held_out(*arguments, work, scripts):
    """What the benchmark of held-out voices prints where the wheels alone are installed; a draw is in `draw_SEED`."""
    command = [scripts / "python", BENCHMARK, "--folder", work, *arguments]
    how = {"cwd": work, "env": packing.clean_environment()}
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False, **how)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


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


@pytest.mark.parametrize("kind", ["numbered", "all"])
def test_a_seed_draws_the_voices_and_none_that_is_held_out_is_another_accent_of_one_for_training(kind):
    variants = spoken_digits.all_variants() if kind == "all" else spoken_digits.NUMBERED
    draws = [spoken_digits.draw_voices(seed, variants) for seed in range(50)]
    assert draws == [spoken_digits.draw_voices(seed, variants) for seed in range(50)]
    assert len({tuple(held_out) for _, held_out in draws}) == 50
    for trained, held_out in draws:
        assert (len(trained), len(held_out)) == (10, 3)
        assert len({voice.partition("+")[2] for voice in (*trained, *held_out)}) == 13
        assert len({spoken_digits.name_of(voice) for voice in (*trained, *held_out)}) == 13


def test_a_folder_becomes_a_model_and_a_table_becomes_decisions(shared, work, installed):
    weights = shared / "weights" / "mn04_as_mAP_432.pt"
    quick = ("--clips", "130", "--nproc", "1", *QUICK)
    printed = held_out("--weights", weights, *quick, work=work, scripts=installed)
    assert re.search(r"^seed 0  accuracy 0\.\d{4}  30 clips  (\w+ \d\.\d{3}(  )?){3}$", printed, re.MULTILINE)
    assert re.search(r"^  \w+ predicted as \w+, \w+: \d$", printed, re.MULTILINE)

    work = work / "draw_0"
    mix(work, pairs=100)
    typed("init", "--from", "mixed.csv", "--weights", weights, work=work)
    typed("train", "-c", "mixed.yaml", "--nproc", "1", *QUICK, work=work)
    model = ("--model", "runs/mixed/best_model", "-c", "mixed.yaml")
    typed("evaluate", *model, "--split", "test", "--predictions", "test.csv", work=work)
    with (work / "test.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows
    assert {"id", "truth", "decision"} <= set(rows[0])


@pytest.mark.long
@pytest.mark.real
def test_the_proposed_settings_recognise_digits_of_voices_that_were_never_heard(shared, work, installed):
    printed = held_out("--weights", shared / "weights" / "mn04_as_mAP_432.pt", work=work, scripts=installed)
    assert float(re.search(r"seed 0  accuracy (\S+)  230 clips", printed)[1]) >= 0.95, printed
