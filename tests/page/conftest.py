"""One server with two models, and one browser, for all tests of the page."""

import subprocess

import calling
import chromium
import numpy as np
import pytest
import soundfile
from looking import MODELS, RATE_HZ, opened, serving

from pannsdist.builtin.tones import Tones, TonesParams

FEW = ("data.params.clips_per_class=8", "data.params.valid_clips_per_class=4", "data.workers=0")


@pytest.fixture(scope="session")
def site(tmp_path_factory):
    """A folder with a model that knows six kinds of sounds, the same one calibrated, and sounds."""
    folder = tmp_path_factory.mktemp("page")
    made = calling.pannsdist("probe", "-c", "recipe:demo", *FEW, cwd=folder)
    assert made.exit_code == 0, made.output
    model = folder / "runs" / "demo_probe"
    copied = folder / "runs" / "strict"
    subprocess.run(["cp", "-r", model, copied], check=True)
    made = calling.pannsdist("calibrate", "--model", copied, "--reject", "0.5", cwd=folder)
    assert made.exit_code == 0, made.output
    clips = {clip.labels[0]: clip.source.samples()[0] for clip in Tones(TonesParams(seed=9)).clips("valid")}
    for name, samples in clips.items():
        soundfile.write(folder / f"{name}.wav", samples, RATE_HZ, subtype="PCM_16")
    soundfile.write(folder / "noise.ogg", clips["noise"], RATE_HZ)
    soundfile.write(folder / "parts.wav", np.concatenate(list(clips.values())), RATE_HZ, subtype="PCM_16")
    soundfile.write(folder / "quiet.wav", 1e-3 * clips["tone"], RATE_HZ, subtype="FLOAT")
    soundfile.write(folder / "microphone.wav", np.tile(clips["noise"], 4), RATE_HZ, subtype="PCM_16")
    (folder / "notes.wav").write_text("no sound at all\n")
    return folder


@pytest.fixture(scope="session")
def address(site):
    with serving(site, {name: site / "runs" / run / "best_model" for name, run in MODELS.items()}) as address:
        yield address


@pytest.fixture(scope="module")  # one Playwright at a time in a process: the next file may start its own
def browser(site):
    flags = (
        "--use-fake-device-for-media-stream",
        "--use-fake-ui-for-media-stream",
        "--autoplay-policy=document-user-activation-required",
    )
    with chromium.browsing(*flags, f"--use-file-for-fake-audio-capture={site / 'microphone.wav'}") as browser:
        yield browser


@pytest.fixture
def page(browser, address):
    with opened(browser, address) as page:
        yield page


@pytest.fixture(scope="session")
def model(site):
    """What Python answers: a function of the name of a model."""
    import pannsdist

    loaded = {name: pannsdist.load_model(site / "runs" / run / "best_model") for name, run in MODELS.items()}
    return loaded.__getitem__
