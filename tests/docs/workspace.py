"""The folder in which the commands of the documentation run: small files under the names that the pages use."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import numpy as np
import paddle
import soundfile
from hub_parts import put_weights

from pannsdist.builtin.panns import Cnn6
from pannsdist.inference import audioset
from pannsdist.weights.downloads import cache

RATE_HZ = 8000
ROOT = Path(__file__).resolve().parents[2]
MN04 = "mn04_as_mAP_432.pt"
MN04_ADDRESS = f"https://github.com/fschmid56/EfficientAT/releases/download/v0.0.1/{MN04}"
SPEAKERS = ("anna", "ben", "cleo", "dan", "eva")
SMALL = (
    "name: {name}\nbase: recipe:{base}\ntrain: {{epochs: 1, batch_size: 4, crop_s: 0.5}}\ndata: {{workers: 0{data}}}\n"
)


def make(folder: Path, shared: Path) -> None:
    """Everything that the pages name but do not make, except what lies in `home`."""
    (folder / "folder").mkdir(parents=True)
    for number, path in enumerate(("a.wav", "b.wav", "b.ogg", "folder/c.wav", "folder/d.wav")):
        tone(folder / path, 300 * (number + 1))
    tone(folder / "four_sounds.wav", 500, 4.0)
    classes(folder / "MYFOLDER")
    spoken(folder / "digits", folder / "clips.csv")
    several(folder / "street", folder / "street.csv")
    esc10(folder / "DIR")
    (folder / "ESC-50-master").symlink_to("DIR")
    (folder / "ESC-10").symlink_to(shared / "data" / "ESC-10")
    (folder / MN04).symlink_to(shared / "weights" / MN04)
    tones = ", params: {clips_per_class: 2, valid_clips_per_class: 1}"
    for name in ("FILE", "FILE.yaml"):
        (folder / name).write_text(SMALL.format(name="tones", base="tones_cnn6", data=tones), encoding="utf-8")
    own = SMALL.format(name="mine", base="base", data="") + "model: {name: panns_cnn6}\n"
    (folder / "my.yaml").write_text(own, encoding="utf-8")
    shutil.copytree(ROOT / "benchmarks", folder / "benchmarks", ignore=shutil.ignore_patterns("__pycache__"))


def fill_cache(shared: Path) -> None:
    """Weights where a first run would download them: the published ones of mn04, random ones of CNN6."""
    path = cache.local_path(MN04_ADDRESS)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(shared / "weights" / MN04)
    paddle.seed(0)
    put_weights(Cnn6, Cnn6(Cnn6.Params()).build(audioset.labels(), Cnn6.front_end))


def tone(path: Path, pitch_hz: float, length_s: float = 1.0) -> None:
    """Write a sine with a little noise."""
    path.parent.mkdir(parents=True, exist_ok=True)
    samples = round(length_s * RATE_HZ)
    noise = np.random.default_rng(round(pitch_hz)).normal(0, 0.01, samples)
    soundfile.write(path, 0.3 * np.sin(2 * np.pi * pitch_hz * np.arange(samples) / RATE_HZ) + noise, RATE_HZ)


def classes(folder: Path) -> None:
    """A subfolder per class."""
    for label, pitch_hz in (("wren", 3000), ("owl", 400)):
        for number in range(8):
            tone(folder / label / f"{label}{number}.wav", pitch_hz + 10 * number)


def spoken(folder: Path, table: Path) -> None:
    """Recordings of two classes by five speakers, as a folder and as a table."""
    rows = [("path", "label", "speaker")]
    for digit in (7, 8):
        for number, speaker in enumerate(SPEAKERS):
            path = folder / str(digit) / f"{speaker}_{digit}_01.wav"
            tone(path, 200 * digit + number)
            rows.append((str(path.relative_to(table.parent)), str(digit), speaker))
    write_table(table, rows)


def several(folder: Path, table: Path) -> None:
    """Sounds with two labels, one or none."""
    rows = [("filename", "labels")]
    for number in range(100):
        labels = [label for label, is_there in (("horn", number & 1), ("siren", number & 2)) if is_there]
        path = folder / f"{number:03d}.wav"
        tone(path, 300 + 400 * ("horn" in labels) + 900 * ("siren" in labels) + number, 0.25)
        rows.append((f"{folder.name}/{path.name}", ";".join(labels)))
    write_table(table, rows)


def esc10(folder: Path) -> None:
    """A corpus in the layout of ESC-50: two classes in five folds."""
    rows = [("filename", "fold", "target", "category", "esc10", "src_file", "take")]
    for fold in range(1, 6):
        for number, (target, label) in enumerate(((0, "dog"), (10, "rain"))):
            for take in "AB":
                name = f"{fold}-{100 * fold + number}{ord(take)}-{take}-{target}.ogg"
                tone(folder / "audio" / name, 500 * (number + 1) + 9 * fold + ord(take))
                rows.append((name, str(fold), str(target), label, "True", "1", take))
    (folder / "meta").mkdir()
    write_table(folder / "meta" / "esc50.csv", rows)


def write_table(path: Path, rows: list[tuple[str, ...]]) -> None:
    """Write a CSV file."""
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)
