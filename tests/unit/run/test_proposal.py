"""`pannsdist init`: what it writes for folders and tables, and what it refuses."""

import re
from pathlib import Path

import calling
import numpy as np
import pytest
import soundfile

from pannsdist import settings
from pannsdist.contracts.sound_files import find_sound_files
from pannsdist.run.proposal.choices import Machine, batch_size
from pannsdist.run.proposal.document import Line, document, scalar

RATE_HZ = 8000


def sound(path, length_s=0.4, rate_hz=RATE_HZ, amplitude=0.3, pitch_hz=400.0):
    path.parent.mkdir(parents=True, exist_ok=True)
    time_s = np.arange(int(length_s * rate_hz)) / rate_hz
    soundfile.write(path, amplitude * np.sin(2 * np.pi * pitch_hz * time_s), rate_hz)


def fill(root, labels=("a", "b"), clips=8, **how):
    """`root/LABEL/sGROUP_NUMBER.wav` in four groups."""
    for place, label in enumerate(labels):
        for number in range(clips):
            pitch_hz = 300.0 + 37 * number + 1000 * place
            sound(root / label / f"s{number % 4}_{number}.wav", **{"pitch_hz": pitch_hz, **how})


def table(path, header, rows, encoding="utf-8"):
    lines = [header, *(",".join(map(str, row)) for row in rows)]
    path.write_bytes(("\n".join(lines) + "\n").encode(encoding))


def rows_of(work, *more):
    """Path and label of each sound, and for each of `more` what it gives for the number of the row."""
    names = [path.relative_to(work) for path in find_sound_files(work).files]
    return [(name, name.parts[-2], *(one(number) for one in more)) for number, name in enumerate(names)]


def init(work, *arguments):
    return calling.pannsdist("init", *arguments, cwd=work)


def written(work, name, *arguments):
    """The settings that the command wrote, loaded."""
    done = init(work, "--from", *arguments)
    assert done.exit_code == 0, done.output
    assert f"next: pannsdist train -c {name}.yaml" in done.output
    return settings.load(work / f"{name}.yaml")[0]


@pytest.fixture
def sounds(tmp_path):
    """A folder `sounds` with two classes of eight clips."""
    fill(tmp_path / "sounds")
    return tmp_path


def test_a_folder_by_groups_gets_settings_that_fit_its_lengths_and_its_number_of_clips(sounds):
    chosen = written(sounds, "sounds", "sounds/", "--group", "(*)_*")
    assert chosen.data.params == {"root": "sounds", "group": "(*)_*", "valid_fraction": 0.2, "seed": 0}
    assert (chosen.train.crop_s, chosen.train.batch_size, chosen.select.metric) == (0.5, 4, "valid/loss")
    assert (chosen.model.name, chosen.model.weights) == ("panns_cnn6", "audioset")


def test_every_line_has_its_reason(sounds):
    written(sounds, "sounds", "sounds")
    lines = (sounds / "sounds.yaml").read_text(encoding="utf-8").splitlines()
    assert len(lines) > 25
    assert [line for line in lines if not line.partition("# ")[2]] == []


def test_a_file_is_never_overwritten(sounds):
    written(sounds, "sounds", "sounds")
    before = (sounds / "sounds.yaml").read_bytes()
    again = init(sounds, "--from", "sounds")
    assert again.exit_code == 2
    assert "sounds.yaml exists already" in again.output
    assert (sounds / "sounds.yaml").read_bytes() == before


def test_a_table_is_recognised_by_the_usual_names_of_its_columns(sounds):
    rows = [(str(name).removeprefix("sounds/"), label, who) for name, label, who in rows_of(sounds, lambda n: n % 4)]
    table(sounds / "clips.csv", "filename,category,speaker", rows)
    params = written(sounds, "clips", "clips.csv").data.params
    assert params["columns"] == {"path": "filename", "label": "category"}
    assert (params["root"], params["group"]) == ("sounds", "speaker")


def test_several_labels_are_recognised_by_their_separator(sounds):
    table(
        sounds / "clips.csv",
        "path,tags",
        [(name, f"{label}|x{n % 3}") for n, (name, label) in enumerate(rows_of(sounds))],
    )
    chosen = written(sounds, "clips", "clips.csv")
    assert chosen.data.params["multi_label"] is True
    assert chosen.data.params["label_separator"] == "|"
    assert chosen.select.metric == "valid/mean_average_precision"


def test_a_separator_within_names_of_single_labels_does_not_divide_them(sounds):
    rows = [(name, f"{label}; a name") for name, label in rows_of(sounds)]
    table(sounds / "clips.csv", "path,label", rows)
    assert "multi_label" not in written(sounds, "clips", "clips.csv").data.params


