"""What commands on folders leave out is said once, and unusual levels once for each file, beside the results."""

import json

import calling
import numpy as np
import pytest
import soundfile
import tiny
import tiny_sounds

import pannsdist
from pannsdist.inference.model import Model
from pannsdist.runtime.errors import BadClip

RATE_HZ = 8000
NOISE = np.random.default_rng(0).normal(0, 0.1, RATE_HZ // 2)
SETTINGS = """\
name: small
model: {name: tiny}
data: {name: folder, params: {root: data}, workers: 0}
train: {epochs: 1, batch_size: 2, crop_s: 0.3}
trackers: {visualdl: null}
"""
LEFT_OUT = "1 file(s) in a format that libsndfile does not read (dog/more.dsf); convert: ffmpeg -i "


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """A trained model, its data with a file that is left out, and sounds with unusual levels."""
    work, env = tmp_path_factory.mktemp("left_out"), tiny.install(tmp_path_factory.mktemp("plugins"))
    for label in ("dog", "cat"):
        (work / "data" / label).mkdir(parents=True)
        for number in range(3):
            soundfile.write(work / "data" / label / f"{number}.caf", NOISE, RATE_HZ, format="CAF")
    (work / "data" / "dog" / "more.dsf").touch()
    (work / "settings.yaml").write_text(SETTINGS, encoding="utf-8")
    (work / "odd").mkdir()
    soundfile.write(work / "odd" / "a.wav", NOISE, RATE_HZ)
    soundfile.write(work / "odd" / "inverted.wav", np.stack([NOISE, -NOISE], axis=1), RATE_HZ)
    soundfile.write(work / "odd" / "int16.wav", np.round(NOISE * 32768), RATE_HZ, subtype="FLOAT")
    launched = calling.train(work / "settings.yaml", cwd=work, env=env)
    assert launched.exit_codes == (0,), str(launched)
    assert launched.output.count(LEFT_OUT) == 1
    return work, env


def called(work, *arguments, code=0):
    launched = calling.pannsdist(*arguments, cwd=work[0], env=work[1])
    assert launched.exit_codes == (code,), str(launched)
    return launched.output


PREDICT = ("predict", "--model", "runs/small/best_model", "--engine", "dygraph")
DETECT = ("detect", "--model", "runs/small/best_model", "--engine", "dygraph")


def test_every_command_on_the_folder_says_once_what_it_leaves_out(work):
    for command in (
        ("data", "check", "-c", "settings.yaml", "--workers", "0"),
        ("evaluate", "--model", "runs/small/best_model", "-c", "settings.yaml"),
        (*PREDICT, "data"),
        (*DETECT, "data"),
    ):
        code = 2 if "check" in command else 0  # the same noise is in both splits
        assert called(work, *command, code=code).count(LEFT_OUT) == 1, command
    launched = calling.train(work[0] / "settings.yaml", "--dry-run", cwd=work[0], env=work[1])
    assert launched.output.count(f"left out   {LEFT_OUT}") == 1


@pytest.mark.parametrize("command", [PREDICT, DETECT])
def test_unusual_levels_are_noted_once_for_each_file_and_stand_in_json(work, command):
    printed = called(work, *command, "--format", "jsonl", "odd", code=2)
    lines = printed.splitlines()
    records = {record["path"]: record for record in map(json.loads, (line for line in lines if line[0] == "{"))}
    assert records.keys() == {"odd/a.wav", "odd/inverted.wav"}
    assert "remarks" not in records["odd/a.wav"]
    (remark,) = records["odd/inverted.wav"]["remarks"]
    assert remark.startswith("its channels cancel each other")
    assert printed.count(f"note: odd/inverted.wav: {remark}") == 1
    assert "error: clip 'int16.wav' (odd/int16.wav): its samples reach" in printed


def test_from_python_there_are_warnings_and_remarks(work, monkeypatch):
    for path in work[1]["PYTHONPATH"].split(":"):
        monkeypatch.syspath_prepend(path)
    model = pannsdist.load_model(work[0] / "runs" / "small" / "best_model", engine="dygraph")
    path = work[0] / "odd" / "inverted.wav"
    for ask in (model.predict, model.tag, model.detect):
        with pytest.warns(UserWarning, match=r"inverted\.wav: its channels cancel each other"):
            (answer,) = ask(path)
        assert answer.remarks[0].startswith("its channels cancel each other")
    with pytest.warns(UserWarning, match=r"inverted\.wav: its channels cancel each other"):
        assert Model(tiny_sounds.inference_model()).embed(path).shape == (1, 16)
    with pytest.warns(UserWarning, match=r"left out: 1 file"):
        model.predict(work[0] / "data" / "dog")
    with pytest.raises(BadClip, match="integers stored as floats"):
        model.predict(NOISE * 32768, RATE_HZ)
