"""The test split of a run: evaluated once, with the best model, apart from the scores of the epochs."""

import json
from contextlib import closing

import calling
import pytest
import soundfile
import tiny

from pannsdist import settings
from pannsdist.audio.loader import Loader
from pannsdist.builtin.tones import GeneratedSound
from pannsdist.builtin.visualdl.records import read_records
from pannsdist.distributed import fleet
from pannsdist.registry import Catalog
from pannsdist.run import building
from pannsdist.run.folder import opened_run
from pannsdist.run.planning.decide import decide
from pannsdist.run.testing import FinishedRun, evaluate_once
from pannsdist.runtime.errors import Stopped

pytestmark = pytest.mark.any_paddle

CONFIG = """
name: tested
model: {name: tiny}
data: {name: folder, workers: 0, params: {root: sounds}}
train: {epochs: 2, batch_size: 4, crop_s: 0.5}
valid: {batch_size: 2}
optimizer: {learning_rate: 1e-3}
schedule: {name: constant}
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with `sounds/` in three splits, and the settings of a run on them."""
    folder = tmp_path_factory.mktemp("tested")
    for split, count in (("train", 4), ("valid", 2), ("test", 3)):
        for family in ("tone", "clicks"):
            for number in range(count):
                path = folder / "sounds" / split / family / f"{number}.wav"
                path.parent.mkdir(parents=True, exist_ok=True)
                seed = len(split) * 100 + len(family) * 10 + number
                soundfile.write(path, *GeneratedSound(family, seed, 0.5, 8000).samples())
    (folder / "run.yaml").write_text(CONFIG)
    return folder


@pytest.fixture(scope="module")
def env(place):
    return tiny.install(place / "site")


def train(place, env, *overrides):
    done = calling.train(place / "run.yaml", *overrides, cwd=place, env=env)
    assert done.exit_code == 0, done
    return done


@pytest.fixture(scope="module")
def first(place, env):
    return train(place, env)


@pytest.fixture(scope="module")
def folder(place, first):  # noqa: ARG001 - it trains
    return place / "runs" / "tested"


def test_the_scores_of_the_test_split_are_kept_and_printed_apart(folder, first):
    scores = json.loads((folder / "test.json").read_text())
    best = json.loads((folder / "best_model" / "bundle.json").read_text())
    assert scores["epoch"] == best["epoch"]
    assert scores["clips"] == 6
    assert {name.partition("/")[0] for name in scores["scores"]} == {"test"}
    lines = (folder / "scores.jsonl").read_text()
    assert "test/" not in lines
    assert f"test/accuracy {scores['scores']['test/accuracy']:.4f}, 6 clips" in first.output
    assert "test       6 clips, evaluated once, with the best model" in first.output


def test_they_are_those_that_evaluate_gives(folder, place, env):
    said = calling.pannsdist(
        *("evaluate", "--model", folder / "best_model", "-c", folder / "settings.yaml", "--split", "test"),
        cwd=place,
        env=env,
    )
    assert said.exit_code == 0, said
    printed = dict(line.split()[:2] for line in said.output.splitlines() if line.startswith("test/"))
    for name, value in json.loads((folder / "test.json").read_text())["scores"].items():
        assert value is None or float(printed[name]) == pytest.approx(value, abs=1e-4), name


def test_a_finished_run_that_is_started_again_does_not_evaluate_again(folder, place, env):
    before = (folder / "test.json").stat()
    again = train(place, env)
    after = (folder / "test.json").stat()
    assert (after.st_mtime_ns, after.st_ino) == (before.st_mtime_ns, before.st_ino)
    assert "evaluates the best model" not in again.output
    assert "  test/accuracy" in again.output


def test_trackers_have_the_test_scores_once_and_the_report_shows_them_apart(folder, place, env):
    values = [record.values[0] for path in (folder / "vdl").iterdir() for record in read_records(path)]
    found = [value for value in values if value.tag == "test/accuracy"]
    scores = json.loads((folder / "test.json").read_text())["scores"]
    assert [value.value for value in found] == [pytest.approx(scores["test/accuracy"])]
    assert {"test/confusion_matrix", "test/worst_1"} <= {value.tag for value in values}
    assert calling.pannsdist("report", folder, cwd=place, env=env).exit_code == 0
    page = (folder / "report.html").read_text()
    section = page[page.index("<h2>Test split</h2>") :]
    assert f"{scores['test/accuracy']:.4f}" in section[: section.index("</section>")]
    assert "test/" not in page[: page.index("<h2>Test split</h2>")]


def test_training_is_the_same_without_it_and_it_can_be_asked_for_later(folder, place, env):
    train(place, env, "name=untested", "select.test=false")
    other = place / "runs" / "untested"
    assert not (other / "test.json").exists()
    for name in ("best_model/model.pdparams", "checkpoints/last/model.pdparams"):
        assert (other / name).read_bytes() == (folder / name).read_bytes()
    later = train(place, env, "name=untested")
    assert "evaluates the best model on the test split, 6 clips" in later.output
    written = [json.loads((run / "test.json").read_text())["scores"] for run in (other, folder)]
    assert written[0] == written[1]


