"""Streams that are closed, full or without a reader, and arguments of the wrong kind: exit code 2 and one message."""

import io
import os
import subprocess
import sys

import calling
import launching
import pytest

from pannsdist.runtime import console

MODULES = {
    "help": ("pannsdist", "--help"),
    "results": ("pannsdist", "config", "show"),
    "sounds": ("pannsdist.builtin.tones", "sounds"),
}


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("command", MODULES)
@pytest.mark.parametrize(
    "end",
    [
        (">&-", 2, "error: standard output is closed"),
        (">/dev/full", 2, "error: standard output cannot be written: No space left on device"),
        (">&- 2>&-", 2, ""),
        ("| true", 141, ""),
        ("<&- 2>&- >/dev/null", 0, ""),
        ("2>/dev/full >/dev/null", 0, ""),
    ],
)
def test_what_cannot_be_printed_is_no_success(tmp_path, command, end, unbuffered):
    redirected, code, said = end
    line = f'set -o pipefail; "$@" {redirected}'
    arguments = ["bash", "-c", line, "bash", sys.executable, "-m", *MODULES[command]]
    env = {**os.environ, "PYTHONUNBUFFERED": unbuffered}
    done = subprocess.run(arguments, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stderr
    assert done.stderr.startswith(said)
    assert bool(done.stderr) == bool(said)


def test_the_message_of_a_user_error_that_nobody_can_read_leaves_its_exit_code(tmp_path):
    line = '"$@" 2>/dev/full'
    arguments = ["bash", "-c", line, "bash", sys.executable, "-m", "pannsdist", "config", "show", "-c", "none.yaml"]
    assert subprocess.run(arguments, cwd=tmp_path, check=False).returncode == 2


def test_a_broken_pipe_elsewhere_is_not_taken_for_a_reader_that_left():
    def work():
        raise BrokenPipeError(32, "Broken pipe")

    with pytest.raises(BrokenPipeError):
        console.exit_code(work)


def test_streams_that_python_has_not_opened(monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "stderr", None)
    assert console.exit_code(lambda: print("result")) == 2
    assert console.exit_code(lambda: print("note", file=sys.stderr)) == 0
    assert not isinstance(sys.stdout, io.TextIOWrapper)


def prepare(folder):
    (folder / "good.yaml").write_text("name: t\nmodel: {name: panns_cnn6}\ndata: {name: tones}\n")
    (folder / "loop.yaml").symlink_to("loop.yaml")
    os.mkfifo(folder / "pipe.yaml")
    os.mkfifo(folder / "pipe.pth")


NO_MODEL = ("--model", "none", "a.wav")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("config", "show", "-c", "loop.yaml"), "cannot read loop.yaml"),
        (("config", "show", "-c", "pipe.yaml"), "pipe.yaml is not a file"),
        (("config", "show", "-c", "good.yaml", "train.freeze=[[]]"), "train.freeze on the command line has a list"),
        (("config", "show", "-c", "good.yaml", "log.curves=[{a: 1}]"), "log.curves on the command line has a list"),
        (("config", "show", "-c", "good.yaml", "loss.label_weights={a: [1]}"), "loss.label_weights"),
        (("config", "show", "-c", "good.yaml", f"train.epochs={'9' * 5000}"), "cannot read train.epochs=999"),
        (("predict", *NO_MODEL, "--topk", "9" * 5000), "'999"),
        (("weights", "inspect", "pipe.pth"), "pipe.pth is not a weight file: it is a pipe or a device"),
        (("weights", "convert", "pipe.pth", "x.pdparams"), "pipe.pth is not a weight file"),
        (("predict", *NO_MODEL, "--topk", "0"), "'0' is not a positive integer"),
        (("data", "check", "-c", "good.yaml", "--workers", "9" * 5000), "'999"),
    ],
    ids=lambda value: " ".join(value)[:60] if isinstance(value, tuple) else "",
)
def test_an_argument_of_the_wrong_kind_is_refused_in_short(tmp_path, arguments, said):
    prepare(tmp_path)
    called = calling.pannsdist(*arguments, cwd=tmp_path)
    assert called.exit_code == 2, str(called)
    assert "error: " in called.output
    assert said in called.output
    assert len(called.output) < 2000


@pytest.mark.parametrize("module", ["import sys\nsys.exit(0)\n", "class Odd(BaseException): pass\nraise Odd('x')\n"])
def test_a_plugin_that_ends_python_when_imported_is_broken(tmp_path, monkeypatch, module):
    info = tmp_path / "pannsdist_ending-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: pannsdist-ending\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[pannsdist.models]\nending = ending_plugin:Model\n")
    (tmp_path / "ending_plugin.py").write_text(module)
    monkeypatch.delitem(sys.modules, "ending_plugin", raising=False)
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    called = calling.pannsdist("plugins", "show", "model", "ending", cwd=launching.PROJECT, env={"PYTHONPATH": path})
    assert called.exit_code == 2, str(called)
    assert called.output.startswith("error: model plugin 'ending' of pannsdist-ending 1.0 is broken: ")
