"""`pannsdist init` on many sounds: how often folders are listed and how many sounds are opened."""

import sys

import calling
import numpy as np
import pytest
import soundfile

CLASSES, CLIPS = 4, 150
COUNTED = ("os.scandir", "open")


@pytest.fixture
def counted():
    """What is listed and opened in this process from now on, by event; a hook of Python can only be silenced."""
    found = {event: [] for event in COUNTED}
    state = {"on": True}

    def note(event, arguments):
        if state["on"] and event in found:
            found[event].append(str(arguments[0]))

    sys.addaudithook(note)
    yield found
    state["on"] = False


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
