"""The run folder: locked against a second run, refused before anything is written, and noticed when it goes."""

import dataclasses
import json
import shutil
from types import SimpleNamespace

import calling
import disk_calls
import launching
import pytest
from holding import holder

from pannsdist import settings
from pannsdist.contracts import EpochReport
from pannsdist.inference.bundle import RECORD_FILE, read_record, write_bundle
from pannsdist.run.data_record import DataRecord
from pannsdist.run.folder import RunFolder
from pannsdist.runtime.errors import BadRunFolder, CannotWrite
from pannsdist.training.checkpoint import Progress, Snapshot, checkpoint_name
from pannsdist.training.run_length import RunLength

TEXT = "model: {name: panns_cnn6}\ndata: {name: tones}\nname: a\n"
RECORD = DataRecord(("low", "high"), (), {})
TINY = ("tones_cnn6.yaml", *launching.TINY, "trackers.visualdl=null")


@pytest.fixture
def chosen(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run.yaml").write_text(TEXT)
    return lambda *overrides: settings.load(tmp_path / "run.yaml", overrides)[0]


@pytest.fixture
def begun(tmp_path, chosen):
    """A run folder with a checkpoint, and another that its writer has not finished."""
    RunFolder.open(chosen(), RECORD).close()
    folder = tmp_path / "runs" / "a"
    for name in (checkpoint_name(3), ".step_00000006.writing"):
        (folder / "checkpoints" / name).mkdir()
        (folder / "checkpoints" / name / "model.pdparams").write_text("weights")
    return folder


def test_a_second_run_is_refused_and_the_first_keeps_what_it_has(begun, chosen):
    with holder(begun) as other:
        before = launching.contents(begun)
        with pytest.raises(BadRunFolder, match=f"process {other.pid} on .* is running in runs/a"):
            RunFolder.open(chosen(), RECORD)
        assert launching.contents(begun) == before
        other.kill()
        other.wait()
        run = RunFolder.open(chosen(), RECORD)
    run.checkpoints.rename_damaged([])
    run.close()


def test_a_folder_of_another_run_is_refused_without_a_lock_in_it(begun, chosen, tmp_path):
    with pytest.raises(BadRunFolder, match=r"contains another run: seed is 0 there, 1 now"):
        RunFolder.open(chosen("seed=1"), RECORD)
    with pytest.raises(BadRunFolder, match="labels differ"):
        RunFolder.open(chosen(), dataclasses.replace(RECORD, labels=("low",)))
    (tmp_path / "runs" / "thesis").mkdir()
    (tmp_path / "runs" / "thesis" / "text").touch()
    with pytest.raises(BadRunFolder, match=r"is not empty, and has no settings.yaml"):
        RunFolder.open(chosen("name=thesis"), RECORD)
    assert not (begun / ".lock").exists()
    assert [path.name for path in (tmp_path / "runs" / "thesis").iterdir()] == ["text"]


def test_a_closed_folder_is_free(chosen, tmp_path):
    run = RunFolder.open(chosen(), RECORD)
    run.close()
    with holder(tmp_path / "runs" / "a"):
        pass


def test_a_run_whose_folder_goes_writes_nothing_more(chosen, tmp_path):
    run = RunFolder.open(chosen(), RECORD)
    shutil.rmtree(run.path)
    with pytest.raises(CannotWrite, match="runs/a was removed, moved or replaced while"):
        run._write(None, {}, None)
    assert list((tmp_path / "runs").iterdir()) == []
    run.close()


class Counting:
    """A tracker that counts its reports."""

    def __init__(self):
        self.reports = 0

    def steps(self, _):
        self.reports += 1

    epoch = test = steps

    def flush(self):
        pass

    close = flush


def test_a_run_that_has_lost_its_folder_to_another_one_reports_and_writes_nothing_more(chosen, tmp_path):
    run, tracker = RunFolder.open(chosen(), RECORD), Counting()
    lost = {"host": "other", "pid": 7, "started": "now", "ticks": 1, "boot": "b", "space": "s", "token": "t"}
    with run.sinks(SimpleNamespace(metrics=()), [tracker], Progress()) as sinks:
        before = launching.contents(run.path)
        (run.path / ".lock").write_text(json.dumps(lost))
        run._lock.beat()
        attempts = [getattr(one, name) for one in sinks.trackers[:1] for name in ("steps", "epoch", "test")]
        attempts += [sinks.log_bad_step, lambda _: sinks.log_bad_clips([]), lambda _: sinks.save_snapshot(None, None)]
        for attempt in attempts:
            with pytest.raises(BadRunFolder, match=r"process 7 on other, .* is running in .*, which it has taken over"):
                attempt("report")
    run.close()
    after = launching.contents(tmp_path / "runs" / "a")
    assert {**after, ".lock": None} == {**before, ".lock": None}
    assert json.loads((tmp_path / "runs" / "a" / ".lock").read_text()) == lost


def test_scores_of_epochs_after_the_progress_and_the_best_are_dropped(chosen):
    run = RunFolder.open(chosen(), RECORD)
    file = run.path / "scores.jsonl"
    for epoch, best, left in ((2, {}, 2), (2, {"epoch": 3}, 3)):
        file.write_text("".join(f'{{"epoch": {number}}}\n' for number in range(1, 6)))
        with run.sinks(SimpleNamespace(metrics=()), [], Progress(epoch=epoch, best=best)):
            pass
        assert len(file.read_text().splitlines()) == left
    run.close()


def test_a_password_in_the_settings_is_not_written_and_the_run_goes_on(chosen, begun):
    url = "data.params.mirror=https://me:s3cret@host/sounds?token=s3cret"
    RunFolder.open(chosen(url, "name=b"), RECORD).close()
    other = begun.with_name("b")
    assert "https://***@host/sounds?token=***" in (other / "settings.yaml").read_text()
    assert "s3cret" not in (other / "settings.yaml").read_text()
    (other / "checkpoints" / checkpoint_name(3)).mkdir()
    RunFolder.open(chosen(url, "name=b"), RECORD).close()


def test_a_secret_of_a_plugin_is_not_written_and_the_run_goes_on_with_a_new_one(chosen, begun):
    def key(value):
        return ("name=c", f"data.params.api_key={value}", "data.params.project=p")

    RunFolder.open(chosen(*key("s3cret")), RECORD).close()
    other = begun.with_name("c")
    assert "s3cret" not in (other / "settings.yaml").read_text()
    (other / "checkpoints" / checkpoint_name(3)).mkdir()
    RunFolder.open(chosen(*key("s3cret")), RECORD).close()
    RunFolder.open(chosen(*key("rotated")), RECORD).close()
    with pytest.raises(BadRunFolder, match=r"data\.params\.project is 'p' there, 'q' now"):
        RunFolder.open(chosen(*key("s3cret"), "data.params.project=q"), RECORD)


def test_the_settings_of_a_run_with_a_hidden_secret_are_refused_by_its_key(tmp_path):
    given = ("-c", launching.CONFIGS / "tones_cnn6.yaml", "trackers.mine.api_key=s3cret")
    shown = calling.pannsdist("config", "show", *given, cwd=tmp_path)
    assert shown.exit_code == 0
    assert "s3cret" not in shown.output
    (tmp_path / "settings.yaml").write_text(shown.output)
    launched = calling.train(tmp_path / "settings.yaml", "--dry-run", cwd=tmp_path)
    assert launched.exit_code == 2
    assert "trackers.mine.api_key in " in launched.output
    assert "is '***': the files of a run hold no secrets" in launched.output


@pytest.mark.parametrize("flag", [(), ("--dry-run",)], ids=["run", "dry run"])
@pytest.mark.parametrize(
    "override",
    [
        "runs=file",
        "runs=/proc/a",
        "runs=link",
        f"name={'n' * 300}",
        f"runs={'n' * 300}/a",
        'name="a\\0b"',
        "runs=/dev/null",
    ],
    ids=lambda override: override[:14],
)
def test_a_run_folder_that_cannot_be_written_is_refused_while_planning(tmp_path, override, flag):
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to("nowhere")
    launched = calling.train(*TINY, override, *flag, cwd=tmp_path)
    assert launched.exit_code == 2
    assert launched.output.startswith("error: cannot write the run folder ")
    assert "\n  next: " in launched.output
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "link"]


