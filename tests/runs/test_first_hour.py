"""The notebook of the first hour runs as it stands; the Chinese one has the same code (tests/house)."""

import importlib.util
import re
from pathlib import Path

import launching
import pytest

NOTEBOOK = launching.PROJECT / "docs" / "en" / "first_hour.ipynb"
MISSING = [name for name in ("nbclient", "nbformat", "ipykernel") if importlib.util.find_spec(name) is None]
pytestmark = [
    pytest.mark.slow,
    pytest.mark.any_paddle,  # tests/unit/run/test_python_api.py runs the same calls
    pytest.mark.skipif(bool(MISSING), reason=f"no {', '.join(MISSING)}: pip install '.[dev]'"),
]


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    return tmp_path_factory.mktemp("notebook")


@pytest.fixture(scope="module")
def outputs(work):
    """The outputs of each code cell by its id, executed by Jupyter's kernel as a user would."""
    import nbformat
    from nbclient import NotebookClient

    notebook = nbformat.read(NOTEBOOK, as_version=4)
    NotebookClient(notebook, timeout=launching.LIMIT_S, resources={"metadata": {"path": str(work)}}).execute()
    return {cell.id: cell.outputs for cell in notebook.cells if cell.cell_type == "code"}


def printed(found):
    return "".join(output.text for output in found if output.output_type == "stream")


def shown(found):
    """What a notebook displays for the last value of a cell, by MIME type."""
    (output,) = (output for output in found if output.output_type == "execute_result")
    return output.data


def test_every_cell_runs_but_the_one_with_the_mistake(outputs):
    failed = [name for name, found in outputs.items() if any(output.output_type == "error" for output in found)]
    assert failed == ["mistake"]


def test_a_mistake_is_one_message_without_a_traceback(outputs):
    (error,) = (output for output in outputs["mistake"] if output.output_type == "error")
    assert (error.ename, len(error.traceback)) == ("SettingsError", 1)
    assert error.traceback[0].startswith("SettingsError: unknown key train.epoch in overrides\n  closest: epochs.")
    assert printed(outputs["mistake"]) == ""


def test_the_training_shows_a_bar_and_one_line_for_each_epoch(outputs):
    text = printed(outputs["train"])
    assert text.startswith("run        runs/first_hour\n"), text
    assert len(re.findall(r"epoch \d/8  train/loss ", text)) == 8
    assert "\repoch 1  step " in text or re.search(r"epoch 1  step \d+/\d+  \|", text), text
    assert "Warning" not in text


def test_the_results_are_shown_as_a_table_and_scored_on_the_test_split(outputs):
    assert shown(outputs["scores"])["text/html"].count("<tr>") == 9
    assert shown(outputs["scores"])["text/plain"].startswith("<Run runs/first_hour: 8 epochs, best valid/accuracy ")
    epoch, best, tested = map(float, shown(outputs["test-scores"])["text/plain"].strip("()").split(", "))
    assert 1 <= epoch <= 8
    assert best > 0.5 < tested  # of six classes; 1.0 and 0.8 where it was written


def test_sounds_can_be_played_and_the_report_and_the_predictions_are_there(outputs, work):
    assert "<audio" in shown(outputs["listen"])["text/html"]
    assert (work / "runs" / "first_hour" / "report.html").is_file()
    lines = printed(outputs["predict"]).splitlines()
    assert [Path(line.split()[0]).parent.name for line in lines] == sorted(p.name for p in (work / "sounds").iterdir())
    assert all(re.fullmatch(r"\S+\.wav \{'\w+': \d\.\d+, '\w+': \d\.\d+\}", line) for line in lines), lines
