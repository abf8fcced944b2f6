"""Runs on sounds of a web server and of S3 have the bits of one on loose files, whatever passing faults there are."""

import json

import calling
import numpy as np
import object_server
import pytest
import s3_server
import soundfile
from fake_model import RATE_HZ

from pannsdist.run.data_record import DATA_FILE
from pannsdist.runtime.stores import extras, objects
from pannsdist.training.checkpoint import CheckpointStore

SETTINGS = """\
name: NAME
model: {name: tiny}
data: {name: manifest, workers: 0, params: {path: sounds/list.csv}}
train: {epochs: 2, batch_size: 4, crop_s: 0.1}
augment: {gain: {}}
valid: {batch_size: 2}
optimizer: {learning_rate: 0.01}
schedule: {name: constant, warmup_epochs: 0}
trackers: {visualdl: null}
"""
CLIPS = 24
TOKEN = "word-of-mine"


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """A working folder with sounds of which crops are drawn."""
    folder = tmp_path_factory.mktemp("stores")
    (folder / "sounds").mkdir()
    lines, generator = ["path,label,split"], np.random.default_rng(3)
    for number in range(CLIPS):
        label, time_s = ("high", "low")[number % 2], np.arange(RATE_HZ // 2) / RATE_HZ
        tone = 0.3 * np.sin(2 * np.pi * {"high": 2500, "low": 400}[label] * time_s)
        name = f"{number}.{('wav', 'ogg', 'flac')[number % 3]}"
        soundfile.write(folder / "sounds" / name, tone + generator.uniform(-0.1, 0.1, len(tone)), RATE_HZ)
        lines.append(f"{name},{label},{'valid' if number % 6 < 2 else 'train'}")
    (folder / "sounds" / "list.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (folder / "settings.yaml").write_text(SETTINGS, encoding="utf-8")
    return folder


@pytest.fixture
def server(work):
    with object_server.running() as running:
        for path in (work / "sounds").iterdir():
            running.put(f"top/{path.name}", path.read_bytes())
        yield running


@pytest.fixture
def run(work, env, tmp_path, monkeypatch):
    """Runs a command with an empty cache of its own."""
    monkeypatch.setattr(objects, "_asked", {})
    monkeypatch.setattr(extras, "_opened", {})
    own = {**env, "PANNSDIST_HOME": str(tmp_path / "home"), "PANNSDIST_STORE_PATIENCE_S": "20"}

    def called(name, url, *overrides, **variables):
        settings = (f"name={name}", f"data.params.path={url}", *overrides)
        return calling.train(work / "settings.yaml", *settings, cwd=work, env={**own, **variables})

    return called


@pytest.fixture(scope="module")
def loose(work, env):
    done = calling.train(work / "settings.yaml", "name=loose", cwd=work, env=env)
    assert done.exit_code == 0, str(done)
    return outcome(work, "loose")


def outcome(work, name):
    """The scores and losses of a run, the record of its data, and the weights of its end."""
    folder = work / "runs" / name
    lines = [json.loads(line) for line in (folder / "scores.jsonl").read_text(encoding="utf-8").splitlines()]
    scores = [{key: value for key, value in line.items() if "/" in key} for line in lines]
    model = CheckpointStore(folder / "checkpoints", keep=1).load_latest().snapshot.model
    return scores, (folder / DATA_FILE).read_bytes(), {key: value.tobytes() for key, value in model.items()}


def test_a_web_server_that_fails_now_and_then_gives_the_bits_of_loose_files(work, loose, run, server):
    server.faults += [
        object_server.every(7, object_server.status(503)),
        object_server.every(11, object_server.reset),
        object_server.every(13, object_server.half),
    ]
    done = run("web", server.url(f"top/list.csv?token={TOKEN}"), "data.workers=1")
    assert done.exit_code == 0, str(done)
    assert outcome(work, "web") == loose
    found = [
        path for path in (work / "runs" / "web").rglob("*") if path.is_file() and TOKEN.encode() in path.read_bytes()
    ]
    assert (found, TOKEN in done.output) == ([], False), "no file of the run and no line of output holds the token"


def test_a_bucket_gives_the_bits_of_loose_files(work, loose, run):
    pytest.importorskip("s3fs", reason="s3fs is not installed: pip install 'pannsdist[s3]'")
    pytest.importorskip("moto.server", reason="moto is not installed: pip install 'moto[s3,server]'")
    with s3_server.running() as moto:
        for path in (work / "sounds").iterdir():
            moto.put(f"top/{path.name}", path.read_bytes())
        done = run("bucket", "s3://sounds/top/list.csv", **moto.env)
    assert done.exit_code == 0, str(done)
    assert outcome(work, "bucket") == loose


def test_an_outage_ends_a_run_that_skips_bad_clips_and_the_same_command_continues_with_a_new_token(
    work, loose, run, server
):
    def down(handler):
        return handler.command == "GET" and handler.key.endswith("flac") and handler.send(503, {})

    server.faults.append(down)
    signed, skip = [server.url(f"top/list.csv?token={TOKEN}{number}") for number in (1, 2)], "data.on_bad_clip=skip"
    done = run("outage", signed[0], skip, PANNSDIST_STORE_PATIENCE_S="0.3")
    assert (done.exit_code, "Traceback" in done.output) == (2, False), str(done)
    assert "the server responded 503" in done.output
    server.faults.clear()
    done = run("outage", signed[1], skip)
    assert done.exit_code == 0, str(done)
    assert outcome(work, "outage") == loose


def test_the_check_and_inference_read_a_web_server(work, loose, env, tmp_path, server):
    own = {**env, "PANNSDIST_HOME": str(tmp_path / "home")}
    url = f"data.params.path={server.url('top/list.csv')}"
    done = calling.pannsdist("data", "check", "-c", "settings.yaml", url, "--workers", "0", cwd=work, env=own)
    assert (done.exit_code, "unreadable: none" in done.output) == (0, True), str(done)
    assert loose
    sounds = [server.url("top/1.ogg?token=" + TOKEN), "sounds/1.ogg"]
    command = ("predict", "--model", "runs/loose/best_model", *sounds, "--format", "jsonl")
    done = calling.pannsdist(*command, cwd=work, env=own)
    assert done.exit_code == 0, str(done)
    one, other = (json.loads(line) for line in done.output.splitlines() if line.startswith("{"))
    assert TOKEN not in done.output
    assert {key: value for key, value in one.items() if key != "path"} == {
        key: value for key, value in other.items() if key != "path"
    }
