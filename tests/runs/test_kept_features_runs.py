"""Runs that keep features have the same bits with any cache, alone and in two processes, and after they were killed."""

import json
import shutil
import time

import killing
import launching
import numpy as np
import pytest
import soundfile
from fake_model import RATE_HZ

from pannsdist.cache.keys import SETTLED_NS
from pannsdist.training.checkpoint import CheckpointStore

pytestmark = pytest.mark.slow

SETTINGS = """\
name: killed
model: {name: tiny}
data: {name: folder, workers: 1, cache_features: true, params: {root: sounds, valid_fraction: 0.25}}
train: {epochs: 4, batch_size: 4, crop_s: 0.5, spec_augment: true}
mixup: {alpha: 1.0, pairs: free}
valid: {batch_size: 2}
optimizer: {name: SGD, learning_rate: 0.1}
schedule: {name: constant, warmup_epochs: 0}
trackers: {visualdl: null}
save: {every_steps: 1}
"""
STEPS = 16


@pytest.fixture(scope="module")
def sounds(tmp_path_factory):
    """Clips of two classes; every fourth one is longer than the crop, which is then drawn."""
    folder = tmp_path_factory.mktemp("kept") / "sounds"
    for column, label in enumerate(("high", "low")):
        (folder / label).mkdir(parents=True)
        for number in range(12):
            samples = round(RATE_HZ * (0.5 if number % 4 else 0.9))
            noise = np.random.default_rng(100 * column + number).normal(0, 0.02, samples)
            tone = 0.4 * np.sin(np.arange(samples) * (0.3 + 0.9 * column + 0.02 * number))
            soundfile.write(folder / label / f"{number}.flac", tone + noise, RATE_HZ)
    time.sleep(1.1 * SETTLED_NS / 1e9)  # what was changed just now is read and not kept
    return folder


def run(tmp_path, sounds, env, name, *overrides, processes=1, home="home"):
    """The outcome of a run to its end, in a working folder of its own."""
    work = folder_of(tmp_path, sounds, name)
    done = launching.train(
        work / "settings.yaml", *overrides, processes=processes, cwd=work, env=home_of(env, tmp_path, home)
    )
    assert set(done.exit_codes) == {0}, str(done)
    return outcome(work)


def folder_of(tmp_path, sounds, name):
    work = tmp_path / name
    if not work.exists():
        work.mkdir()
        (work / "sounds").symlink_to(sounds)
        (work / "settings.yaml").write_text(SETTINGS)
    return work


def home_of(env, tmp_path, name):
    return {**env, "PANNSDIST_HOME": str(tmp_path / name)}


def outcome(work):
    folder = work / "runs" / "killed"
    lines = [json.loads(line) for line in (folder / "scores.jsonl").read_text(encoding="utf-8").splitlines()]
    scores = [{key: value for key, value in line.items() if "/" in key} for line in lines]
    return scores, CheckpointStore(folder / "checkpoints", keep=1).load_latest().snapshot


def assert_bit_equal(one, other):
    assert len(one[0]) == 4
    assert one[0] == other[0]
    for mine, theirs in ((one[1].model, other[1].model), (one[1].optimizer, other[1].optimizer)):
        assert mine.keys() == theirs.keys()
        assert all(np.array_equal(value, theirs[key]) for key, value in mine.items())


def kept_bytes(home):
    return sum(path.stat().st_size for path in (home / "arrays").glob("*/*.arrays"))


@pytest.mark.parametrize("processes", [1, 2])
def test_a_run_has_the_same_bits_with_an_empty_a_filled_a_foreign_and_no_cache(tmp_path, sounds, env, processes):
    how = {"processes": processes}
    cold = run(tmp_path, sounds, env, "cold", **how)
    size = kept_bytes(tmp_path / "home")
    assert size > 0
    assert_bit_equal(run(tmp_path, sounds, env, "filled", **how), cold)
    assert kept_bytes(tmp_path / "home") == size
    assert_bit_equal(run(tmp_path, sounds, env, "none", "data.cache_limit_gb=0", home="other", **how), cold)
    assert kept_bytes(tmp_path / "other") == 0
    run(tmp_path, sounds, env, "of others", "train.epochs=1", "seed=7", processes=3 - processes, home="foreign")
    assert_bit_equal(run(tmp_path, sounds, env, "foreign run", home="foreign", **how), cold)
    expected = run(tmp_path, sounds, env, "computed", "data.cache_features=false", **how)
    for one, other in zip(cold[0], expected[0], strict=True):
        assert one.keys() == other.keys()
        assert {key: one[key] - other[key] for key in one if one[key] != pytest.approx(other[key], abs=1e-3)} == {}


def test_a_run_of_two_processes_that_is_killed_ends_with_the_same_bits(tmp_path, sounds, env):
    whole = run(tmp_path, sounds, env, "whole", processes=2)
    work, own = folder_of(tmp_path, sounds, "killed"), home_of(env, tmp_path, "killed home")
    started = killing.start(work, own, SETTINGS)
    killing.wait_for_steps(started, work, 2)
    started.kill()
    assert 2 <= killing.newest_step(work) < STEPS
    for path in (tmp_path / "killed home" / "arrays").glob("*/*.arrays"):
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
    done = killing.start(work, own, SETTINGS).finish()
    assert done.exit_codes == (0, 0), str(done)
    assert "resumes " in done.logs[0]
    assert_bit_equal(outcome(work), whole)
    shutil.rmtree(work / "runs")
    assert_bit_equal(run(tmp_path, sounds, env, "killed", processes=2, home="killed home"), whole)


def test_a_run_is_refused_in_every_process_where_waveforms_are_changed(tmp_path, sounds, env):
    work = folder_of(tmp_path, sounds, "refused")
    how = {"processes": 2, "cwd": work, "env": home_of(env, tmp_path, "home")}
    done = launching.train(work / "settings.yaml", "augment.gain={}", **how)
    assert done.exit_codes == (2, 2), str(done)
    assert "data.cache_features" in done.logs[0] and "differ each time by gain" in done.logs[0]
    assert not (work / "runs").exists()
    done = launching.train(work / "settings.yaml", **how)
    assert done.exit_codes == (0, 0), str(done)
    done = launching.train(work / "settings.yaml", "data.cache_features=false", "train.epochs=5", **how)
    assert done.exit_codes == (2, 2), str(done)
    assert "data.cache_features is True there, False now" in done.logs[0]
