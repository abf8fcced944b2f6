"""`pannsdist.train` and `pannsdist.Run`: the run of the command, as a call that leaves the process as it was."""

import importlib
import os
import signal
import stat
import threading
import time
import warnings
from pathlib import Path

import calling
import numpy as np
import paddle
import psutil
import pytest
import tiny

import pannsdist
from pannsdist import settings
from pannsdist.run import python_api
from pannsdist.run.launching.devices import choose_devices, this_machine
from pannsdist.run.launching.one_node import Start
from pannsdist.runtime import storage
from pannsdist.runtime.errors import BadRunFolder, SettingsError, Stopped, UserError

pytestmark = pytest.mark.usefixtures("work")
SETTINGS = {
    "base": "recipe:tones_cnn6",
    "name": "tiny",
    "model": {"name": "tiny"},
    "data": {"name": "noted", "workers": 0},
    "train": {"batch_size": 4, "crop_s": 0.3, "epochs": 2},
    "valid": {"batch_size": 1},
    "trackers": {"visualdl": None},
}
OVERRIDES = ("name=tiny", "model.name=tiny", "data.name=noted", "data.workers=0", "train.batch_size=4")
OVERRIDES += ("train.crop_s=0.3", "train.epochs=2", "valid.batch_size=1", "trackers.visualdl=null")


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The plugins of `tiny`, installed."""
    folder = tmp_path_factory.mktemp("site") / "site"
    return folder, tiny.install(folder)


@pytest.fixture
def work(tmp_path, monkeypatch, site):
    monkeypatch.syspath_prepend(str(site[0]))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def files(folder):
    """The scores without the time that they took, and the weights."""
    scores = [{**line, "seconds": 0} for line in pannsdist.Run(folder).scores]
    return scores, (folder / "best_model" / "model.pdparams").read_bytes()


def test_a_call_writes_what_the_command_writes_and_so_does_a_second_one_in_the_same_process(work, site, capsys):
    (work / "other").mkdir()
    launched = calling.train("tones_cnn6.yaml", *OVERRIDES, cwd=work / "other", env=site[1])
    assert launched.exit_code == 0, str(launched)
    capsys.readouterr()
    first = pannsdist.train("recipe:tones_cnn6", list(OVERRIDES))
    printed = capsys.readouterr().out
    assert [line for line in launched.output.splitlines() if line[:5] in ("run  ", "data ", "best ")] == [
        line for line in printed.splitlines() if line[:5] in ("run  ", "data ", "best ")
    ]
    assert first.folder == Path("runs/tiny")
    paddle.rand([3])
    second = pannsdist.train({**SETTINGS, "runs": work / "again", "seed": np.int64(0)})
    assert second.folder == work / "again" / "tiny"
    assert files(first.folder) == files(second.folder) == files(work / "other" / "runs" / "tiny")


def test_the_results_are_those_of_the_run_folder(work):
    run = pannsdist.train(SETTINGS)
    assert [line["epoch"] for line in run.scores] == [1, 2]
    assert run.metric == "valid/accuracy"
    assert run.best_score == max(line["valid/accuracy"] for line in run.scores)
    assert run.best_score == run.scores[run.best_epoch - 1]["valid/accuracy"]
    assert run.test_scores == {}
    assert run.model().labels == ("high", "low")
    assert run.report() == Path("runs/tiny/report.html") and run.report().is_file()
    said = f"2 epochs, best valid/accuracy {run.best_score:.4f} in epoch {run.best_epoch}"
    assert repr(run) == f"<Run runs/tiny: {said}>"
    page = run._repr_html_()
    assert page.startswith(f"<table><caption>runs/tiny: {said}</caption><tr><th>epoch</th><th>train/loss</th>")
    assert page.count("<tr>") == 3
    again = pannsdist.Run(str(work / "runs" / "tiny"))
    assert (again.scores, again.best_epoch) == (run.scores, run.best_epoch)
    resumed = pannsdist.train(SETTINGS, ["train.epochs=3"])
    assert len(resumed.scores) == 3 and len(run.scores) == 2


def test_a_long_run_is_shown_by_its_last_epochs_and_its_best_one():
    run = pannsdist.train(SETTINGS)
    run.folder.rename("a<b>")
    scores = [{**run.scores[0], "epoch": number, "valid/accuracy": None} for number in range(1, 31)]
    later = pannsdist.Run("a<b>")
    later.scores = scores
    page = later._repr_html_()
    assert page.count("<tr>") == 12
    assert "a&lt;b&gt;" in page and "a<b>" not in page
    assert page.count("<td>-</td>") == 10


def left():
    """What a call must not change."""
    children = psutil.Process().children()
    handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
    random_state = [np.asarray(np.random.get_state()[1]).tolist(), paddle.rand([4]).tolist()]
    threads = {thread.name for thread in threading.enumerate()}
    environment = {key: value for key, value in os.environ.items() if key != "MKL_DEBUG_CPU_TYPE"}
    folder = str(Path.cwd())
    return (children, handlers, random_state, threads, environment, folder, list(warnings.filters))


@pytest.mark.parametrize("ending", ["finished", "refused", "failed"])
def test_nothing_is_left_of_a_call(ending):
    mine = [signal.signal(number, lambda *_: None) for number in (signal.SIGINT, signal.SIGTERM)]
    try:
        paddle.seed(7)
        before = left()
        paddle.seed(7)
        if ending == "finished":
            pannsdist.train(SETTINGS, ["data.workers=1"])
        elif ending == "refused":
            with pytest.raises(UserError):
                pannsdist.train(SETTINGS, ["train.crop_s=0.001"])
        else:
            Path("note.0").mkdir()
            os.environ["NOTE"] = "note"
            try:
                with pytest.raises(IsADirectoryError):
                    pannsdist.train(SETTINGS)
            finally:
                del os.environ["NOTE"]
        assert left() == before
        assert paddle.device.get_device() == "cpu"
        pannsdist.train(SETTINGS, ["name=next", "train.epochs=1"])
    finally:
        signal.signal(signal.SIGINT, mine[0])
        signal.signal(signal.SIGTERM, mine[1])


class Interrupting(threading.Thread):
    """Sends Ctrl-C to this process once a checkpoint of the run is there."""

    def __init__(self, checkpoints, number=signal.SIGINT):
        super().__init__()
        self.checkpoints, self.number = checkpoints, number

    def run(self):
        limit = time.monotonic() + 60
        while not any(self.checkpoints.glob("step_*")) and time.monotonic() < limit:
            time.sleep(0.005)
        os.kill(os.getpid(), self.number)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_saves_and_the_same_call_continues(work, number):
    handlers = [signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM)]
    settings = {**SETTINGS, "save": {"every_steps": 1}, "train": {**SETTINGS["train"], "epochs": 5}}
    whole = pannsdist.train({**settings, "runs": "whole"})
    thread = Interrupting(work / "runs" / "tiny" / "checkpoints", number)
    thread.start()
    with pytest.raises(Stopped, match=r"^stopped .*, as requested: saved in checkpoints/step_\d+") as caught:
        pannsdist.train(settings)
    thread.join()
    assert caught.value.right == "the same call continues from there"
    assert [signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM)] == handlers
    assert files(pannsdist.train(settings).folder) == files(whole.folder)


def test_another_thread_trains_too_but_not_at_the_same_time(work):
    found = []

    def trained():
        found.append(pannsdist.train({**SETTINGS, "save": {"every_steps": 1}}, ["train.epochs=6"]))

    thread = threading.Thread(target=trained)
    thread.start()
    limit = time.monotonic() + 60
    while not (work / "runs" / "tiny" / "checkpoints").is_dir() and time.monotonic() < limit:
        time.sleep(0.005)
    with pytest.raises(UserError, match=r"another call of pannsdist\.train is running"):
        pannsdist.train(SETTINGS)
    thread.join()
    assert len(found[0].scores) == 6


@pytest.mark.parametrize(
    ("arguments", "wrong", "right"),
    [
        (("recipe:tones_cnn6", "train.epochs=3"), "overrides is 'train.epochs=3'", "a list of texts"),
        (("recipe:tones_cnn6", {"train.epochs": 3}), "overrides is {'train.epochs': 3}", "a list of texts"),
        (("recipe:tones_cnn6", [3]), r"overrides is \[3\]", "a list of texts"),
        (("recipe:tones_cnn6", None), "overrides is None", "a list of texts"),
        ((5,), "settings is a int", "a YAML file"),
        ((b"x.yaml",), "settings is a bytes", "a YAML file"),
        ((SETTINGS, (), 0), "processes is 0", "a whole number from 1"),
        ((SETTINGS, (), "2"), "processes is '2'", "a whole number from 1"),
        ((SETTINGS, (), True), "processes is True", "a whole number from 1"),
        (("absent.yaml",), "no settings file absent.yaml", "recipe:NAME"),
        (("recipe:tones_cnn",), "unknown recipe 'tones_cnn'", "closest: tones_cnn6"),
        (({**SETTINGS, "train.epochs": 3},), "key 'train.epochs' of the given mapping has a dot", "'epochs': 3"),
        (({**SETTINGS, "trian": {}},), "unknown key trian in the given mapping", "train"),
        (({**SETTINGS, "train": {"epochs": "many"}},), "train.epochs in the given mapping: ", "int"),
        (({**SETTINGS, "train": {"epochs": -1}},), "train.epochs in the given mapping is -1", "allowed: "),
        (({**SETTINGS, "name": object()},), "setting name is a object", "allowed: text"),
        (({**SETTINGS, 1: 2},), "setting has the key 1", "allowed: text"),
        (({**SETTINGS, "base": 3},), "base in the given mapping is 3", "recipe:NAME"),
        ((SETTINGS, ["train.epoch=3"]), "unknown key train.epoch in overrides", "epochs"),
        ((SETTINGS, ["--limit"]), "'--limit' is not a setting", "write key=value"),
    ],
)
def test_a_mistake_is_a_user_error_and_nothing_is_written(work, arguments, wrong, right):
    with pytest.raises(SettingsError, match=wrong) as caught:
        pannsdist.train(*arguments)
    assert right in str(caught.value)
    assert caught.value._render_traceback_() == [f"SettingsError: {caught.value}"]
    assert list(work.iterdir()) == []


def test_a_mapping_without_a_base_points_to_all_keys():
    with pytest.raises(SettingsError) as caught:
        pannsdist.train({"train": {"epoch": 3}})
    assert caught.value.command == "pannsdist config show"


def test_a_call_in_a_process_of_the_launcher_is_refused(monkeypatch):
    monkeypatch.setenv("PADDLE_TRAINERS_NUM", "2")
    with pytest.raises(SettingsError, match="in a process of Paddle's launcher"):
        pannsdist.train(SETTINGS)


def test_static_mode_is_refused():
    paddle.enable_static()
    try:
        with pytest.raises(UserError, match="Paddle is in static mode"):
            pannsdist.train(SETTINGS)
    finally:
        paddle.disable_static()


def test_a_folder_that_is_no_run_and_a_run_without_a_model_are_named(work):
    with pytest.raises(BadRunFolder, match="absent is not a run folder"):
        pannsdist.Run("absent")
    folder = work / "begun"
    folder.mkdir()
    storage.write_atomic(folder / "settings.yaml", "name: begun\n")
    run = pannsdist.Run(folder)
    assert repr(run) == f"<Run {folder}: 0 epochs, no model>"
    assert (run.scores, run.best_epoch, run.best_score, run.metric) == ([], None, None, None)
    assert run._repr_html_().count("<tr>") == 1
    with pytest.raises(BadRunFolder, match="has no best_model"):
        run.model()
    with pytest.raises(BadRunFolder, match="has no scores yet"):
        run.report()


def test_the_call_stays_a_call_after_the_script_was_imported():
    script = importlib.import_module("pannsdist.train")
    assert callable(pannsdist.train) and callable(script.main)
    with pytest.raises(SettingsError, match=r"no settings file absent\.yaml"):
        script("absent.yaml")


def test_a_model_of_a_run_on_all_clips_has_no_best_score():
    run = pannsdist.train(SETTINGS, ["train.all_clips=true"])
    assert (run.best_epoch, run.best_score) == (2, None)
    assert repr(run) == "<Run runs/tiny: 2 epochs, model of epoch 2>"


def test_several_processes_get_the_settings_of_a_mapping_with_their_secrets_in_a_private_file(tmp_path):
    given = {**SETTINGS, "trackers": {"mine": {"api_key": "words-of-mine"}}}
    wanted, _ = settings.load(given)
    start = Start(Path(), (), tmp_path / "tiny", choose_devices(this_machine(), wanted.train, 2, ()), "a call")
    path = python_api._written(wanted, start)
    assert settings.load(path)[0] == wanted
    assert wanted.trackers["mine"]["api_key"] == "words-of-mine"
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
