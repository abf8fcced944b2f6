"""The real command where no distribution of `plugins/` is installed: it says what to install."""

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import numpy as np
import pytest
import soundfile

pytestmark = pytest.mark.any_paddle  # and Paddle 2.6 cannot be imported without the module `site`
PROJECT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def bare(tmp_path_factory):
    """Calls `pannsdist ARGUMENT...` with this project and what is installed beside it, but none of its plugins.

    `-S` leaves out the packages of this Python, and a folder of links brings back all but those of plugins, behind the
    standard library as ever.
    """
    packages = tmp_path_factory.mktemp("packages")
    for name in {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}:
        for path in Path(name).iterdir():
            if not path.name.startswith(("pannsdist", "__editable__")):
                (packages / path.name).symlink_to(path)
    work = tmp_path_factory.mktemp("work")
    soundfile.write(work / "a.wav", np.zeros(3200), 32000)
    environment = {**os.environ, "PYTHONPATH": str(PROJECT)}
    program = f"import runpy, sys; sys.path.append({str(packages)!r}); runpy.run_module('pannsdist', None, '__main__')"

    def call(*arguments):
        command = [sys.executable, "-S", "-c", program, *arguments]
        done = subprocess.run(command, cwd=work, env=environment, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout + done.stderr

    return call


def test_the_recipe_of_sound_events_names_the_distribution_of_its_scores(bare):
    code, said = bare("train", "-c", "recipe:esc10_events", "model.name=panns_cnn6")
    assert code == 2
    assert "metric 'event_f1' (metrics in recipe:esc10_events) is not installed\n" in said
    assert "  the distribution pannsdist-sed-scores provides it\n  next: pip install pannsdist-sed-scores\n" in said


def test_a_score_that_shall_select_the_model_names_its_distribution(bare):
    code, said = bare("train", "-c", "recipe:demo", "select.metric=valid/psds1")
    assert code == 2
    right = "the distribution pannsdist-sed-scores provides it; install that and name it too: metrics.psds1={}"
    assert f"  {right}\n  next: pip install pannsdist-sed-scores\n" in said


@pytest.mark.parametrize(
    ("arguments", "plugin", "distribution"),
    [
        (("train", "-c", "recipe:demo", "model.name=frame_mn04"), "model 'frame_mn04'", "pannsdist-frame-mn"),
        (("train", "-c", "recipe:demo", "data.name=desed"), "dataset 'desed'", "pannsdist-desed"),
        (("train", "-c", "recipe:demo", "feature.name=pcen"), "feature 'pcen'", "pannsdist-pcen"),
        (("train", "-c", "recipe:demo", "trackers.wandb={}"), "tracker 'wandb'", "pannsdist-wandb"),
        (("tag", "--model", "efficientat_mn04", "a.wav"), "model 'efficientat_mn04'", "pannsdist-efficientat"),
        (("plugins", "show", "model", "ast_tiny"), "model 'ast_tiny'", "pannsdist-ast"),
        (("plugins", "list", "--search", "urban_sed"), "dataset 'urban_sed'", "pannsdist-urban-sed"),
    ],
)
def test_every_command_that_takes_a_name_names_the_distribution(bare, arguments, plugin, distribution):
    code, said = bare(*arguments)
    assert code == 2
    assert f"error: {plugin}" in said
    right = f"the distribution {distribution} provides it"
    assert f"is not installed\n  {right}\n  next: pip install {distribution}\n" in said