def test_a_dry_run_and_a_series_of_runs_name_who_has_the_folder(tmp_path):
    folds = ("crossval", "-c", launching.CONFIGS / "tones_cnn6.yaml", *launching.TINY, "--dry-run")
    with holder(tmp_path / "runs" / "tones_cnn6"):
        for launched in (calling.train(*TINY, "--dry-run", cwd=tmp_path), calling.pannsdist(*folds, cwd=tmp_path)):
            assert launched.exit_code == 2
            assert " is running in runs/tones_cnn6\n" in launched.output
    (tmp_path / "file").touch()
    launched = calling.pannsdist(*folds, "runs=file", cwd=tmp_path)
    assert launched.output.startswith("error: cannot write the folder of the series file/tones_cnn6: Not a directory")


def test_what_a_run_records_holds_no_absolute_path_and_no_password(tmp_path, monkeypatch):
    """In its model folder; the settings file keeps paths as they were given, because a run goes on with them."""
    from small_parts import write_small_bundle

    monkeypatch.chdir(tmp_path)
    network = write_small_bundle(tmp_path / "model")
    record = read_record(tmp_path / "model")
    params = {"root": str(tmp_path), "mirror": "https://me:s3cret@host/a", "token": "s3cret"}
    dataset = dataclasses.replace(record.dataset, params=params)
    settings = {"data": {"params": params}, "runs": str(tmp_path)}
    further = {"metrics.mine": dataclasses.replace(dataset, params={"api_key": "s3cret"})}
    changed = dataclasses.replace(record, dataset=dataset, settings=settings, further=further)
    write_bundle(tmp_path / "model", changed, network.arrays())
    text = (tmp_path / "model" / RECORD_FILE).read_text()
    assert "s3cret" not in text
    assert str(tmp_path) not in text
    assert json.loads(text)["settings"]["data"]["params"]["mirror"] == "https://***@host/a"


