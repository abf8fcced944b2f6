"""The `pannsdist` command: what it prints, and the exit code that it leaves with."""

import csv
import io
import json
import os
import subprocess
import sys

import numpy as np
import pytest
import soundfile
from small_parts import install, write_small_bundle

from pannsdist import __version__
from pannsdist.cli.command_line import main

ENGINE = "engine: paddle, fp32, from the ninth window on (table of the package: other network)\n"
LABELS = ("tone", "sweep")
ENGINE = "engine: paddle, fp32, from the ninth window on (table of the package: other network)\n"
"""What standard error says beside every answer."""
TONES = """
model: {name: small}
data: {name: tones, workers: 0, params: {classes: 2, valid_clips_per_class: 3, duration_s: 0.2, sample_rate_hz: 8000}}
"""


@pytest.fixture
def model(tmp_path, monkeypatch):
    """A model folder whose plugin is installed."""
    site = tmp_path / "site"
    install(site, "small-parts", "[pannsdist.models]\nsmall = small_parts:SmallModel\n")
    monkeypatch.syspath_prepend(str(site))
    write_small_bundle(tmp_path / "best_model", LABELS)
    return tmp_path / "best_model"


@pytest.fixture
def sound(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.random.default_rng(0).normal(0, 0.1, 3000), 8000)
    return tmp_path / "a.wav"


@pytest.fixture
def config(tmp_path):
    (tmp_path / "run.yaml").write_text(TONES, encoding="utf-8")
    return tmp_path / "run.yaml"


def test_without_a_file_every_key_is_shown_with_its_meaning(run):
    code, out, _ = run("config", "show")
    assert code == 0
    assert "train.epochs = 30   # number of training epochs\n" in out
    assert "model.name = (required)   # model plugin\n" in out


def test_the_settings_of_a_file_are_shown_as_yaml_with_what_wins(run, config, tmp_path):
    code, out, _ = run("config", "show", "-c", config, "train.epochs=7")
    assert code == 0
    (tmp_path / "again.yaml").write_text(out, encoding="utf-8")
    assert "  epochs: 7\n" in out
    assert run("config", "show", "-c", tmp_path / "again.yaml") == (0, out, "")


def test_settings_may_stand_on_both_sides_of_an_option(run, config):
    code, out, _ = run("config", "show", "train.epochs=7", "-c", config, "seed=3")
    assert code == 0
    assert "  epochs: 7\n" in out
    assert "seed: 3\n" in out


@pytest.mark.parametrize("strange", ["--epochs=7", "epochs"])
def test_what_is_neither_an_option_nor_a_setting_is_refused(config, strange, capsys):
    with pytest.raises(SystemExit) as caught:
        main(["config", "show", "seed=3", "-c", str(config), strange])
    assert caught.value.code == 2
    hint = "(settings are given as key=value, such as train.epochs=3)"
    assert f"unrecognized arguments: {strange} {hint}" in capsys.readouterr().err


def test_a_wrong_key_ends_with_exit_code_2(run, config):
    code, _, err = run("config", "show", "-c", config, "train.epoch=7")
    assert code == 2
    assert err.startswith("error: unknown key train.epoch on the command line\n")


def test_the_version_is_told(capsys):
    with pytest.raises(SystemExit) as caught:
        main(["--version"])
    assert caught.value.code == 0
    assert capsys.readouterr().out == f"pannsdist {__version__}\n"


def test_answers_are_a_line_for_each_file(run, model, sound):
    code, out, err = run("predict", "--model", model, sound)
    assert (code, err) == (0, ENGINE)
    (line,) = out.splitlines()
    path, *answers = line.split()
    assert path == str(sound)
    assert set(answers[::2]) == set(LABELS)
    assert sum(map(float, answers[1::2])) == pytest.approx(1.0, abs=1e-3)


def test_answers_are_json(run, model, sound):
    code, out, _ = run("predict", "--model", model, "--format", "json", sound, sound)
    assert code == 0
    rows = json.loads(out)
    assert [row["path"] for row in rows] == [str(sound)] * 2
    assert sum(rows[0]["scores"].values()) == pytest.approx(1.0, abs=1e-6)


