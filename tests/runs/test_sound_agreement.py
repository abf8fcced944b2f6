"""`data check`, training, `evaluate` and `predict` come to the same verdict on every kind of sound file."""

import json
import re
import shutil

import calling
import pytest
import sound_kinds

SETTINGS = """\
name: kinds
model: {name: tiny}
data: {name: manifest, params: {path: sounds/clips.csv}, workers: 0, on_bad_clip: skip, min_clip_s: 0}
train: {epochs: 1, batch_size: 4, crop_s: 0.1}
"""
"""The crop is short, so that most of a file is not decoded: its verdict does not depend on it."""


@pytest.fixture(scope="module")
def kinds(tmp_path_factory, env):
    """A run that skips bad clips, on a folder of every kind of file; the names of those that are not whole."""
    work = tmp_path_factory.mktemp("kinds")
    folder = work / "sounds" / "train"
    folder.mkdir(parents=True)
    whole = sound_kinds.legal(folder)
    partial = sound_kinds.damaged(folder)
    (folder / "text.wav").write_text("no sound at all, " * 99, encoding="utf-8")
    shutil.copytree(folder, work / "sounds" / "valid")
    names = [*whole, *partial, "text.wav"]
    rows = [
        f"{split}/{name},{'ab'[place % 2]},{split}" for split in ("train", "valid") for place, name in enumerate(names)
    ]
    (work / "sounds" / "clips.csv").write_text("\n".join(["path,label,split", *rows, ""]))
    (work / "settings.yaml").write_text(SETTINGS)
    launched = calling.train(work / "settings.yaml", cwd=work, env=env)
    assert launched.exit_code == 0, str(launched)
    return work, whole, partial


def by_split(text):
    """{(split, name): reason} of messages such as "clip 'train/a.wav' (PATH): REASON"."""
    found = re.findall(r"clip '(train|valid)/([^']+)' \([^)]*\): (.*)", text)
    return {(split, name): reason for split, name, reason in found}


def test_the_check_training_evaluation_and_prediction_agree_about_every_file(kinds, env):
    work, whole, partial = kinds
    command = ("data", "check", "-c", "settings.yaml", "--format", "json", "--workers", "0")
    checked = calling.pannsdist(*command, cwd=work, env=env)
    assert checked.exit_code == 2
    report = json.loads(checked.output[checked.output.index("{") : checked.output.rindex("}") + 1])
    verdicts = by_split("\n".join(report["unreadable"].values()))
    assert {name for split, name in verdicts if split == "train"} == {*partial, "text.wav"}

    trained = by_split((work / "runs" / "kinds" / "bad_clips.txt").read_text(encoding="utf-8"))
    assert trained.items() <= verdicts.items()
    of_valid = {key: reason for key, reason in verdicts.items() if key[0] == "valid"}
    assert {key: reason for key, reason in trained.items() if key[0] == "valid"} == of_valid
    assert len(trained) > len(of_valid), "clips to train on were skipped as well"

    model = work / "runs" / "kinds" / "best_model"
    evaluated = calling.pannsdist("evaluate", "--model", model, "-c", "settings.yaml", cwd=work, env=env)
    assert evaluated.exit_code == 0, str(evaluated)
    assert by_split(evaluated.output) == of_valid

    paths = [f"sounds/valid/{name}" for name in (*whole, *partial, "text.wav")]
    predicted = calling.pannsdist("predict", "--model", model, "--format", "jsonl", *paths, cwd=work, env=env)
    assert predicted.exit_code == 2, "text.wav has no answer"
    answers = {}
    for line in predicted.output.splitlines():
        if line.startswith("{"):
            answer = json.loads(line)
            answers[answer["path"].rpartition("/")[2]] = answer
    assert set(answers) == {*whole, *partial}
    for name in whole:
        assert "incomplete" not in answers[name]
        assert f"/{name}: " not in predicted.output
    for name in partial:
        incomplete = answers[name]["incomplete"]
        assert f"{incomplete['read_s']:.2f}" in verdicts["valid", name]
        assert incomplete["reason"] in verdicts["valid", name]
        assert predicted.output.count(f"warning: sounds/valid/{name}: {verdicts['valid', name]}\n") == 1
    assert "error: clip 'text.wav'" in predicted.output


def test_detect_and_embed_say_how_much_they_read(kinds, env):
    work, _, partial = kinds
    model, path = work / "runs" / "kinds" / "best_model", f"sounds/valid/{partial[0]}"
    detected = calling.pannsdist("detect", "--model", model, "--format", "jsonl", path, cwd=work, env=env)
    assert detected.exit_code == 0, str(detected)
    (answer,) = [json.loads(line) for line in detected.output.splitlines() if line.startswith("{")]
    assert answer["incomplete"]["whole_s"] == pytest.approx(0.5, abs=0.05)
    assert detected.output.count("could be read") == 1


def test_a_run_that_does_not_skip_ends_at_the_first_part(kinds, env):
    work, _, partial = kinds
    rows = [f"{split}/{name},{'ab'[at]},{split}" for split in ("train", "valid") for at, name in enumerate(partial[:2])]
    (work / "sounds" / "parts.csv").write_text("\n".join(["path,label,split", *rows, ""]))
    overrides = ("name=refused", "data.on_bad_clip=stop", "data.params.path=sounds/parts.csv", "train.batch_size=2")
    launched = calling.train(work / "settings.yaml", *overrides, cwd=work, env=env)
    assert launched.exit_code == 2
    assert re.search(r"error: clip 'train/[^']*' \(.*\): 0\.\d\d of 0\.\d\d s could be read", launched.output)
    assert "Traceback" not in launched.output
