"""A run has the same bits wherever its sounds are: loose, cached, packed, on a web server, in S3, also with faults.

Real recordings, resampled; of ESC-10 a few in the short form. The runs of several processes, and those that are killed
in mid-epoch, are long.
"""

import csv
import json
import shutil
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack

import calling
import launching
import numpy as np
import object_server
import psutil
import pytest
import s3_server

from pannsdist.run.data_record import DATA_FILE
from pannsdist.runtime.stores.patience import PATIENCE
from pannsdist.training.checkpoint import CheckpointStore

pytest.importorskip("s3fs", reason="s3fs is not installed: pip install 'pannsdist[s3]'")
pytest.importorskip("moto.server", reason="moto is not installed: pip install 'moto[s3]'")

SETTINGS = """\
model: {name: tiny}
data: {name: manifest, workers: 1, params: {path: loose/list.csv, valid_fold: 1}}
train: {epochs: 2, batch_size: 8, crop_s: 2.0}
mixup: {alpha: 1.0, pairs: free}
augment: {gain: {}}
valid: {batch_size: 4}
optimizer: {learning_rate: 0.01}
schedule: {name: constant, warmup_epochs: 0}
trackers: {visualdl: null}
save: {every_steps: 1}
"""
STORES = ("cached", "packed", "http", "s3", "packed in s3", "faulty http", "faulty s3")


class Places:
    """A dataset in all places: a working folder, a web server and a bucket."""

    def __init__(self, work, web, bucket):
        self.work, self.web, self.bucket = work, web, bucket
        self.lock, self.asked, self.failed = threading.Lock(), 0, 0

    def overrides(self, store):
        """The settings that read it from there."""
        return {
            "loose": (),
            "cached": (f"data.cache={self.work / 'cache'}",),
            "packed": ("data.name=shards", "data.params={root: packed, valid_fold: 1}"),
            "http": (f"data.params.path={self.web.url('set/list.csv')}",),
            "s3": ("data.params.path=s3://sounds/set/list.csv",),
            "packed in s3": ("data.name=shards", "data.params={root: 's3://sounds/packed', valid_fold: 1}"),
        }[store.removeprefix("faulty ")]

    def env(self, env, name):
        """Credentials, and an own folder of the user: nothing is known of earlier reads."""
        return {**env, **self.bucket.env, "PANNSDIST_HOME": str(self.work / f"home of {name}"), PATIENCE: "60"}

    def one_in_a_hundred(self):
        """Whether a request fails."""
        with self.lock:
            self.asked += 1
            fails = self.asked % 100 == 5
            self.failed += fails
            return fails

    def faults(self, store):
        """One in a hundred requests is refused from now on, where the store is a faulty one."""
        self.asked = 0
        if store == "faulty http":
            self.web.faults.append(lambda handler: self.one_in_a_hundred() and handler.send(503, {}, b"no"))
        elif store == "faulty s3":
            self.bucket.faults.append(lambda _, answer: self._refused(answer) if self.one_in_a_hundred() else None)

    def _refused(self, answer):
        answer("503 Slow Down", [("Content-Length", "0")])
        return [b""]


def filled(work, esc10, clips_of_each, env) -> Iterator[Places]:
    """So many recordings of each class and fold, in all places."""
    loose = work / "loose"
    loose.mkdir(parents=True)
    taken: dict[tuple[str, str], int] = {}
    lines = ["path,label,fold"]
    for row in csv.DictReader((esc10 / "meta" / "esc50.csv").read_text(encoding="utf-8").splitlines()):
        kind = row["category"], row["fold"]
        taken[kind] = taken.get(kind, 0) + 1
        name = row["filename"]
        if taken[kind] <= clips_of_each:
            shutil.copy(esc10 / "audio" / name, loose / name)
            lines.append(f"{name},{row['category']},{row['fold']}")
    (loose / "list.csv").write_text("\n".join(lines) + "\n")
    (work / "settings.yaml").write_text(SETTINGS)
    with ExitStack() as stack:
        web, bucket = stack.enter_context(object_server.running()), stack.enter_context(s3_server.running())
        arguments = ("data", "pack", "-c", "settings.yaml", "-o", "packed", "--size", "3MB", "--workers", "0", "name=p")
        assert (done := calling.pannsdist(*arguments, cwd=work, env=env)).exit_code == 0, str(done)
        for path in loose.iterdir():
            web.put(f"set/{path.name}", path.read_bytes())
            bucket.put(f"set/{path.name}", path.read_bytes())
        for path in (work / "packed").iterdir():
            bucket.put(f"packed/{path.name}", path.read_bytes())
        yield Places(work, web, bucket)


@pytest.fixture(scope="module")
def few(tmp_path_factory, shared, env):
    yield from filled(tmp_path_factory.mktemp("few") / "work", shared / "data" / "ESC-10", 1, env)


@pytest.fixture(scope="module")
def all_of_them(tmp_path_factory, shared, env):
    yield from filled(tmp_path_factory.mktemp("all") / "work", shared / "data" / "ESC-10", 100, env)