def test_answers_are_csv(run, model, sound):
    code, out, _ = run("predict", "--model", model, "--format", "csv", sound)
    assert code == 0
    rows = list(csv.DictReader(io.StringIO(out)))
    assert [(row["path"], row["rank"]) for row in rows] == [(str(sound), "1"), (str(sound), "2")]
    assert float(rows[0]["score"]) >= float(rows[1]["score"])
    assert {row["label"] for row in rows} == set(LABELS)


def test_no_cell_of_a_csv_answer_is_a_formula(run, model, sound, monkeypatch):
    monkeypatch.chdir(sound.parent)
    sound.rename("=1+1, a.wav")
    code, out, _ = run("predict", "--model", model, "--format", "csv", "=1+1, a.wav")
    assert code == 0
    assert {row["path"] for row in csv.DictReader(io.StringIO(out))} == {"'=1+1, a.wav"}


def test_only_as_many_labels_are_named_as_asked_for(run, model, sound):
    _, out, _ = run("predict", "--model", model, "--format", "json", "--topk", "1", sound)
    assert len(json.loads(out)[0]["scores"]) == 1


@pytest.mark.parametrize("topk", ["0", "-1", "many"])
def test_a_number_of_labels_that_is_none_is_refused(model, sound, topk, capsys):
    try:
        code = main(["predict", "--model", str(model), "--topk", topk, str(sound)])
    except SystemExit as ended:  # argparse's own refusal
        code = ended.code
    assert code == 2
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("form", ["table", "json", "csv"])
def test_a_bad_file_is_named_with_exit_code_2_and_the_others_are_answered(run, model, sound, tmp_path, form):
    (tmp_path / "b.wav").write_text("no sound", encoding="utf-8")
    code, out, err = run("predict", "--model", model, "--format", form, sound, tmp_path / "b.wav", sound)
    assert code == 2
    assert out.count(str(sound)) == (4 if form == "csv" else 2)
    assert "b.wav" not in out
    assert err.startswith(f"{ENGINE}error: clip 'b.wav' ({tmp_path}/b.wav): libsndfile cannot decode it")
    assert "Traceback" not in err


def test_a_folder_that_is_no_model_is_refused(run, sound, tmp_path):
    code, _, err = run("predict", "--model", tmp_path, sound)
    assert code == 2
    assert err.startswith(f"error: {tmp_path} is not a model folder")


def test_a_missing_file_is_refused_before_anything_is_answered(run, model, sound, tmp_path):
    code, out, err = run("predict", "--model", model, sound, tmp_path / "absent.wav")
    assert (code, out) == (2, "")
    assert err.startswith(f"error: there is no file {tmp_path}/absent.wav")


def test_a_model_is_scored_on_a_split(run, model, config):
    code, out, err = run("evaluate", "--model", model, "-c", config)
    assert (code, err) == (0, "")
    assert out.startswith("valid: 6 clips, 2 classes\n")
    _, score, low, to, high = next(line.split() for line in out.splitlines() if line.startswith("valid/accuracy "))
    assert (to, len(score)) == ("to", len("0.1234"))
    assert 0.0 <= float(low) <= float(score) <= float(high) <= 1.0
    assert run("evaluate", "--model", model, "-c", config, "--split", "train")[1].startswith("train: ")


def test_the_scores_do_not_depend_on_the_number_of_workers(run, model, config):
    alone, helped = (run("evaluate", "--model", model, "-c", config, f"data.workers={n}")[1] for n in (0, 2))
    assert alone == helped


def test_a_dataset_with_other_labels_is_refused_with_both_sides(run, model, config):
    code, out, err = run("evaluate", "--model", model, "-c", config, "data.params.classes=3")
    assert (code, out) == (2, "")
    assert err.startswith(f"error: the labels of the dataset differ from those of the model in {model}\n")
    assert "the model has 2, the dataset 3; label 2: model 'nothing', dataset 'noise'" in err


def test_a_split_that_is_not_there_is_refused(run, model, config):
    code, _, err = run("evaluate", "--model", model, "-c", config, "--split", "test")
    assert code == 2
    assert "has no split 'test'" in err


def test_a_reader_that_leaves_early_ends_the_command_quietly():
    command = "import sys; from pannsdist.cli import main; sys.exit(main(['config', 'show']))"
    buffered = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", command], **pipes, text=True, env=buffered) as done:
        done.stdout.close()
        said = done.stderr.read()
    assert (done.returncode, said) == (141, "")
