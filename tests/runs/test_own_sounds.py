"""The first hour, as docs/en/own_sounds.md shows it: from built wheels in an empty folder to predictions."""

import csv
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import spoken_digits

pytestmark = pytest.mark.skipif(not spoken_digits.is_installed(), reason="the wheel espeakng-loader is not installed")

PROJECT = Path(__file__).resolve().parents[2]
PLUGIN = PROJECT / "plugins" / "pannsdist-efficientat"
LEFT_OUT = shutil.ignore_patterns(".*", "build", "*.egg-info", "__pycache__", "tests", "plugins", "docs", "runs")
QUICK = ("train.epochs=1", "train.limit_steps=1", "data.workers=0", "log.worst_clips=0")


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The environment in which the two wheels are installed, and the checkout is not importable."""
    folder = tmp_path_factory.mktemp("wheels")
    for source in (PROJECT, PLUGIN):
        copied = folder / "sources" / source.name
        shutil.copytree(source, copied, ignore=LEFT_OUT)
        pip("wheel", "--no-deps", "--no-build-isolation", "-w", folder, copied)
    wheels = sorted(folder.glob("*.whl"))
    assert len(wheels) == 2, wheels
    pip("install", "--no-deps", "--no-compile", "--target", folder / "installed", *wheels)
    others = (path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path)
    kept = [path for path in others if PROJECT not in (Path(path).resolve(), *Path(path).resolve().parents)]
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(folder / "installed"), *kept])}


def pip(*arguments):
    command = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def typed(*arguments, work, env):
    """What a command prints; it must succeed."""
    command = [sys.executable, "-W", "ignore", "-m", "pannsdist", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=work, env=env)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def held_out(*arguments, work, env):
    """What the benchmark of held-out voices prints; its first draw is in `draw_0`."""
    command = [sys.executable, PROJECT / "benchmarks" / "held_out_voices.py", "--folder", work, *arguments]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False, cwd=work, env=env)
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
    how = {"work": work, "env": installed}
    printed = held_out("--weights", weights, "--clips", "130", *QUICK, **how)
    assert re.search(r"^seed 0  accuracy 0\.\d{4}  30 clips  (\w+ \d\.\d{3}(  )?){3}$", printed, re.MULTILINE)
    assert re.search(r"^  \w+ predicted as \w+, \w+: \d$", printed, re.MULTILINE)

    how["work"] = work / "draw_0"
    mix(how["work"], pairs=100)
    typed("init", "--from", "mixed.csv", "--weights", weights, **how)
    typed("train", "-c", "mixed.yaml", "--nproc", "1", *QUICK, **how)
    model = ("--model", "runs/mixed/best_model", "-c", "mixed.yaml")
    typed("evaluate", *model, "--split", "test", "--predictions", "test.csv", **how)
    with (how["work"] / "test.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows
    assert {"id", "truth", "decision"} <= set(rows[0])


@pytest.mark.long
@pytest.mark.real
def test_the_proposed_settings_recognise_digits_of_voices_that_were_never_heard(shared, work, installed):
    printed = held_out("--weights", shared / "weights" / "mn04_as_mAP_432.pt", work=work, env=installed)
    assert float(re.search(r"seed 0  accuracy (\S+)  230 clips", printed)[1]) >= 0.95, printed
