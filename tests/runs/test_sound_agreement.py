"""`data check`, training, `evaluate` and `predict` come to the same verdict on every kind of sound file."""

import csv
import json
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

import calling
import foreign_sounds
import launching
import pytest
import sound_kinds

SETTINGS = """\
name: kinds
model: {name: tiny}
data: {name: manifest, params: {path: sounds/clips.csv}, workers: 0, on_bad_clip: skip, min_clip_s: 0}
train: {epochs: 1, batch_size: 4, crop_s: 0.1}
"""
"""The crop is short, so that most of a file is not decoded: its verdict does not depend on it."""
CASES = ("telephone_gsm610.wav", "whole.w64", "vbr_without_length.mp3", "hole.mp3", "cut.ogg", "cut.wav")
CASES_WHOLE = {"telephone_gsm610.wav": 1.2, "whole.w64": 1.2, "vbr_without_length.mp3": 8.05}
MESSAGE = re.compile(r"clip '(train|valid)/((?:[^'\n]|'(?! \())+)' \(.*?\): (.*)")


@dataclass(frozen=True)
class Kinds:
    """A run that skipped bad clips, and the names of its files: whole, a part of a sound, or refused."""

    work: Path
    whole: set[str]
    partial: set[str]
    refused: set[str]

    @property
    def names(self):
        return sorted(self.whole | self.partial | self.refused)

    @property
    def model(self):
        return self.work / "runs" / "kinds" / "best_model"


def shared_cases():
    """The folder of small inputs that people met; None where it is not beside the repository."""
    folder = launching.PROJECT.parent / "shared" / "cases"
    return folder if folder.is_dir() else None


def of_verdict(foreign, verdict):
    return {name for name, expected in foreign.items() if expected == verdict}


def made(folder):
    """Every kind of file in a folder: (whole, partial, refused)."""
    whole = set(sound_kinds.legal(folder))
    partial = set(sound_kinds.damaged(folder))
    if (cases := shared_cases()) is not None:
        for name in CASES:
            shutil.copy(cases / name, folder / f"case_{name}")
            (whole if name in CASES_WHOLE else partial).add(f"case_{name}")
    foreign = foreign_sounds.write(folder)
    refused = of_verdict(foreign, foreign_sounds.REFUSED)
    partial |= of_verdict(foreign, foreign_sounds.PART)
    whole |= foreign.keys() - refused - partial
    (folder / "text.wav").write_text("no sound at all, " * 99, encoding="utf-8")
    (folder / "empty.wav").touch()
    return whole, partial, refused | {"text.wav", "empty.wav"}


def write_list(path, names, splits=("train", "valid")):
    """A list of these files in both splits, of two labels."""
    with path.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(("path", "label", "split"))
        for split in splits:
            rows.writerows((f"{split}/{name}", "ab"[place % 2], split) for place, name in enumerate(names))


@pytest.fixture(scope="module")
def kinds(tmp_path_factory, env):
    work = tmp_path_factory.mktemp("kinds")
    folder = work / "sounds" / "train"
    folder.mkdir(parents=True)
    whole, partial, refused = made(folder)
    while len(whole | partial | refused) % 4:  # an epoch leaves out the rest of a batch
        more = f"more_{len(whole)}.wav"
        shutil.copy(folder / "WAV_PCM_16.wav", folder / more)
        whole.add(more)
    shutil.copytree(folder, work / "sounds" / "valid")
    found = Kinds(work, whole, partial, refused)
    write_list(work / "sounds" / "clips.csv", found.names)
    (work / "settings.yaml").write_text(SETTINGS)
    launched = calling.train(work / "settings.yaml", cwd=work, env=env)
    assert launched.exit_code == 0, str(launched)
    return found


@pytest.fixture(scope="module")
def verdicts(kinds, env):
    """{(split, name): reason} of `data check`."""
    command = ("data", "check", "-c", "settings.yaml", "--format", "json", "--workers", "0")
    checked = calling.pannsdist(*command, cwd=kinds.work, env=env)
    assert checked.exit_code == 2
    report = json.loads(checked.output[checked.output.index("{") : checked.output.rindex("}") + 1])
    return by_split("\n".join(report["unreadable"].values()))


def by_split(text):
    """{(split, name): reason} of messages such as "clip 'train/a.wav' (PATH): REASON"."""
    return {(split, name): reason for split, name, reason in MESSAGE.findall(text)}


def predicted(kinds, env, command="predict"):
    """(the answers by name, what was printed) of a command on all files of the split valid."""
    paths = [f"sounds/valid/{name}" for name in kinds.names]
    options = ("--model", kinds.model, "--format", "jsonl")
    launched = calling.pannsdist(command, *options, *paths, cwd=kinds.work, env=env)
    assert launched.exit_code == 2, "some have no answer"
    assert "Traceback" not in launched.output
    answers = [json.loads(line) for line in launched.output.splitlines() if line.startswith("{")]
    return {answer["path"].removeprefix("sounds/valid/"): answer for answer in answers}, launched.output


def printed_name(name):
    """A name as messages have it."""
    return name.replace("\n", "\\x0a").replace("\t", "\\x09").replace("\x1b", "\\x1b")


def test_there_are_many_kinds(kinds):
    assert len(kinds.whole) >= 100 and len(kinds.partial) >= 40 and len(kinds.refused) >= 40