def outcome(work, name):
    """What a run computed: its scores, the record of its data, and the state of its end."""
    folder = work / "runs" / name
    lines = [json.loads(line) for line in (folder / "scores.jsonl").read_text(encoding="utf-8").splitlines()]
    scores = [{key: value for key, value in line.items() if "/" in key} for line in lines]
    return scores, (folder / DATA_FILE).read_bytes(), checkpoints(work, name).load_latest().snapshot


def checkpoints(work, name):
    return CheckpointStore(work / "runs" / name / "checkpoints", keep=1)


def assert_bit_equal(one, other):
    assert len(one[0]) == 2
    assert one[0] == other[0]
    assert one[1] == other[1]
    for mine, theirs in ((one[2].model, other[2].model), (one[2].optimizer, other[2].optimizer)):
        assert mine.keys() == theirs.keys()
        assert all(np.array_equal(value, theirs[key]) for key, value in mine.items())


@pytest.fixture(scope="module")
def trained(few, env):
    """The outcome of one process on loose files."""
    done = calling.train(few.work / "settings.yaml", "name=loose", "data.cache=off", cwd=few.work, env=few.env(env, ""))
    assert done.exit_code == 0, str(done)
    return outcome(few.work, "loose")


@pytest.mark.parametrize("store", STORES)
def test_losses_scores_and_weights_are_equal_to_the_last_bit(few, trained, store, env):
    few.faults(store)
    before = few.failed
    settings = (f"name={store}", "data.cache=off", *few.overrides(store))
    done = calling.train(few.work / "settings.yaml", *settings, cwd=few.work, env=few.env(env, store))
    assert done.exit_code == 0, str(done)
    assert (few.failed > before) == store.startswith("faulty")
    few.web.faults.clear()
    few.bucket.faults.clear()
    assert_bit_equal(outcome(few.work, store), trained)


@pytest.mark.parametrize("store", ["cached", "packed in s3", "http"])
def test_every_store_is_checked(few, store, env):
    settings = ("--workers", "0", "name=c", *few.overrides(store))
    done = calling.pannsdist("data", "check", "-c", "settings.yaml", *settings, cwd=few.work, env=few.env(env, store))
    assert done.exit_code == 0, str(done)
    assert "unreadable: none" in done.output


def test_a_model_that_was_trained_on_16_bit_samples_is_evaluated_on_them(few, env):
    env = few.env(env, "int16")
    settings = ("name=int16", "data.cache_dtype=int16", "select.metric=valid/loss")
    done = calling.train(few.work / "settings.yaml", *settings, cwd=few.work, env=env)
    assert done.exit_code == 0, str(done)
    best = min(outcome(few.work, "int16")[0], key=lambda scores: scores["valid/loss"])
    arguments = ("--model", "runs/int16/best_model", "-c", "settings.yaml", "--format", "json", "name=e")
    done = calling.pannsdist("evaluate", *arguments, cwd=few.work, env=env)
    assert done.exit_code == 0, str(done)
    assert f'"value": {best["valid/loss"]}' in done.output


@pytest.mark.long
@pytest.mark.parametrize("processes", [1, 2, 4])
def test_esc10_from_every_store_with_several_processes(all_of_them, processes, env):
    work, outcomes = all_of_them.work, {}
    for store in ("loose", *STORES):
        name = f"{store} {processes}"
        all_of_them.faults(store)
        settings = (f"name={name}", "data.cache=off", *all_of_them.overrides(store))
        how = {"processes": processes, "cwd": work, "env": all_of_them.env(env, name), "timeout": 900}
        done = launching.train(work / "settings.yaml", *settings, **how)
        assert done.exit_code == 0, f"{store}\n{done}"
        all_of_them.web.faults.clear()
        all_of_them.bucket.faults.clear()
        outcomes[store] = outcome(work, name)
    for store in STORES:
        assert_bit_equal(outcomes[store], outcomes["loose"])


@pytest.mark.long
@pytest.mark.parametrize("store", ["loose", "cached", "packed", "http", "s3", "packed in s3"])
def test_a_run_that_is_killed_in_mid_epoch_ends_with_the_same_bits(all_of_them, store, env):
    work, names = all_of_them.work, (f"whole of {store}", f"killed of {store}")
    for name in names:
        settings = (f"name={name}", "data.cache=off", *all_of_them.overrides(store))
        how = {"processes": 2, "cwd": work, "env": all_of_them.env(env, name)}
        if name == names[1]:
            started = launching.start(launching.TRAIN, "-c", work / "settings.yaml", *settings, **how)
            wait_for_steps(started, work, name, 45)  # of 80, 40 in each epoch
            for process in psutil.Process(started.process.pid).children(recursive=True):
                process.send_signal(signal.SIGKILL)
            started.kill()
        done = launching.train(work / "settings.yaml", *settings, timeout=900, **how)
        assert done.exit_code == 0, f"{name}\n{done}"
    assert_bit_equal(outcome(work, names[1]), outcome(work, names[0]))


def wait_for_steps(started, work, name, steps):
    limit = time.monotonic() + 300
    while started.process.poll() is None and time.monotonic() < limit:
        folders = checkpoints(work, name).folders
        if any(int(path.name.removeprefix("step_")) >= steps for path in folders):
            return
        time.sleep(0.02)
    raise AssertionError(f"no step {steps}: {started.finish(1)}")