def test_splits_and_folds_of_a_table_are_kept(sounds):
    table(sounds / "split.csv", "path,label,split", rows_of(sounds, lambda n: "train" if n % 4 else "valid"))
    assert "valid_fraction" not in written(sounds, "split", "split.csv").data.params
    table(sounds / "fold.csv", "path,label,fold", rows_of(sounds, lambda n: n % 4 + 1))
    assert written(sounds, "fold", "fold.csv").data.params["valid_fold"] == 1


def test_folders_of_splits_are_kept(tmp_path):
    fill(tmp_path / "sounds" / "train")
    fill(tmp_path / "sounds" / "valid", clips=2)
    assert written(tmp_path, "sounds", "sounds").data.params == {"root": "sounds"}


def test_other_usual_names_of_splits_are_kept(tmp_path):
    fill(tmp_path / "sounds" / "Training")
    fill(tmp_path / "sounds" / "val", clips=2)
    assert written(tmp_path, "sounds", "sounds").data.params == {"root": "sounds"}


@pytest.mark.parametrize("separator", [";", "\t"])
def test_a_table_of_a_spreadsheet_is_read(separator, sounds):
    rows = [
        (name, f'"{label};x{n % 3}"', ("train", "dev")[n % 4 == 0]) for n, (name, label) in enumerate(rows_of(sounds))
    ]
    lines = [("path", "tags", "split"), *rows]
    text = "\r\n".join(separator.join(map(str, line)) for line in lines)
    (sounds / "clips.tsv").write_bytes(text.encode("utf-16"))
    params = written(sounds, "clips", "clips.tsv").data.params
    assert (params["multi_label"], params["label_separator"]) == (True, ";")
    assert "valid_fraction" not in params


def test_a_rate_for_each_class_is_noted(tmp_path):
    fill(tmp_path / "sounds", ("a",))
    fill(tmp_path / "sounds", ("b",), rate_hz=16000)
    done = init(tmp_path, "--from", "sounds")
    assert (done.exit_code, "each class has its own sample rate" in done.output) == (0, True)


def no_sound(work):
    for label in "ab":
        for number in range(3):
            path = work / "sounds" / label / f"{number}.wav"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("text")