def test_a_run_that_goes_on_to_a_better_model_evaluates_that_one(place, env):
    train(place, env, "name=longer", "train.epochs=1", "select.metric=valid/loss")
    longer = train(place, env, "name=longer", "train.epochs=3", "select.metric=valid/loss")
    best = json.loads((place / "runs/longer/best_model/bundle.json").read_text())["epoch"]
    assert best > 1
    assert json.loads((place / "runs/longer/test.json").read_text())["epoch"] == best
    assert "evaluates the best model" in longer.output


def test_a_stopped_evaluation_is_made_by_the_next_start(place, env, monkeypatch):
    train(place, env, "name=stopped", "select.test=false")
    monkeypatch.chdir(place)
    monkeypatch.syspath_prepend(env["PYTHONPATH"].split(":")[0])
    plan = decide(*settings.load(place / "run.yaml", ["name=stopped"]), Catalog.installed(), 1)
    world = fleet.connect()
    with closing(Loader(0)) as loader, opened_run(plan) as (opened, snapshot):
        network = building.build_network(plan)
        parts = building.build_parts(plan, world, network, loader)
        run = FinishedRun(world, network, parts.trainer.restore(snapshot), opened, [])
        with pytest.raises(Stopped, match="the training is finished and saved"):
            evaluate_once(run, plan.data, parts.evaluator, parts.test, lambda: True)
        assert not (opened.path / "test.json").exists()
    assert "evaluates the best model" in train(place, env, "name=stopped").output
    assert "evaluates the best model" not in train(place, env, "name=stopped").output


def test_a_run_that_is_cut_short_by_time_is_not_finished_and_not_tested(place, env):
    said = train(place, env, "name=cut", "train.max_minutes=0.000001")
    assert not (place / "runs/cut/test.json").exists()
    assert "test split" not in said.output


def test_clips_of_train_in_the_test_split_are_refused(place, env):
    rows = [(split, label) for split in ("train", "valid") for label in ("tone", "clicks")]
    lines = [f"{split}/{label}/0.wav,{label},{split},{split} {label}" for split, label in rows]
    table = ["path,label,split,id", *lines, "train/tone/0.wav,tone,test,again"]
    (place / "sounds" / "clips.csv").write_text("\n".join(table))
    done = calling.train(
        place / "run.yaml",
        "data.name=manifest",
        "data.params.path=sounds/clips.csv",
        "train.batch_size=2",
        cwd=place,
        env=env,
    )
    assert done.exit_code == 2
    assert "clip 'train tone' of train and clip 'again' of test are the same sound" in done.output


def test_damaged_scores_are_refused_with_the_way_out(place, env):
    train(place, env, "name=damaged", "train.epochs=1")
    (place / "runs/damaged/test.json").write_text('{"format": 1}')
    done = calling.train(place / "run.yaml", "name=damaged", "train.epochs=1", cwd=place, env=env)
    assert done.exit_code == 2
    assert "test.json is damaged" in done.output
    assert "remove it" in done.output


def test_a_run_on_all_clips_keeps_its_last_epoch_and_is_tested(place, env):
    said = train(place, env, "name=all", "train.all_clips=true")
    assert "train      12 clips" in said.output
    assert (
        "all clips were trained on, and none chose an epoch; the model of epoch 2: runs/all/best_model" in said.output
    )
    folder = place / "runs/all"
    assert json.loads((folder / "best_model/bundle.json").read_text())["epoch"] == 2
    lines = [json.loads(line) for line in (folder / "scores.jsonl").read_text().splitlines()]
    assert [set(line) for line in lines] == [{"epoch", "step", "train/loss", "seconds"}] * 2
    assert json.loads((folder / "test.json").read_text())["epoch"] == 2
    assert calling.pannsdist("report", folder, cwd=place, env=env).exit_code == 0
    assert "none chose an epoch" in (folder / "report.html").read_text()
    again = train(place, env, "name=all", "train.all_clips=true", "train.epochs=3")
    assert "the model of epoch 3" in again.output


def test_all_clips_and_patience_contradict_each_other(place, env):
    done = calling.train(
        place / "run.yaml", "train.all_clips=true", "train.patience_epochs=2", "name=x", cwd=place, env=env
    )
    assert done.exit_code == 2
    assert "without clips to evaluate there are no scores" in done.output


def test_groups_of_clips_are_kept_with_the_predictions_and_drawn_by_the_intervals(place, env):
    rows = ["path,label,split,take"]
    for path in sorted((place / "sounds").rglob("*.wav")):
        split, label = path.parts[-3:-1]
        rows.append(f"{path.relative_to(place)},{label},{split},{split}/{label}")
    (place / "clips.csv").write_text("\n".join(rows))
    table = ("data.name=manifest", "data.params.path=clips.csv", "data.params.group=take")
    train(place, env, "name=grouped", *table, "train.epochs=1")
    folder = place / "runs" / "grouped"
    for name, split in (("best_predictions", "valid"), ("test_predictions", "test")):
        record = json.loads((folder / name / "record.json").read_text())
        assert record["groups"] == [one.removeprefix("sounds/").rpartition("/")[0] for one in record["ids"]]
        assert set(record["groups"]) == {f"{split}/clicks", f"{split}/tone"}
    evaluate = ("evaluate", "--model", folder / "best_model", "-c", folder / "settings.yaml")
    assert "2 groups" in calling.pannsdist(*evaluate, cwd=place, env=env).output
