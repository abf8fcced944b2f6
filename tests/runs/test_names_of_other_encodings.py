"""Names that are not UTF-8, such as those of an archive packed in GBK, go through every command; so do odd characters.

One run in a folder of such a name, on class folders and files of such names, and every command on its model.
"""

import csv
import io
import json
import os

import calling
import numpy as np
import pytest
import soundfile
import tiny

from pannsdist.runtime.names import original, path_of, shown

pytestmark = pytest.mark.any_paddle

RATE_HZ = 8000
DOG = os.fsdecode("狗".encode("gbk"))
NAMES = {DOG: (DOG, "two\nlines", "b\u2028c", "esc\x1b[31m"), "猫": ("é", "e\u0301", "back\\slash", " spaces ")}
"""Class folders, and the files in them without their ending."""
SETTINGS = """\
name: named
model: {name: tiny}
data: {name: folder, params: {valid_fraction: 0.5}, workers: 0}
train: {epochs: 1, batch_size: 2, crop_s: 0.3}
valid: {batch_size: 2}
trackers: {visualdl: {}}
log: {worst_clips: 1}
"""


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """The folder of a finished run, and its environment."""
    work = tmp_path_factory.mktemp("names") / os.fsdecode("声音".encode("gbk"))
    env = tiny.install(tmp_path_factory.mktemp("plugins"))
    for label, names in NAMES.items():
        for number, name in enumerate(names):
            folder = work / "data" / label
            folder.mkdir(parents=True, exist_ok=True)
            samples = np.random.default_rng(number).normal(0, 0.1, RATE_HZ // 2)
            with (folder / f"{name}.wav").open("wb") as file:
                soundfile.write(file, samples, RATE_HZ, format="WAV")
    (work / "settings.yaml").write_text(SETTINGS, encoding="utf-8")
    launched = calling.train(work / "settings.yaml", f"data.params.root={work / 'data'}", cwd=work, env=env)
    assert launched.exit_codes == (0,), str(launched)
    return work, env


def files(work):
    return sorted(path for path in (work / "data").rglob("*.wav"))


def answered(work, *arguments):
    folder, env = work
    launched = calling.pannsdist(*arguments, cwd=folder, env=env)
    assert launched.exit_codes == (0,), str(launched)
    return launched.output


def test_ids_and_labels_of_a_run_are_text_and_lead_back_to_the_files(work):
    folder = work[0] / "runs" / "named"
    assert json.loads((folder / "labels.json").read_text(encoding="utf-8")) == ["\\xb9\\xb7", "猫"]
    record = json.loads((folder / "best_predictions" / "record.json").read_text(encoding="utf-8"))
    assert record["ids"]
    for name in record["ids"]:
        assert name == shown(name)
        assert (work[0] / "data" / original(name)).is_file()
    assert path_of(json.loads((folder / "best_model" / "bundle.json").read_text("utf-8"))["dataset"]["params"]["root"])


def test_check_evaluate_and_report_take_the_same_names(work):
    root = f"data.params.root={work[0] / 'data'}"
    report = json.loads(
        answered(work, "data", "check", "-c", "settings.yaml", "--workers", "0", "--format", "json", root)
    )
    assert report["clips"] == {"train": 4, "valid": 4}
    assert report["unlisted"] == []
    answered(work, "evaluate", "--model", "runs/named/best_model", "-c", "settings.yaml", root)
    answered(work, "report", "runs/named")


@pytest.mark.parametrize("form", ["table", "json", "jsonl", "csv"])
def test_predictions_name_files_so_that_they_can_be_given_again(work, form):
    predict = ("predict", "--model", "runs/named/best_model", "--engine", "dygraph")
    note, _, printed = answered(work, *predict, "--format", form, "data").partition("\n")
    assert note.startswith("engine: dygraph")  # on standard error
    if form == "csv":
        named = {row["path"] for row in csv.DictReader(io.StringIO(printed, newline=""))}
    elif form == "json":
        named = {record["path"] for record in json.loads(printed)}
    elif form == "jsonl":
        named = {json.loads(line)["path"] for line in printed.splitlines()}
    else:
        lines = printed.split("\n")[:-1]
        assert len(lines) == 8
        named = {line.split(".wav  ")[0] + ".wav" for line in lines}
    assert {work[0] / path_of_name for path_of_name in map(original, named)} == set(files(work[0]))
    answered(work, *predict, *sorted(named))


def test_detect_embed_and_export_take_them_too(work, tmp_path):
    model = ("--model", "runs/named/best_model")
    answered(work, "detect", *model, "--engine", "dygraph", "--format", "json", "data")
    picture = ("--plot", f"{DOG}.png", f"data/{DOG}/{DOG}.wav")
    answered(work, "detect", *model, "--engine", "dygraph", *picture)
    assert (work[0] / f"{DOG}.png").is_file()
    export = ("export", *model, "--check", f"data/{DOG}/{DOG}.wav", "-o")
    refused = calling.pannsdist(*export, "exported", cwd=work[0], env=work[1])
    assert refused.exit_codes == (2,)
    assert (
        "\\xc9\\xf9\\xd2\\xf4/exported holds bytes that are not UTF-8, and Paddle cannot write there" in refused.output
    )
    answered(work, *export, str(tmp_path / "exported"))
    (work[0] / DOG).mkdir()
    bad = work[0] / DOG / f"{DOG}.wav"
    bad.write_text("no sound", encoding="utf-8")
    launched = calling.pannsdist("predict", *model, str(bad), cwd=work[0], env=work[1])
    assert launched.exit_codes == (2,)
    assert "\\xb9\\xb7/\\xb9\\xb7.wav" in launched.output


def test_a_bad_clip_of_such_a_name_is_stored_in_a_run(work):
    folder, env = work
    bad = folder / "data" / DOG / f"{DOG}2.wav"
    bad.write_bytes(b"")
    try:
        overrides = (
            f"data.params.root={folder / 'data'}",
            "data.on_bad_clip=skip",
            "name=skipped",
            "train.batch_size=4",
        )
        launched = calling.train(folder / "settings.yaml", *overrides, cwd=folder, env=env)
        assert launched.exit_codes == (0,), str(launched)
        listed = (folder / "runs" / "skipped" / "bad_clips.txt").read_text(encoding="utf-8")
        assert "\\xb9\\xb72.wav" in listed
    finally:
        bad.unlink()
