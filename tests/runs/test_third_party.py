"""Plugins of somebody else: installed, used, and taken away again."""

import json
from dataclasses import dataclass
from pathlib import Path

import calling
import launching
import numpy as np
import pytest
import soundfile

pytestmark = pytest.mark.any_paddle

BEEPS = '''\
"""Beeps for pannsdist."""

from dataclasses import dataclass

import numpy as np

from pannsdist.contracts import Clip


@dataclass(frozen=True)
class BeepsParams:
    clips: int = 4


@dataclass(frozen=True)
class Beep:
    pitch_hz: float

    def samples(self):
        return np.sin(2 * np.pi * self.pitch_hz * np.arange(16000) / 32000).astype(np.float32), 32000


class Beeps:
    """High beeps and low ones."""

    Params = BeepsParams
    labels, multi_label, splits = ("high", "low"), False, ("train", "valid")

    def __init__(self, params):
        self.params = params

    def clips(self, split):
        pitches = [("high", 3000 + 50 * n) for n in range(self.params.clips)]
        pitches += [("low", 300 + 5 * n) for n in range(self.params.clips)]
        return [Clip(f"{split}/{pitch}", Beep(pitch + len(split)), (label,)) for label, pitch in pitches]
'''
PLAIN = '''\
"""The plainest of networks for pannsdist."""

from pannsdist.contracts import FrontEnd, NoParams


class Plain:
    """One linear layer on the mean spectrum."""

    Params, feature, feature_params, weights, head = NoParams, "logmel", {}, {}, "linear"
    details = (("mel", "slaney"), ("pad", "reflect"), ("power_floor", 1e-10), ("scale", "db"), ("window", "hann"))
    front_end = FrontEnd("logmel", 32000, 1024, 320, 1024, 64, 50.0, 14000.0, details)

    def __init__(self, params):
        self.params = params

    def accepts(self, front_end):
        return True

    def minimum_samples(self, front_end):
        return front_end.window_samples

    def build(self, labels, front_end):
        from paddle import nn

        class Mean(nn.Layer):
            def __init__(self):
                super().__init__()
                self.linear = nn.Linear(front_end.bins, len(labels))

            def forward(self, image):
                return self.linear(image.mean(axis=[1, 2]) / 100)

        return Mean()
'''
SETTINGS = """\
base: {base}
model: {{name: plain}}
data: {{name: beeps, workers: 1}}
train: {{epochs: 2, batch_size: 4, crop_s: 0.5}}
optimizer: {{learning_rate: 0.1}}
"""


def install(target: Path, name: str, version: str, code: str, entry_points: str) -> str:
    """Put a distribution into a folder, as pip does with its wheel; gives the folder, for PYTHONPATH."""
    module = name.replace("-", "_")
    info = f"{module}-{version}.dist-info"
    files = {
        f"{module}.py": code,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/entry_points.txt": entry_points,
    }
    for path, text in files.items():
        (target / path).parent.mkdir(parents=True, exist_ok=True)
        (target / path).write_text(text)
    return str(target)


@dataclass(frozen=True)
class Strangers:
    """The folders of two distributions, and a run that used both."""

    dataset: str
    model: str
    work: Path
    launched: launching.Launched

    def pannsdist(self, *args, path):
        return calling.pannsdist(*args, cwd=self.work, env={"PYTHONPATH": path})


DATASET = ("pannsdist-beeps", "1.2", BEEPS, "[pannsdist.datasets]\nbeeps = pannsdist_beeps:Beeps\n")
MODEL = ("pannsdist-plain", "0.3", PLAIN, "[pannsdist.models]\nplain = pannsdist_plain:Plain\n")


def training_with_both(work, _):
    sites = (install(work / "site_a", *DATASET), install(work / "site_b", *MODEL))
    (work / "settings.yaml").write_text(SETTINGS.format(base=launching.CONFIGS / "base.yaml"))
    return launching.Command((launching.TRAIN, "-c", work / "settings.yaml"), work, sites)


IN_TURN = {"plugins of others": training_with_both}


@pytest.fixture(scope="module")
def strangers(together):
    work, launched = together["plugins of others"].work, together["plugins of others"].launched
    soundfile.write(work / "beep.wav", np.zeros(16000, np.float32), 32000)
    return Strangers(str(work / "site_a"), str(work / "site_b"), work, launched)


def test_an_installed_plugin_is_listed_with_its_distribution(strangers):
    launched = strangers.pannsdist("plugins", "list", path=f"{strangers.dataset}:{strangers.model}")
    assert launched.exit_code == 0, str(launched)
    lines = [line.split() for line in launched.output.splitlines()]
    assert ["dataset", "beeps", "pannsdist-beeps", "1.2"] in lines
    assert ["model", "plain", "pannsdist-plain", "0.3"] in lines


