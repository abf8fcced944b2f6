"""Every command refuses an output that cannot be written before it begins: nothing else is even looked at."""

import os
import subprocess
import sys
from pathlib import Path

import calling
import launching
import pytest

from pannsdist.runtime import outputs
from pannsdist.runtime.errors import UserError

CONFIG = ("-c", launching.CONFIGS / "tones_cnn6.yaml")
COMMANDS = {
    "embed": ("embed", "--model", "no_such_model", "a.wav", "-o", "{}.npz"),
    "detect": ("detect", "--model", "no_such_model", "a.wav", "--plot", "{}.png"),
    "export": ("export", "--model", "no_such_model", "-o", "{}"),
    "find-lr": ("find-lr", *CONFIG, "--plot", "{}.png"),
    "weights": ("weights", "convert", "no_such.pth", "{}.pdparams"),
    "pack": ("data", "pack", *CONFIG, "-o", "{}"),
    "mix": ("data", "mix", "-c", "recipe:soundscapes/esc10", "-o", "{}", "data.params.root=no_such_folder"),
    "fetch": ("data", "fetch", "esc50", "-o", "{}"),
    "plugins": ("plugins", "new", "metric", "birdsong", "-o", "{}"),
    "report": ("report", "run", "-o", "{}.html"),
    "crossval": ("crossval", *CONFIG, "runs={}"),
    "sweep": ("sweep", *CONFIG, "train.epochs=1,2", "runs={}"),
    "train": ("runs={}",),
}
BAD = ("file/deep", "/proc/a", "n" * 300)


@pytest.mark.parametrize("place", BAD, ids=lambda place: place[:9])
@pytest.mark.parametrize("command", COMMANDS)
def test_it_is_refused_with_what_to_do(tmp_path, command, place):
    (tmp_path / "file").touch()
    (tmp_path / "run").mkdir()
    arguments = [argument.format(place) if isinstance(argument, str) else argument for argument in COMMANDS[command]]
    called = (
        calling.train("tones_cnn6.yaml", *launching.TINY, *arguments, cwd=tmp_path)
        if command == "train"
        else calling.pannsdist(*arguments, cwd=tmp_path)
    )
    assert called.exit_code == 2, str(called)
    assert called.output.startswith("error: cannot write "), called.output
    assert "\n  next: " in called.output
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "run"]


ENDINGS = {
    "predict": (("predict", "--model", "m", "a.wav", "-o", "x.xlsx"), "ends in none of .txt, .json, .jsonl, .csv"),
    "tag": (("tag", "a.wav", "-o", "a.wav"), "ends in none of"),
    "detect": (("detect", "a.wav", "-o", "events"), "ends in none of"),
    "plot": (("detect", "a.wav", "--plot", "x.tiff"), "is not a .png file"),
    "evaluate": (("evaluate", "--model", "m", *CONFIG, "-o", "x.jsonl"), "ends in none of .txt, .json, .csv"),
    "predictions": (("evaluate", "--model", "m", *CONFIG, "--predictions", "x.json"), "is not a .csv file"),
    "embed": (("embed", "a.wav", "-o", "x.npy"), "is not a .npz file"),
    "find-lr": (("find-lr", *CONFIG, "--plot", "x.txt"), "is not a .png or"),
    "weights": (("weights", "convert", "a.pth", "x.onnx"), "unknown format: x.onnx"),
    "report": (("report", "run", "-o", "x.pdf"), "is not a .html or .htm file"),
    "doctor": (("doctor", "-o", "x.yaml"), "is not a .json file"),
    "init": (("init", "--from", ".", "-o", "x.csv"), "is not a .yaml or .yml file"),
}


@pytest.mark.parametrize("command", ENDINGS)
def test_a_file_gets_no_content_that_its_name_denies(tmp_path, command):
    (tmp_path / "run").mkdir()
    (tmp_path / "a.wav").write_bytes(b"a sound")
    arguments, said = ENDINGS[command]
    called = calling.pannsdist(*arguments, cwd=tmp_path)
    assert called.exit_code == 2, str(called)
    assert called.output.startswith("error: ") and said in called.output, called.output
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.wav", "run"]
    assert (tmp_path / "a.wav").read_bytes() == b"a sound"


def test_the_ending_or_the_option_chooses_the_format():
    formats = ("table", "json", "csv")
    assert outputs.format_of(None, None, formats) == "table"
    assert outputs.format_of(Path("a.txt"), None, formats) == "table"
    assert outputs.format_of(Path("a.JSON"), None, formats) == "json"
    assert outputs.format_of(Path("a.xlsx"), "csv", formats) == "csv"
    with pytest.raises(UserError) as refused:
        outputs.format_of(Path("my scores.xlsx"), None, formats)
    assert refused.value.right == "give a name such as 'my scores.csv', or name the format: --format table"


def test_embeddings_go_into_an_npz_file(tmp_path):
    called = calling.pannsdist("embed", "--model", "no_such_model", "a.wav", "-o", "x", cwd=tmp_path)
    assert called.output == "error: -o x is not a .npz file\n  give a name such as x.npz\n"


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no such device here")  # noqa: PTH110
def test_a_full_standard_output_is_no_traceback():
    with open("/dev/full", "w") as full:  # noqa: PTH123
        command = [sys.executable, "-m", "pannsdist", "config", "show"]
        done = subprocess.run(
            command, stdout=full, stderr=subprocess.PIPE, cwd=launching.PROJECT, text=True, check=False
        )
    assert done.returncode == 2
    assert done.stderr.startswith("error: standard output cannot be written: No space left on device\n")
