"""Servers of the smallest models, started once, and the same models in this process."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import served
import soundfile
import tiny
from served_models import write_model

from pannsdist import load_model
from pannsdist.inference.decisions import Decisions

FILES = {"short.wav": (0.1, 8000), "one.wav": (0.5, 16000), "long.flac": (3.3, 44100), "music.ogg": (2.0, 22050)}


@pytest.fixture(scope="session")
def environment(tmp_path_factory):
    """The environment in which the tiny plugins are found."""
    return tiny.install(tmp_path_factory.mktemp("tiny") / "site")


@pytest.fixture(scope="session")
def folders(tmp_path_factory):
    """Model folders by the name that the API gives them: one with decisions, one that answers by frame."""
    runs = tmp_path_factory.mktemp("runs")
    fitted = Decisions(temperature=1.5, thresholds=(0.3, 0.35, 0.4), threshold=0.3, min_energy=-100.0)
    return {
        "plain": write_model(runs / "plain" / "best_model", "TinyEmbedded"),
        "fitted": write_model(runs / "fitted" / "best_model", "TinyEmbedded", 1, fitted),
        "frames": write_model(runs / "frames" / "best_model", "TinyByFrame", 2),
    }


@pytest.fixture(scope="session")
def models(folders, environment):
    """The same models in this process."""
    site = environment["PYTHONPATH"].split(":")[0]
    sys.path.insert(0, site)
    yield {name: load_model(folder, engine="dygraph") for name, folder in folders.items()}
    sys.path.remove(site)


@pytest.fixture(scope="session")
def server(folders, environment):
    """A server of all of them; the first is `plain`."""
    options = [word for folder in folders.values() for word in ("--model", folder)]
    with served.Server(*options, "--engine", "dygraph", env=environment) as running:
        yield running
        assert "Traceback" not in running.errors


@pytest.fixture(scope="session")
def sounds(tmp_path_factory):
    """Sound files of several lengths, rates, channels and formats."""
    folder = tmp_path_factory.mktemp("sounds")
    for number, (name, (duration_s, rate_hz)) in enumerate(FILES.items()):
        random = np.random.default_rng(number)
        noise = random.normal(0, 0.1, (round(duration_s * rate_hz), 1 + number % 2))
        noise += np.sin(np.arange(len(noise)) * (0.1 + 0.3 * number))[:, None] * (np.arange(len(noise)) > 1000)[:, None]
        soundfile.write(folder / name, noise / np.abs(noise).max(), rate_hz)
    return sorted(folder.iterdir())


@pytest.fixture(scope="session")
def slow(tmp_path_factory):
    """A sound of some minutes at 384 kHz in a small file: to decode and resample it takes more than a second."""
    path = tmp_path_factory.mktemp("slow") / "slow.flac"
    with soundfile.SoundFile(path, "w", 384_000, 1, "PCM_16", format="FLAC") as file:
        for _ in range(180):
            file.write(np.zeros(384_000, np.int16))
    return path