def test_two_processes_train_with_plugins_of_others(strangers):
    assert strangers.launched.exit_codes == (0, 0), str(strangers.launched)
    assert "model      plain (pannsdist-plain 0.3), random weights" in strangers.launched.logs[0]
    assert "data       beeps (pannsdist-beeps 1.2): 2 classes" in strangers.launched.logs[0]


def test_the_model_folder_names_the_distributions(strangers):
    record = json.loads((strangers.work / "runs" / "run" / "best_model" / "bundle.json").read_text())
    assert record["dataset"] == {
        "name": "beeps",
        "params": {"clips": 4},
        "origin": {"distribution": "pannsdist-beeps", "version": "1.2"},
    }
    assert record["model"]["origin"] == {"distribution": "pannsdist-plain", "version": "0.3"}


def test_predict_does_not_need_the_dataset(strangers):
    launched = strangers.pannsdist("predict", "--model", "runs/run/best_model", "beep.wav", path=strangers.model)
    assert launched.exit_code == 0, str(launched)
    path, *answer = launched.output.splitlines()[-1].split()
    assert path == "beep.wav"
    assert set(answer[::2]) == {"high", "low"}


def test_predict_without_the_model_names_the_distribution_to_install(strangers):
    launched = strangers.pannsdist("predict", "--model", "runs/run/best_model", "beep.wav", path=strangers.dataset)
    assert launched.exit_code == 2, str(launched)
    assert "error: the model was made with model 'plain', which is not installed" in launched.output
    assert "it came with pannsdist-plain 0.3" in launched.output
    assert "next: pip install pannsdist-plain==0.3" in launched.output
    assert "Traceback" not in launched.output


@pytest.mark.parametrize("name", ["beeps", "pannsdist-beeps:beeps"])
def test_evaluate_without_the_dataset_names_the_distribution_to_install(strangers, name):
    command = ("evaluate", "--model", "runs/run/best_model", "-c", "settings.yaml", f"data.name={name}")
    launched = strangers.pannsdist(*command, path=strangers.model)
    assert launched.exit_code == 2, str(launched)
    assert "error: the model was made with dataset 'beeps', which is not installed" in launched.output
    assert "it came with pannsdist-beeps 1.2; to evaluate on another one: data.name=NAME" in launched.output
    assert "next: pip install pannsdist-beeps==1.2" in launched.output


def test_training_without_the_dataset_says_what_is_installed(strangers):
    launched = calling.train(
        strangers.work / "settings.yaml", "name=other", cwd=strangers.work, env={"PYTHONPATH": strangers.model}
    )
    assert launched.exit_code == 2, str(launched)
    assert "error: unknown dataset 'beeps' (data.name in " in launched.output
    assert "Traceback" not in launched.output
    assert not (strangers.work / "runs" / "other").exists()


def test_two_distributions_with_one_name_are_refused_with_both_named_and_one_can_be_chosen(strangers, tmp_path):
    other = install(
        tmp_path / "site", "pannsdist-boops", "2.0", BEEPS, "[pannsdist.datasets]\nbeeps = pannsdist_boops:Beeps\n"
    )
    path = f"{strangers.dataset}:{strangers.model}:{other}"
    how = {"cwd": strangers.work, "env": {"PYTHONPATH": path}}
    settings = strangers.work / "settings.yaml"
    refused = calling.train(settings, "--dry-run", "name=clash", **how)
    assert refused.exit_code == 2, str(refused)
    assert "error: two distributions offer dataset 'beeps' (data.name in " in refused.output
    assert "pannsdist-beeps 1.2" in refused.output
    assert "pannsdist-boops 2.0" in refused.output
    chosen = calling.train(settings, "--dry-run", "name=clash", "data.name=pannsdist-boops:beeps", **how)
    assert chosen.exit_code == 0, str(chosen)
    assert "beeps (pannsdist-boops 2.0)" in chosen.output


def test_what_is_left_of_a_plugin_stops_nothing_that_does_not_ask_for_it(strangers, tmp_path):
    left = install(tmp_path / "site", "pannsdist-gone", "1.0", "", "[pannsdist.models]\ngone = pannsdist_gone:Gone\n")
    for site in (left, strangers.dataset):
        launched = calling.train(
            "tones_cnn6.yaml", "--dry-run", "name=left", cwd=strangers.work, env={"PYTHONPATH": site}
        )
        assert launched.exit_code == 0, str(launched)
        assert "panns_cnn6" in launched.output
    gone = calling.train(
        "tones_cnn6.yaml", "--dry-run", "model.name=gone", cwd=strangers.work, env={"PYTHONPATH": left}
    )
    assert gone.exit_code == 2, str(gone)
    assert "error: model plugin 'gone' of pannsdist-gone 1.0 is broken: " in gone.output
    assert "Traceback" not in gone.output