REFUSED = {
    "one class": (lambda work: fill(work / "sounds", ("a",)), ("sounds",), "only one class folder", "ls sounds"),
    "two clips": (lambda work: fill(work / "sounds", clips=1), ("sounds",), "has two clips", "ls sounds"),
    "the folder of one class": (
        lambda work: fill(work / "sounds"),
        ("sounds/a",),
        "belong to no class",
        "pannsdist init --from sounds",
    ),
    "one folder too high": (
        lambda work: fill(work / "all" / "sounds"),
        ("all",),
        "only one class folder",
        "pannsdist init --from all/sounds",
    ),
    "files that are no sounds": (no_sound, ("sounds",), "none of 6 opened clips can be used", "ls sounds"),
    "silence": (lambda work: fill(work / "sounds", amplitude=0), ("sounds",), "are silent", "ls sounds"),
    "an empty folder": (lambda work: (work / "sounds").mkdir(), ("sounds",), "has no class folders", "ls sounds"),
    "nothing": (Path.exists, ("sounds",), "no file or folder", "ls ."),
    "a single sound": (
        lambda work: fill(work / "sounds"),
        ("sounds/a/s0_0.wav",),
        "is a single sound",
        "pannsdist init --from sounds",
    ),
    "a pattern that does not match": (
        lambda work: fill(work / "sounds"),
        ("sounds", "--group", "speaker(*)_*"),
        "does not match 16 of 16 clips",
        "ls sounds",
    ),
    "one group": (
        lambda work: fill(work / "sounds"),
        ("sounds", "--group", "(s)*"),
        "no class has two groups",
        "ls sounds",
    ),
    "a table without paths": (
        lambda work: table(work / "clips.csv", "x,label", [(1, "a")]),
        ("clips.csv",),
        "no column for the path",
        "head -3 clips.csv",
    ),
    "a table of events": (
        lambda work: table(work / "clips.csv", "path,event_label", [("a.wav", "dog")]),
        ("clips.csv",),
        "labels of events have no proposal yet: data.name=manifest reads them",
        "head -3 clips.csv",
    ),
    "a table in GBK": (
        lambda work: table(work / "clips.csv", "path,label", [("a.wav", "类别")], "gbk"),
        ("clips.csv",),
        "not UTF-8",
        "iconv -f GB18030",
    ),
    "paths that are not there": (
        lambda work: table(work / "clips.csv", "path,label", [("a.wav", "a"), ("b.wav", "b")]),
        ("clips.csv",),
        "2 of 2 clips have no file",
        "head -3 clips.csv",
    ),
    "another name of the settings file": (
        lambda work: fill(work / "sounds"),
        ("sounds", "-o", "sounds.txt"),
        "is not a .yaml or .yml file",
        "pannsdist init --from sounds -o sounds.yaml",
    ),
    "an output without a name": (
        lambda work: fill(work / "sounds"),
        ("sounds", "-o", "/"),
        "-o / is not a .yaml or .yml file",
        "pannsdist init --from sounds -o sounds.yaml",
    ),
    "weights that are none": (
        lambda work: [fill(work / "sounds"), (work / "w.pt").write_text("none")],
        ("sounds", "--weights", "w.pt"),
        "w.pt",
        "pannsdist weights list",
    ),
    "weights in a folder that is not there": (
        lambda work: fill(work / "sounds"),
        ("sounds", "--weights", "no/such/w.pt"),
        "no file no/such/w.pt",
        "ls .",
    ),
    "weights that are not there": (
        lambda work: fill(work / "sounds"),
        ("sounds", "--weights", "w.pt"),
        "no file w.pt",
        "ls .",
    ),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_cannot_work_is_refused_with_the_next_command(what, tmp_path):
    make, arguments, wrong, command = REFUSED[what]
    make(tmp_path)
    done = init(tmp_path, "--from", *arguments)
    assert done.exit_code == 2, done.output
    assert done.output.startswith("error: ")
    assert wrong in done.output
    assert f"  next: {command}" in done.output
    assert list(tmp_path.glob("*.yaml")) == []


def test_one_label_for_all_is_refused(sounds):
    table(sounds / "clips.csv", "path,label", [(name, "a") for name, _ in rows_of(sounds)])
    done = init(sounds, "--from", "clips.csv")
    assert (done.exit_code, "1 label(s): a" in done.output, "next: " in done.output) == (2, True, True)


def test_a_column_of_groups_that_is_not_there_is_refused_with_the_columns(sounds):
    table(sounds / "clips.csv", "path,label", rows_of(sounds))
    done = init(sounds, "--from", "clips.csv", "--group", "speaker")
    assert (done.exit_code, "columns found: label, path" in done.output) == (2, True)


@pytest.mark.parametrize("cores", [1, 2, 3, 6, 64])
@pytest.mark.parametrize("clips", [1, 3, 20, 100, 5000])
def test_a_batch_is_never_larger_than_the_clips(clips, cores):
    assert 1 <= batch_size(clips, Machine(cores, False)) <= min(clips, 32)


@pytest.mark.parametrize("text", ["a: b", "no", "1e3", ".5", "'", '"', "#", "中文 x", "\t", "", "~", "a b"])
def test_any_text_is_written_so_that_it_is_read_again(text, tmp_path):
    path = tmp_path / "a.yaml"
    lines = [Line("model.name", "x", "-"), Line("data.name", "y", "-"), Line("data.params.root", text, "-")]
    path.write_text(document((), {"model": "-", "data": "-", "data.params": "-"}, lines), encoding="utf-8")
    assert settings.load(path)[0].data.params == {"root": text}
    assert "\n" not in scalar(text)


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_ten_mistakes_of_the_page_are_among_those_that_are_refused(language):
    page = (Path(__file__).parents[3] / "docs" / language / "own_sounds.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| [^|`]+ \| `([^`]+)` \| `([^`]+)` \|$", page, re.MULTILINE)
    assert len(rows) == 10
    assert set(rows) <= {(wrong, command) for _, _, wrong, command in REFUSED.values()}


@pytest.mark.parametrize(
    ("columns", "wrong"),
    [("{path: nothing, label: category}", "no column 'nothing'"), ("{sound: category}", "columns has 'sound'")],
)
def test_names_of_columns_that_cannot_be_are_refused(columns, wrong, sounds):
    table(sounds / "clips.csv", "file,category", rows_of(sounds))
    written(sounds, "clips", "clips.csv")
    done = calling.pannsdist("data", "check", "-c", "clips.yaml", f"data.params.columns={columns}", cwd=sounds)
    assert (done.exit_code, wrong in done.output) == (2, True), done.output


def test_a_folder_with_the_start_of_a_reference_in_its_name_is_refused(tmp_path):
    fill(tmp_path / "a${b}")
    done = init(tmp_path, "--from", "a${b}")
    assert done.exit_code == 2
    assert "data.params.root is 'a${b}'" in done.output
    assert "rename a file or folder that has it in its name, or give a link to it" in done.output