def test_scores_reach_the_disk_before_the_best_model_and_that_before_its_checkpoint(chosen, tmp_path):
    """A loss of power in between costs nothing: what a checkpoint counts on is there."""
    from small_parts import write_small_bundle

    arrays = write_small_bundle(tmp_path / "model").arrays()
    best = {
        "metric": "valid/accuracy",
        "value": 0.5,
        "epoch": 1,
        "best_epochs": [{"value": 0.5, "epoch": 1, "step": 4}],
    }
    snapshot = Snapshot(Progress(1, 4, 4, {"valid/accuracy": 0.5}, best), arrays, {})
    run = RunFolder.open(chosen(), RECORD)
    with disk_calls.recorded() as calls, run.sinks(read_record(tmp_path / "model"), [], Progress()) as sinks:
        for tracker in sinks.trackers:
            tracker.epoch(EpochReport(1, 3, 4, snapshot.progress.scores, "valid/accuracy", True, 1.0))
        sinks.save_snapshot(snapshot, arrays)
    model, checkpoint = (("rename", f".{name}.writing -> {name}") for name in ("best_model", checkpoint_name(4)))
    expected = [("sync", "scores.jsonl"), model, checkpoint]
    assert [call for call in calls if call in expected] == expected

    (run.path / "best_model").rename(run.path / ".best_model.older")  # as a kill between two renames leaves it
    found = run.snapshot(RECORD, RunLength(3, 4, 0, 10))
    assert found.progress.best == best
    assert (run.path / "best_model").is_dir()
    run.close()
