"""`pannsdist engines`, and the options `--engine` and `--precision` of the commands on sounds."""

import json

import numpy as np
import pytest
import soundfile
from small_parts import RATE_HZ, install, write_small_bundle

import pannsdist
from pannsdist.cli.command_line import main
from pannsdist.inference.engines import kinds
from pannsdist.kernels.choice import HALF, refusal

SOUND = np.random.default_rng(0).normal(0, 0.1, 1600).astype(np.float32)
half = pytest.mark.skipif(bool(refusal(HALF)), reason=refusal(HALF))


@pytest.fixture
def model(tmp_path, monkeypatch):
    """The name of a model folder beside a sound, `a.wav`, and a fresh folder of the user."""
    monkeypatch.setenv("PANNSDIST_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    install(tmp_path / "site", "small-parts", "[pannsdist.models]\nsmall = small_parts:SmallModel\n")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    write_small_bundle(tmp_path / "best_model", ("high", "low"), crop_s=0.2)
    soundfile.write("a.wav", SOUND, RATE_HZ, subtype="FLOAT")
    return "./best_model"


def answered(capsys, *command, code=0):
    assert main(command) == code
    return capsys.readouterr()


def test_the_engines_are_listed_with_what_is_chosen(model, capsys, monkeypatch):
    monkeypatch.setattr(kinds, "refusal", lambda _: "this processor has none of it")
    printed = answered(capsys, "engines", "--model", model).out
    assert "dygraph  fp32  available" in printed
    assert "paddle   bf16  not available: bf16 is not possible here: this processor has none of it" in printed
    assert "onednn   fp32  not available: the engine onednn cannot run here" in printed
    assert "table of this machine: none\n" in printed
    assert (
        "chosen: paddle, fp32, from the ninth window on (table of the package: other network), batches of 8" in printed
    )


def test_what_is_measured_counts_from_then_on(model, capsys, tmp_path):
    printed = answered(capsys, "engines", "--model", model, "--measure", "--rounds", "1", "a.wav").out
    assert "top class equal in 100%" in printed
    assert f"written: {tmp_path / 'home' / 'engines.json'}\n" in printed
    (row,) = json.loads((tmp_path / "home" / "engines.json").read_text(encoding="utf-8"))["rows"]
    assert (row["family"], row["precision"]) == ("other", "fp32")
    assert f"other networks, fp32: {row['engine']}, batches of {row['batch_size']}, " in printed
    said = answered(capsys, "predict", "--model", model, "a.wav")
    assert said.err.startswith(f"engine: {row['engine']}, fp32") and "table of this machine" in said.err
    loaded = pannsdist.load_model(model)
    assert (loaded.engine.engine, loaded.engine.batch_size) == (row["engine"], row["batch_size"])


@half
def test_a_precision_is_named_and_nearly_agrees(model, capsys):
    exact, coarse = (
        json.loads(answered(capsys, "predict", "--model", model, *more, "--format", "jsonl", "a.wav").out)
        for more in ((), ("--precision", "bf16", "--engine", "onednn"))
    )
    assert coarse["scores"].keys() == exact["scores"].keys()
    assert all(abs(coarse["scores"][label] - score) < 0.05 for label, score in exact["scores"].items())
    said = answered(capsys, "predict", "--model", model, "--precision", "bf16", "--engine", "onednn", "a.wav").err
    assert said == "engine: onednn, bf16 (chosen by the user)\n"
    assert pannsdist.load_model(model, precision="bf16").engine.precision == "bf16"


@pytest.mark.parametrize(
    ("options", "error"),
    [
        (("--precision", "int8"), "error: no engine computes in int8\n"),
        (("--precision", "bf16", "--engine", "dygraph"), "error: the engine dygraph has no bf16\n"),
    ],
)
@pytest.mark.parametrize("command", ["predict", "detect", "embed"])
def test_what_is_not_there_is_refused(model, command, options, error, capsys):
    out = ("-o", "out.npz") if command == "embed" else ()
    assert error in answered(capsys, command, "--model", model, *options, *out, "a.wav", code=2).err


@pytest.mark.parametrize("options", [("--measure",), ("a.wav",), ("--model", "./best_model", "a.wav")])
def test_a_measurement_needs_a_model(model, options, capsys):  # noqa: ARG001 - it lies there
    assert "give --model MODEL --measure" in answered(capsys, "engines", *options, code=2).err


def test_a_damaged_table_is_refused_before_the_work(model, capsys, tmp_path):
    (tmp_path / "home").mkdir()
    table = tmp_path / "home" / "engines.json"
    table.write_text("{", encoding="utf-8")
    for command in (("engines",), ("engines", "--model", model, "--measure"), ("predict", "--model", model, "a.wav")):
        said = answered(capsys, *command, code=2).err
        assert f"{table} is damaged" in said and f"next: rm {table}" in said
    assert answered(capsys, "predict", "--model", model, "--engine", "dygraph", "a.wav").out
