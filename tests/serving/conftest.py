"""Servers of the smallest models, started once, and the same models in this process."""

from __future__ import annotations

import sys

import numpy as np
import paddle
import pytest
import served
import soundfile
import tiny
from fake_model import FEATURE_PARAMS

from pannsdist import __version__, load_model
from pannsdist.builtin.logmel import LogMel, LogMelParams
from pannsdist.contracts.network import Network
from pannsdist.inference.bundle import BundleRecord, PluginRecord, write_bundle
from pannsdist.inference.decisions import Decisions
from pannsdist.registry import Origin
from pannsdist.settings import to_dict

LABELS = ("rain", "wind", "dog")
FILES = {"short.wav": (0.1, 8000), "one.wav": (0.5, 16000), "long.flac": (3.3, 44100), "music.ogg": (2.0, 22050)}


@pytest.fixture(scope="session")
def environment(tmp_path_factory):
    """The environment in which the tiny plugins are found."""
    return tiny.install(tmp_path_factory.mktemp("tiny") / "site")


def write_model(folder, name, seed=0, decisions=None):
    """A model folder with random weights."""
    paddle.seed(seed)
    feature = LogMelParams(**FEATURE_PARAMS)
    plugin, front_end = getattr(tiny, name)(tiny.TinyParams()), tiny.FakeModel.front_end
    by_frame = name == "TinyByFrame"
    layer = plugin.build_frames(LABELS, front_end, "linear_softmax") if by_frame else plugin.build(LABELS, front_end)
    network = Network(LogMel(feature).build(), layer)
    own, foreign = Origin("pannsdist", __version__), Origin("pannsdist-tiny", "1.0")
    names = {"TinyEmbedded": "tiny_embedded", "TinyByFrame": "tiny_by_frame"}
    parts = (PluginRecord(names[name], {}, foreign), PluginRecord("logmel", to_dict(feature), own))
    how = (front_end, LABELS, by_frame, 0.5, "valid/accuracy", {}, {})
    more = {"frame_samples": 4 * front_end.hop_samples, "pooling": "linear_softmax"} if by_frame else {}
    record = BundleRecord(*parts, PluginRecord("tones", {}, own), *how, decisions=decisions, **more)
    write_bundle(folder, record, network.arrays())
    return folder


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
