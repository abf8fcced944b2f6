"""`pannsdist runs`: what is listed, compared and removed, and that nothing of a running run is touched."""

import csv
import io
import json
import os

import pytest
from holding import holder
from small_parts import write_small_bundle

from pannsdist.cli.command_line import main
from pannsdist.run import history

SETTINGS = "name: {name}\nmodel: {{name: small}}\ndata: {{name: tones}}\ntrain: {{epochs: 3, batch_size: {batch}}}\n"


def make_run(folder, batch=4, finished=True, epochs=3):
    """A run folder with two checkpoints, the links to them, and the logs of a tracker."""
    folder.mkdir(parents=True)
    (folder / "settings.yaml").write_text(SETTINGS.format(name=folder.name, batch=batch))
    lines = [{"epoch": n, "step": n, "valid/accuracy": 0.5, "seconds": 1.0} for n in range(1, epochs + 1)]
    (folder / "scores.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    for step in (1, 2):
        (folder / "checkpoints" / f"step_{step:08d}").mkdir(parents=True)
        (folder / "checkpoints" / f"step_{step:08d}" / "model.pdparams").write_bytes(bytes(2**20))
    (folder / "checkpoints" / "best").symlink_to("step_00000001")
    (folder / "checkpoints" / "last").symlink_to("step_00000002")
    (folder / "vdl").mkdir()
    (folder / "vdl" / "vdlrecords.1.log").write_bytes(b"log")
    write_small_bundle(folder / "best_model")
    history.add_start(folder)
    if finished:
        history.set_finished(folder)
    return folder


@pytest.fixture
def runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make_run(tmp_path / "runs" / "a")
    make_run(tmp_path / "runs" / "series" / "fold_1", batch=8, finished=False, epochs=1)
    (tmp_path / "runs" / "log").mkdir()
    return tmp_path / "runs"


def printed(capsys, *arguments, code=0):
    assert main(["runs", *map(str, arguments)]) == code
    return capsys.readouterr()


def contents(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


def test_runs_are_listed_with_state_epochs_and_best_score(runs, capsys):
    head, first, second = printed(capsys, "list").out.splitlines()
    assert head.split() == ["run", "state", "model", "dataset", "epochs", "best", "value", "started"]
    assert first.split()[:5] == ["a", "finished", "small", "tones", "3/3"]
    assert second.split()[:5] == ["series/fold_1", "stopped", "small", "tones", "1/3"]
    with holder(runs / "a"):
        records = json.loads(printed(capsys, "list", runs, "--format", "json").out)
        assert [one["state"] for one in records] == ["running", "stopped"]
    rows = list(csv.DictReader(io.StringIO(printed(capsys, "list", runs, "--format", "csv").out)))
    assert [(row["epochs_done"], row["epochs"]) for row in rows] == [("3", "3"), ("1", "3")]


def test_a_damaged_run_is_listed_with_the_reason(runs, capsys):
    (runs / "a" / "history.json").write_text("{")
    out = printed(capsys, "list").out
    assert "a              unreadable" in out
    assert "a is unreadable: runs/a/history.json" in out
    assert "series/fold_1" in out
    assert "cannot be compared" in printed(capsys, "compare", "runs", code=2).err
    assert printed(capsys, "clean", "runs", "--logs", "--yes").out == "nothing to remove\n"


@pytest.mark.usefixtures("runs")
def test_runs_are_compared_by_differing_settings_and_scores(capsys):
    out = printed(capsys, "compare", "runs/a", "runs/series").out.splitlines()
    rows = {line.split()[0]: line.split()[1:] for line in out[1:]}
    assert rows["train.batch_size"] == ["4", "8"]
    assert "train.epochs" not in rows
    assert "name" not in rows
    content = json.loads(printed(capsys, "compare", "runs", "--format", "json").out)
    assert content["settings"] == {"train.batch_size": [4, 8]}
    table = list(csv.reader(io.StringIO(printed(capsys, "compare", "runs", "--format", "csv").out)))
    assert table[0] == ["", "a", "series/fold_1"]
    assert ["train.batch_size", "4", "8"] in table
    assert "is a single run" in printed(capsys, "compare", "runs/a", "runs/a", code=2).err


def test_nothing_is_removed_without_yes(runs, capsys):
    before = contents(runs)
    out = printed(capsys, "clean", "runs", "--logs", "--unfinished").out
    assert "runs/a  finished  1.0 MiB  checkpoints/step_00000001, checkpoints/best, vdl\n" in out
    assert "runs/series/fold_1  stopped" in out
    assert "nothing was: the same command with --yes removes it" in out
    assert contents(runs) == before


def test_a_finished_run_keeps_its_latest_checkpoint_and_its_model(runs, capsys):
    assert printed(capsys, "clean", "runs", "--yes").out.endswith("1.0 MiB removed\n")
    assert sorted(path.name for path in (runs / "a" / "checkpoints").iterdir()) == ["last", "step_00000002"]
    assert (runs / "a" / "vdl").exists()
    assert (runs / "a" / "best_model" / "bundle.json").exists()
    assert (runs / "series" / "fold_1" / "checkpoints" / "step_00000001").exists()
    printed(capsys, "clean", "runs", "--unfinished", "--logs", "--yes")
    assert not (runs / "series" / "fold_1").exists()
    assert not (runs / "a" / "vdl").exists()
    assert (runs / "a" / "scores.jsonl").exists()
    assert not (runs / "a" / ".lock").exists()


def test_nothing_of_a_running_run_or_series_is_removed(runs, capsys):
    before = contents(runs)
    with holder(runs / "series"), holder(runs / "a"):
        out = printed(capsys, "clean", "runs", "--unfinished", "--logs", "--yes", code=2)
        assert "runs/a" not in out.out
        assert "is running in" in out.err
        assert "0.0 MiB removed" in out.out
    assert [name for name in contents(runs) if not name.endswith(".lock")] == before


def test_nothing_outside_of_a_run_is_removed(runs, tmp_path, capsys):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "workerlog.0").write_text("kept")
    (runs / "a" / "log").symlink_to(elsewhere)
    make_run(tmp_path / "others" / "b")
    (runs / "linked").symlink_to(tmp_path / "others")
    printed(capsys, "clean", "runs", "--logs", "--unfinished", "--yes")
    assert not os.path.lexists(runs / "a" / "log")
    assert (elsewhere / "workerlog.0").read_text() == "kept"
    assert (tmp_path / "others" / "b" / "checkpoints" / "step_00000001").exists()


def test_folders_without_runs_are_refused(tmp_path, capsys):
    assert "is not a folder" in printed(capsys, "list", tmp_path / "none", code=2).err
    assert "there is no run in" in printed(capsys, "clean", tmp_path, code=2).err
    assert printed(capsys, "list", tmp_path).out == "no run\n"
