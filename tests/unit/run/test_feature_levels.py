"""`pannsdist data check` gives mean and deviation of the front end, and the params that normalize them."""

import json

import calling
import numpy as np
import pytest
import soundfile


def check(work, *overrides):
    settings = ("data.name=folder", "data.params.root=sounds", "model.name=efficientat_mn04", "train.crop_s=0.5")
    command = ("data", "check", "-c", "recipe:base", "--workers", "0", "--format", "json", *settings, *overrides)
    done = calling.pannsdist(*command, cwd=work)
    assert done.exit_code == 0, done.output
    return json.loads(done.output)["front_end"]


@pytest.fixture
def work(tmp_path):
    noise = np.random.default_rng(0)
    for label in "ab":
        for number in range(3):
            path = tmp_path / "sounds" / label / f"{number}.wav"
            path.parent.mkdir(parents=True, exist_ok=True)
            soundfile.write(path, 0.1 * noise.standard_normal(6400), 16000)
    return tmp_path


def test_the_params_that_it_names_normalize_the_front_end(work):
    before = check(work)
    assert (before["feature"], before["clips"]) == ("efficientat_mel", 4)
    assert abs(before["mean"]) > 0.05
    after = check(work, *(f"feature.params.{name}={value}" for name, value in before["params"].items()))
    assert after["mean"] == pytest.approx(0, abs=1e-4)
    assert after["deviation"] == pytest.approx(0.5, abs=1e-4)


def test_a_feature_without_shift_and_scale_has_a_mean_alone(work):
    found = check(work, "model.name=panns_cnn6")
    assert (found["feature"], found["params"]) == ("logmel", {})
    assert -100 < found["mean"] < 0
