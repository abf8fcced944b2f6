"""`pannsdist init` on many sounds: how often folders are listed and how many sounds are opened."""

import sys

import calling
import numpy as np
import pytest
import soundfile

CLASSES, CLIPS = 4, 150
COUNTED = {"os.scandir": [], "open": []}
COUNTING = []


def _note(event, arguments):
    if COUNTING and event in COUNTED:
        COUNTED[event].append(str(arguments[0]))


@pytest.fixture
def counted():
    """What is listed and opened in this process from now on; a hook of Python cannot be removed, only silenced."""
    if not getattr(sys, "_counts_opened_sounds", False):
        sys.addaudithook(_note)
        sys._counts_opened_sounds = True
    for found in COUNTED.values():
        found.clear()
    COUNTING.append(True)
    yield COUNTED
    COUNTING.clear()


def test_a_bounded_number_of_sounds_is_opened_and_each_folder_listed_twice(tmp_path, counted):
    soundfile.write(tmp_path / "one.wav", 0.3 * np.sin(np.arange(3200) / 3), 8000)
    for label in range(CLASSES):
        (tmp_path / "sounds" / f"c{label}").mkdir(parents=True)
        for number in range(CLIPS):
            (tmp_path / "sounds" / f"c{label}" / f"{number}.wav").hardlink_to(tmp_path / "one.wav")
    done = calling.pannsdist("init", "--from", "sounds", cwd=tmp_path)
    assert done.exit_code == 0, done.output
    assert "sounds     600 clips, 4 classes" in done.output
    assert "opened     300 of them, drawn by a seed" in done.output
    assert len({name for name in counted["open"] if name.endswith(".wav")}) <= 300
    listings = [name for name in counted["os.scandir"] if name.endswith("c0")]
    assert listings.count("sounds/c0") == 2, listings  # before it is known how they are divided, and divided
