"""Streams that are closed, full or without a reader, and arguments of the wrong kind: exit code 2 and one message."""

import argparse
import io
import os
import subprocess
import sys
from pathlib import Path

import calling
import launching
import pytest

from pannsdist.cli.command_line import command_parser
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


INTERRUPTED = """
import sys
import pannsdist.cli

class Interrupted:
    def find_spec(self, name, *_):
        if name == "omegaconf":
            raise KeyboardInterrupt

sys.meta_path.insert(0, Interrupted())
sys.exit(pannsdist.cli.main(["config", "list"]))
"""


def test_ctrl_c_while_the_command_is_imported_is_no_traceback(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "interrupted\n")


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
        (("config", "show", "train.epochs=3"), "next: pannsdist config show -c FILE train.epochs=3"),
        (("config", "show", "no.such=3"), "no.such=3 is given without a settings file"),
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


def leaves(parser, names=()):
    """(names, parser) of every subcommand without further ones."""
    families = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    if not families:
        yield names, parser
    for family in families:
        for name, inner in family.choices.items():
            yield from leaves(inner, (*names, name))


COMMANDS = dict(leaves(command_parser()))


def complete(names, parser):
    """A call with every required argument, of files that do not exist."""
    options, positions = [], []
    for action in parser._actions:
        if action.option_strings and (action.required or action.dest == "model"):  # no published one is downloaded
            options += [action.option_strings[-1], "none.yaml"]
        elif not action.option_strings and action.nargs not in ("*", "?"):
            positions.append("none")
    return [*names, *options, *positions]


def mistakes(names, parser):
    """(arguments, what is said) of calls with one mistake each that no command may do anything about."""
    words = complete(names, parser)
    if any(action.required and action.nargs not in ("*", "?") for action in parser._actions):
        yield [*names], "the following arguments are required"
    if words != list(names):
        yield [*words[:-1], ""], "an argument is empty"
        yield [*words[:-1], "  "], "an argument is empty"
    yield [*words, "--no-such"], "unrecognized arguments: --no-such"
    yield [*words, "--no-such=1"], "unrecognized arguments: --no-such=1"
    for action in parser._actions:
        if not action.option_strings or action.nargs == 0:
            continue
        option = action.option_strings[-1]
        yield [*words, option], "expected "
        yield [*words, f"{option}="], f"{option} is empty"
        if action.type not in (None, Path) and "--gpus" not in option:
            yield [*words, f"{option}=*"], f"{option}"
        if action.choices:
            yield [*words, f"{option}=none"], "invalid choice: 'none'"


@pytest.mark.parametrize("names", COMMANDS, ids=" ".join)
def test_every_command_answers_a_mistake_with_what_it_is_and_the_next_command(tmp_path, names):
    for arguments, said in mistakes(names, COMMANDS[names]):
        called = calling.pannsdist(*arguments, cwd=tmp_path)
        assert called.exit_code == 2, f"{arguments}: {called}"
        assert said in called.output, f"{arguments}: {called}"
        assert called.output.endswith(f"\n  next: pannsdist {' '.join(names)} --help\n"), f"{arguments}: {called}"
    assert list(tmp_path.iterdir()) == []


def of_a_file(action):
    """Whether an argument is the name of a file or a folder that is read."""
    return action.dest in {"config", "model", "files", "folder", "folders", "file", "source", "sounds", "weights"}


WRONG_FILES = ("none", "a folder", "empty.yaml", "zeros.pth", "pipe", "n" * 300, "no/such/é.yaml", "\udcff.wav", "a\nb")


@pytest.mark.parametrize(
    "names", [names for names in COMMANDS if names != ("doctor",)], ids=" ".join
)  # it lists what is wrong
def test_every_command_refuses_what_is_no_file_of_its_kind(tmp_path, names):
    (tmp_path / "a folder").mkdir()
    (tmp_path / "empty.yaml").touch()
    (tmp_path / "zeros.pth").write_bytes(bytes(999))
    os.mkfifo(tmp_path / "pipe")
    before = sorted(tmp_path.iterdir())
    parser = COMMANDS[names]
    for action in filter(of_a_file, parser._actions):
        for name in WRONG_FILES:
            words = complete(names, parser)
            if action.option_strings and action.option_strings[-1] in words:
                words[words.index(action.option_strings[-1]) + 1] = name
            elif action.option_strings:
                words += [action.option_strings[-1], name]
            elif action.nargs == "?":
                words.append(name)
            else:
                words[-1 if action.dest != "source" else -2] = name
            called = calling.pannsdist(*words, cwd=tmp_path)
            is_list = names[:1] == ("runs",) and name == "a folder"
            assert called.exit_code == 2 or (is_list and called.exit_code == 0), f"{words}: {called}"
            assert called.output.startswith("error: ") or is_list, f"{words}: {called}"
            assert "\n  " in called.output or is_list, f"{words}: without what to do: {called}"
    assert sorted(tmp_path.iterdir()) == before


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
