"""A run whose batches are grouped by length: every path that reads its model pads a sound as the evaluation did."""

import json
import shutil

import calling
import numpy as np
import paddle
import pytest
import soundfile
import tiny
from fake_model import RATE_HZ

import pannsdist
from pannsdist.training.checkpoint import CheckpointStore

SETTINGS = """\
name: {name}
model: {{name: tiny}}
data: {{name: manifest, workers: 0, params: {{path: list.csv}}}}
train: {{epochs: 2, batch_size: 4, crop_s: 1, group_by_length: true}}
valid: {{batch_size: 3}}
optimizer: {{learning_rate: 0.01}}
schedule: {{name: constant}}
trackers: {{visualdl: null}}
"""
LENGTHS_S = (0.1, 0.12, 0.15, 0.2, 0.2, 0.3, 0.4, 1.5)
VALID_S = (0.1, 0.33, 1.7)


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """A working folder with sounds of 0.1 to 1.7 s, and the environment of the plugins."""
    folder = tmp_path_factory.mktemp("work")
    rows, generator = ["path,label,split"], np.random.default_rng(0)
    for label, hz in (("high", 2500.0), ("low", 400.0)):
        for split, lengths in (("train", LENGTHS_S), ("valid", VALID_S)):
            for number, seconds in enumerate(lengths):
                time_s = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
                wave = 0.3 * np.sin(2 * np.pi * hz * time_s) + generator.normal(0, 0.05, len(time_s))
                soundfile.write(folder / f"{label}{split}{number}.wav", wave, RATE_HZ)
                rows.append(f"{label}{split}{number}.wav,{label},{split}")
    (folder / "list.csv").write_text("\n".join(rows) + "\n")
    return folder, tiny.install(folder / "installed")


@pytest.fixture(scope="module")
def train(work):
    """Train a run of a name; gives what was launched, and its folder."""
    folder, env = work

    def trained(name, *overrides):
        (folder / f"{name}.yaml").write_text(SETTINGS.format(name=name))
        return calling.train(folder / f"{name}.yaml", *overrides, cwd=folder, env=env), folder / "runs" / name

    return trained


@pytest.fixture(scope="module")
def whole(train):
    launched, folder = train("whole")
    assert launched.exit_code == 0, launched.output
    return launched, folder


def weights(folder):
    return CheckpointStore(folder / "checkpoints", keep=9).load_latest().snapshot.model


def test_the_plan_says_it(whole):
    said = whole[0].output
    assert "train      16 clips, 1 s of each; batches by length, padded to their longest clip\n" in said
    assert "valid      6 clips, 1 s of each; one at a time, not padded\n" in said
    assert "silence" not in said


def test_evaluate_reproduces_the_scores_to_the_last_digit_whatever_its_batch_size(whole, work):
    folder, env = work
    record = json.loads((whole[1] / "best_model" / "bundle.json").read_text())
    assert record["pads_to_crop"] is False
    for override in ("valid.batch_size=1", "valid.batch_size=6"):
        arguments = ("evaluate", "--model", "runs/whole/best_model", "-c", "whole.yaml", override, "-o", "found.json")
        found = calling.pannsdist(*arguments, cwd=folder, env=env)
        assert found.exit_code == 0, found.output
        said = json.loads((folder / "found.json").read_text())["scores"]
        kept = {name: score for name, score in record["scores"].items() if name.startswith("valid/")}
        assert said.keys() == kept.keys()
        finite = {name: score for name, score in kept.items() if not isinstance(score, str)}
        assert len(finite) > 5
        assert {name: said[name]["value"] for name in finite} == finite


def test_predict_pads_a_short_sound_no_further_than_the_network_needs(whole, work, monkeypatch):
    monkeypatch.syspath_prepend(work[0] / "installed")
    model = pannsdist.load_model(whole[1] / "best_model", engine="dygraph")
    for name in ("highvalid0", "lowvalid1"):
        waveform, _ = soundfile.read(work[0] / f"{name}.wav", dtype="float32")
        with paddle.no_grad():
            logits = model.inference_model.network(paddle.to_tensor(waveform[None])).numpy()[0]
        odds = np.exp(logits - logits.max())
        expected = dict(zip(model.labels, odds / odds.sum(), strict=True))
        assert dict(model.predict(work[0] / f"{name}.wav")[0].scores) == pytest.approx(expected, abs=1e-5)


def test_a_resumed_run_equals_the_uninterrupted_one(whole, train):
    first, _ = train("resumed", "train.max_steps=3")
    assert first.exit_code == 0, first.output
    second, folder = train("resumed")
    assert second.exit_code == 0, second.output
    expected, found = weights(whole[1]), weights(folder)
    assert expected.keys() == found.keys()
    assert all(np.array_equal(expected[name], found[name]) for name in expected)
    shutil.rmtree(folder)


def test_overfitting_groups_nothing(train):
    launched, folder = train("overfit", "--overfit", "1")
    assert launched.exit_code == 0, launched.output
    assert "by length" not in launched.output
    assert json.loads((folder / "best_model" / "bundle.json").read_text())["pads_to_crop"] is True


def test_a_search_for_a_learning_rate_groups_too(work):
    folder, env = work
    (folder / "search.yaml").write_text(SETTINGS.format(name="search"))
    found = calling.pannsdist("find-lr", "-c", "search.yaml", "--steps", "10", cwd=folder, env=env)
    assert found.exit_code == 0, found.output