def test_the_data_check_finds_those_that_are_not_whole(kinds, verdicts):
    for split in ("train", "valid"):
        assert {name for of, name in verdicts if of == split} == {*kinds.partial, *kinds.refused}
    for name in kinds.partial:
        assert "could be read" in verdicts["train", name]
    for name in kinds.refused:
        assert "could be read" not in verdicts["train", name]


def test_training_skips_the_same_for_the_same_reasons(kinds, verdicts):
    assert by_split((kinds.work / "runs" / "kinds" / "bad_clips.txt").read_text(encoding="utf-8")) == verdicts


def test_evaluation_skips_the_same_for_the_same_reasons(kinds, verdicts, env):
    command = ("evaluate", "--model", kinds.model, "-c", "settings.yaml")
    evaluated = calling.pannsdist(*command, cwd=kinds.work, env=env)
    assert evaluated.exit_code == 0, str(evaluated)
    assert by_split(evaluated.output) == {key: reason for key, reason in verdicts.items() if key[0] == "valid"}


@pytest.mark.parametrize("command", ["predict", "detect"])
def test_inference_answers_for_what_can_be_read_and_says_how_much_that_is(kinds, verdicts, env, command):
    answers, output = predicted(kinds, env, command)
    assert answers.keys() == {printed_name(name) for name in kinds.whole | kinds.partial}
    for name in map(printed_name, kinds.whole):
        assert "incomplete" not in answers[name]
        assert f"warning: sounds/valid/{name}: " not in output
    for name in kinds.partial:
        incomplete, verdict = answers[name]["incomplete"], verdicts["valid", name]
        assert verdict.startswith(f"{incomplete['read_s']:.2f} ") and f"({incomplete['reason']})" in verdict
        assert incomplete["whole_s"] is None or f"of {incomplete['whole_s']:.2f} s" in verdict
        assert output.count(f"warning: sounds/valid/{name}: {verdict}\n") == 1
    for name in kinds.refused:
        assert output.count(f"error: clip '{name}' (sounds/valid/{name}): {verdicts['valid', name]}\n") == 1


def test_a_run_that_does_not_skip_ends_at_the_first_of_them_with_the_same_reason(kinds, verdicts, env):
    cases = [f"case_{name}" for name in CASES if name not in CASES_WHOLE]
    chosen = [name for name in cases if name in kinds.partial] + ["nan.wav", "empty.wav", "text.wav", "cut_short.mp3"]
    for name in chosen:
        write_list(kinds.work / "sounds" / "one.csv", [name, "mask_0.wav"])
        overrides = ("data.on_bad_clip=stop", "data.params.path=sounds/one.csv", "train.batch_size=2")
        launched = calling.train(
            kinds.work / "settings.yaml", f"name=stop_{name[:-4]}", *overrides, cwd=kinds.work, env=env
        )
        assert launched.exit_code == 2
        assert f"error: clip 'train/{name}' (sounds/train/{name}): {verdicts['train', name]}\n" in launched.output
        assert "Traceback" not in launched.output


def test_a_whole_file_is_trained_on_and_counted_with_its_length(tmp_path, env):
    cases = shared_cases()
    if cases is None:
        pytest.skip("the folder `shared` with reference outputs is not beside the repository")
    for split in ("train", "valid"):
        (tmp_path / "sounds" / split).mkdir(parents=True)
        for name in CASES_WHOLE:
            shutil.copy(cases / name, tmp_path / "sounds" / split)
    (tmp_path / "settings.yaml").write_text(SETTINGS.replace("skip", "stop").replace("batch_size: 4", "batch_size: 2"))
    for name, length_s in CASES_WHOLE.items():
        write_list(
            tmp_path / "sounds" / "clips.csv", [name, "whole.w64" if name != "whole.w64" else "telephone_gsm610.wav"]
        )
        command = ("data", "check", "-c", "settings.yaml", "--format", "json", "--workers", "0")
        checked = calling.pannsdist(*command, cwd=tmp_path, env=env).output
        report = json.loads(checked[checked.index("{") : checked.rindex("}") + 1])
        assert report["unreadable"] == {}
        assert report["lengths_s"]["train"][2] == pytest.approx(length_s, abs=0.01)
        launched = calling.train(tmp_path / "settings.yaml", f"name={name[:-4]}", cwd=tmp_path, env=env)
        assert launched.exit_code == 0, str(launched)


def test_a_class_without_train_clips_is_refused_before_training_and_by_the_check(tmp_path, env):
    cases = shared_cases()
    if cases is None:
        pytest.skip("the folder `shared` with reference outputs is not beside the repository")
    lines = (cases / "validonly.csv").read_text(encoding="utf-8").splitlines()
    for row in csv.DictReader(lines):
        (tmp_path / row["path"]).parent.mkdir(exist_ok=True)
        sound_kinds.write(tmp_path, "WAV", "PCM_16").rename(tmp_path / row["path"])
    shutil.copy(cases / "validonly.csv", tmp_path)
    (tmp_path / "settings.yaml").write_text(SETTINGS.replace("sounds/clips.csv", "validonly.csv"))
    outputs = [
        calling.train(tmp_path / "settings.yaml", cwd=tmp_path, env=env),
        calling.train(tmp_path / "settings.yaml", "--dry-run", cwd=tmp_path, env=env),
        calling.pannsdist("data", "check", "-c", "settings.yaml", cwd=tmp_path, env=env),
    ]
    for launched in outputs:
        assert launched.exit_code == 2, str(launched)
        assert "error: class '2'" in launched.output, str(launched)
    assert not (tmp_path / "runs").exists()
