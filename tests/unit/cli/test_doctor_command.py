"""`pannsdist doctor`, as a user calls it."""

import json
import os
import re
import sys

import calling
import launching
import pytest

from pannsdist.run.doctor.comparing import NodeReport
from pannsdist.run.doctor.facts import from_plain


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """What the command prints for a folder of a run that was started with other software and other settings."""
    folder = tmp_path_factory.mktemp("doctor")
    run = folder / "runs" / "demo"
    run.mkdir(parents=True)
    shown = calling.pannsdist("config", "show", "-c", "recipe:demo", "train.batch_size=16", cwd=folder)
    (run / "settings.yaml").write_text(shown.output)
    start = {"date": "", "command": "", "versions": {"paddle": "1.8.5"}, "commit": ""}
    (run / "history.json").write_text(json.dumps({"format": 1, "starts": [start], "finished": False}))
    record = {"origin": {"distribution": "pannsdist", "version": "0.0.1"}}
    (run / "best_model").mkdir()
    content = {"model": record, "feature": record, "dataset": record, "further": {}}
    (run / "best_model" / "bundle.json").write_text(json.dumps(content))
    return calling.pannsdist("doctor", "--json", "-c", "recipe:demo", cwd=folder)


def test_the_table_of_the_page(tmp_path):
    """The command of docs/en/doctor.md."""
    done = calling.pannsdist("doctor", "-c", "recipe:demo", cwd=tmp_path)
    assert done.exit_code == 0, str(done)
    lines = done.output.splitlines()
    assert [line.split()[:2] for line in lines[:3]] == [["ok", "Python"], ["ok", "Paddle"], ["ok", "plugins"]]
    assert any(re.match(r"ok +settings +recipe:demo: \d+ keys$", line) for line in lines)
    assert re.fullmatch(r"\d+ ok(, \d+ (warning|unknown))*", lines[-1])


def test_json_holds_facts_and_findings(report):
    content = json.loads(report.output)
    facts = from_plain(NodeReport, content["nodes"][0]).facts
    assert facts.settings.values["train.batch_size"] == "8"
    assert facts.software.plugins["model panns_cnn6"].startswith("pannsdist ")
    assert {"Python", "Paddle", "plugins", "/dev/shm", "locks"} <= {one["name"] for one in content["findings"]}


def test_a_run_of_another_paddle_plugin_or_settings_is_found_on_one_node(report):
    found = [one["seen"] for one in json.loads(report.output)["findings"] if one["name"] == "run in the folder"]
    assert report.exit_code == 2
    assert [seen.partition(",")[0] for seen in found] == [
        "was started with paddle 1.8.5",
        "has a best model of the plugin pannsdist 0.0.1",
        "has other settings",
    ]
    assert "train.batch_size is 16 there, 8 now" in found[-1]


def test_a_mistake_in_the_settings_is_a_finding(tmp_path):
    done = calling.pannsdist("doctor", "-c", "recipe:demo", "train.batchsize=4", cwd=tmp_path)
    assert done.exit_code == 2
    assert "error    settings" in done.output
    assert "train.batchsize" in done.output
    assert "run folder" not in done.output


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["--nodes", "2"], "--master is not given"),
        (["--master", "a"], "HOST:PORT"),
        (["--master", "a:70000"], "HOST:PORT"),
    ],
)
def test_a_rendezvous_without_a_place_is_refused(tmp_path, words, text):
    done = calling.pannsdist("doctor", *words, cwd=tmp_path)
    assert done.exit_code == 2
    assert text in done.output


def test_where_paddle_cannot_be_imported_the_doctor_says_so(tmp_path):
    (tmp_path / "paddle" / "version").mkdir(parents=True)
    (tmp_path / "paddle" / "__init__.py").write_text("raise ImportError('libcudnn.so.8: cannot open shared object')")
    (tmp_path / "paddle" / "version" / "__init__.py").write_text("full_version = '3.3.1'\ncuda_version = '12.6'\n")
    path = os.pathsep.join([str(tmp_path), *filter(None, sys.path)])
    words = ("doctor", "--run-folder", tmp_path / "run", "-c", "recipe:demo")
    done = launching.pannsdist(*words, cwd=tmp_path, env={"PYTHONPATH": path})
    assert done.exit_code == 2
    assert "Traceback" not in done.output
    assert "cannot be imported: ImportError: libcudnn.so.8: cannot open shared object" in " ".join(done.output.split())
    assert "renames" in done.output
