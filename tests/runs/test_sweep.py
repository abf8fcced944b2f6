"""A grid by the real command: one combination fails, the others go on, and the table is worked out again."""

import csv
import json
from dataclasses import dataclass
from pathlib import Path

import calling
import launching
import pytest

pytestmark = pytest.mark.any_paddle

SETTINGS = (*launching.TINY, *launching.CONSTANT, "name=grid")
RATES = ("1e-4", "1e-3")
FOLDERS = [f"learning_rate={rate}" for rate in RATES]


def sweep(*args, cwd, env, model="tiny"):
    settings = [item for item in SETTINGS if not item.startswith("optimizer.learning_rate=")]
    grid = (f"model.name={model}", f"optimizer.learning_rate={','.join(RATES)}")
    config = launching.CONFIGS / "tones_cnn6.yaml"
    return calling.pannsdist("sweep", "-c", config, *settings, *grid, "--parallel", "2", *args, cwd=cwd, env=env)


@dataclass(frozen=True)
class Swept:
    """A grid of which one combination could not start at first."""

    folder: Path
    failed: launching.Launched
    rows_then: list
    left: dict
    again: launching.Launched

    @property
    def record(self):
        return json.loads((self.folder / "sweep.json").read_text())

    def last(self, name):
        return json.loads((self.folder / name / "scores.jsonl").read_text().splitlines()[-1])


@pytest.fixture(scope="module")
def swept(tmp_path_factory, env):
    work = tmp_path_factory.mktemp("sweep") / "work"
    folder = work / "runs" / "grid"
    stray = folder / FOLDERS[0] / "thesis.txt"
    stray.parent.mkdir(parents=True)
    stray.touch()
    failed = sweep(cwd=work, env=env)
    with (folder / "sweep.csv").open() as file:
        rows = list(csv.DictReader(file))
    left = {name: launching.contents(folder / name) for name in FOLDERS[1:]}
    stray.unlink()
    return Swept(folder, failed, rows, left, sweep(cwd=work, env=env))


def test_a_combination_that_fails_stands_in_the_table_and_the_others_go_on(swept):
    assert swept.failed.exit_code == 2, str(swept.failed)
    assert f"error: {FOLDERS[0]} failed with exit code 2: runs/grid/{FOLDERS[0]} is not empty" in swept.failed.output
    assert (swept.rows_then[0]["run"], swept.rows_then[0]["failed"]) == (f"runs/grid/{FOLDERS[1]}", "")
    assert swept.rows_then[-1]["run"] == f"runs/grid/{FOLDERS[0]}"
    assert "is not empty" in swept.rows_then[-1]["failed"]
    assert len(swept.rows_then) == 2


def test_what_is_finished_is_not_run_again(swept):
    assert swept.again.exit_code == 0, str(swept.again)
    for name in FOLDERS[1:]:
        assert f"{name}  is finished: runs/grid/{name}" in swept.again.output
        assert launching.contents(swept.folder / name) == swept.left[name]


def test_each_run_has_its_own_settings(swept):
    for rate, name in zip(RATES, FOLDERS, strict=True):
        text = (swept.folder / name / "settings.yaml").read_text()
        assert f"learning_rate: {float(rate)}\n" in text


def test_the_table_stands_in_the_order_of_the_score(swept):
    rows = swept.record["runs"]
    values = [row["best"]["scores"]["valid/accuracy"] for row in rows]
    assert values == sorted(values, reverse=True)
    assert {row["run"] for row in rows} == {f"runs/grid/{name}" for name in FOLDERS}
    for row in rows:
        name = Path(row["run"]).name
        assert row["settings"] == {"optimizer.learning_rate": name.partition("=")[2]}
        assert row["last"]["scores"]["valid/accuracy"] == swept.last(name)["valid/accuracy"]
        assert row["last"]["scores"]["valid/loss"] == swept.last(name)["valid/loss"]


def test_the_same_table_is_a_file_of_columns_and_on_the_terminal(swept):
    with (swept.folder / "sweep.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["run"] for row in rows] == [row["run"] for row in swept.record["runs"]]
    best = rows[0]
    assert float(best["best valid/accuracy"]) == swept.record["runs"][0]["best"]["scores"]["valid/accuracy"]
    printed = [line.split() for line in swept.again.output.splitlines()]
    assert ["1", best["optimizer.learning_rate"], f"{float(best['best valid/accuracy']):.4f}"] in [
        row[:3] for row in printed
    ]


def test_a_mistake_in_the_last_combination_is_told_before_the_first_starts(work, env):
    launched = sweep(cwd=work, env=env, model="panns_cnn6,panns_cnn10,cnn41")
    assert launched.exit_code == 2, str(launched)
    assert "unknown model 'cnn41' (model.name on the command line)" in launched.output
    assert list(work.iterdir()) == []
