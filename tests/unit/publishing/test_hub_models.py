"""A model goes to a hub and comes back: from a small server with the addresses of the Hugging Face Hub."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import requests
import soundfile
from hub_server import READER, WRITER
from small_parts import write_small_bundle

from pannsdist import load_model
from pannsdist.inference.publishing import copies
from pannsdist.runtime.errors import BadBundle, UserError
from pannsdist.runtime.stores import hub as store
from pannsdist.runtime.stores import objects

pytestmark = [
    pytest.mark.any_paddle,
    pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning"),  # of huggingface_hub for httpx
]
NOISE = np.random.default_rng(0).normal(0, 0.1, 4000)


def scores(model):
    return model.predict(NOISE, sample_rate_hz=8000)[0].scores


def next_process(monkeypatch):
    """What a process has looked up is forgotten."""
    monkeypatch.setattr(objects, "_asked", {})
    monkeypatch.setattr(store, "_commits", {})


def test_what_is_published_answers_as_the_folder_does_and_then_without_a_hub(hub, folder, published, monkeypatch):
    assert set(hub.files("me/small")) == {".gitattributes", "README.md", "SHA256SUMS", "bundle.json", "model.pdparams"}
    expected = scores(load_model(folder))
    assert scores(load_model("hf://me/small")) == expected
    hub.asked.clear()
    next_process(monkeypatch)
    assert scores(load_model(f"hf://me/small@{published}")) == expected
    assert hub.asked == []
    monkeypatch.setenv(store.OFFLINE, "1")
    assert scores(load_model("hf://me/small")) == expected
    assert hub.asked == []


def test_a_branch_is_resolved_once_in_a_process_and_its_commit_is_said(hub, published, capsys):
    for _ in range(2):
        load_model("hf://me/small@main")
    assert capsys.readouterr().err.count(f"hf://me/small@main: commit {published}") == 1
    assert sum(path.endswith("/revision/main") for _, path, *_ in hub.asked) == 1


def test_a_branch_that_moved_on_is_fetched_again_and_the_old_commit_stays(hub, folder, published, run, monkeypatch):
    load_model("hf://me/small")
    write_small_bundle(folder, labels=("up", "down"))
    assert run("publish", "--model", folder, "--to", "hf://me/small", "--message", "other labels")[0] == 0
    next_process(monkeypatch)
    assert load_model("hf://me/small").labels == ("up", "down")
    assert load_model(f"hf://me/small@{published}").labels == ("high", "low")
    assert hub.repositories["me/small"].messages[-1] == "other labels"


@pytest.mark.usefixtures("published")
def test_a_branch_of_its_own(folder, run):
    write_small_bundle(folder, labels=("up", "down"))
    assert run("publish", "--model", folder, "--to", "hf://me/small@try")[0] == 0
    assert load_model("hf://me/small@try").labels == ("up", "down")
    assert load_model("hf://me/small").labels == ("high", "low")


def test_a_private_model_needs_a_token_and_the_token_is_never_shown(hub, folder, run, monkeypatch, capsys):
    assert run("publish", "--model", folder, "--to", "hf://me/secret", "--private")[0] == 0
    assert hub.repositories["me/secret"].private
    monkeypatch.setenv("HF_TOKEN", READER)
    assert load_model("hf://me/secret").labels == ("high", "low")
    code, said, complaint = run("publish", "--model", folder, "--to", "hf://me/secret")
    assert code == 2
    assert "a token that may write there" in complaint
    monkeypatch.delenv("HF_TOKEN")
    code, _, more = run("publish", "--model", folder, "--to", "hf://me/secret")
    assert (code, "there is no token" in more) == (2, True)
    next_process(monkeypatch)
    with pytest.raises(UserError, match="there is no such repository, or it needs a token that may read it") as refused:
        load_model("hf://me/secret")
    texts = [said, complaint, more, str(refused.value), capsys.readouterr().err]
    texts += [content.decode("latin-1") for content in hub.files("me/secret").values()]
    assert not [text for text in texts if READER in text or WRITER in text]


def test_a_private_model_does_not_go_into_a_public_repository(hub, folder, published, run):
    code, _, complaint = run("publish", "--model", folder, "--to", "hf://me/small", "--private")
    assert (code, "public; nothing was sent" in complaint) == (2, True)
    assert hub.repositories["me/small"].branches["main"] == published


@pytest.mark.usefixtures("published")
def test_what_is_not_there_is_said_in_words(run, tmp_path):
    cases = {
        "hf://me/nothing": "no such repository",
        "hf://me/small@later": "no such revision",
        f"hf://me/small@{'0' * 40}": "no such revision",
        "hf://me/small/best_model": "no address of a model",
        "hf://me": "no address of a model",
        "hf://datasets/sounds": "no address of a model",
        "hf://../../etc": "no address of a model",
        "s3://bucket/model": "no place of a model",
    }
    soundfile.write(tmp_path / "a.wav", NOISE, 8000)
    for place, words in cases.items():
        code, _, complaint = run("predict", "--model", place, tmp_path / "a.wav")
        assert (code, words in complaint) == (2, True), complaint
        with pytest.raises(UserError, match=words):
            load_model(place)


def test_without_a_network_the_copies_on_this_machine_are_named(published, monkeypatch):
    load_model("hf://me/small")
    next_process(monkeypatch)
    monkeypatch.setenv(store.ENDPOINT, "http://127.0.0.1:9")
    with pytest.raises(UserError, match=f"on this machine: hf://me/small@{published}"):
        load_model("hf://me/small")
    monkeypatch.setenv(store.OFFLINE, "1")
    with pytest.raises(UserError, match="forbids to ask the hub"):
        load_model("hf://me/other")


def test_a_damaged_copy_is_refused_and_so_is_what_comes_damaged(hub, published, monkeypatch):
    folder = Path(copies.model_folder("hf://me/small"))
    for name in ("bundle.json", "model.pdparams"):
        before = (folder / name).read_bytes()
        (folder / name).write_bytes(before[:-1] + b"x")
        with pytest.raises(BadBundle, match=rf"(?s){name} of hf://me/small.*next: rm -r"):
            load_model(f"hf://me/small@{published}")
        (folder / name).write_bytes(before)
    monkeypatch.setenv("PANNSDIST_HOME", str(folder.parents[4] / "other"))
    for name in ("bundle.json", "model.pdparams", "SHA256SUMS"):
        hub.damaged = {name}
        with pytest.raises(BadBundle, match="came damaged"):
            load_model(f"hf://me/small@{published}")
    hub.damaged.clear()
    assert not list((folder.parents[4] / "other").rglob("model.pdparams"))
    load_model(f"hf://me/small@{published}")


def test_names_and_sizes_of_a_repository_cannot_do_harm(hub, published, tmp_path):
    repository, good = hub.repositories["me/small"], hub.files("me/small", published)
    evil = {
        "../../../evil.txt": b"out",
        "/tmp/evil.txt": b"out",
        "evil.py": b"raise SystemExit",
        "a/bundle.json": b"{}",
    }
    repository.commit("evil", {**good, **evil})
    assert load_model("hf://me/small@evil").labels == ("high", "low")
    assert not list(tmp_path.rglob("evil*")) or [one.name for one in tmp_path.rglob("evil*")] == ["evil"]
    assert not any("evil.txt" in path or "evil.py" in path for _, path, *_ in hub.asked)
    sums = good["SHA256SUMS"] + b"0" * 64 + b"  ../evil.txt\n"
    repository.commit("sums", {**good, "SHA256SUMS": sums})
    with pytest.raises(BadBundle, match="is not one that `pannsdist publish` writes"):
        load_model("hf://me/small@sums")
    hub.sizes["model.pdparams"] = 1 << 50
    repository.commit("large", good)
    with pytest.raises(BadBundle, match=r"has 1,125,899,906,842,624 bytes(?s:.*)at most"):
        load_model("hf://me/small@large")
    hub.sizes = {"bundle.json": 10}
    repository.commit("short", good)
    with pytest.raises(UserError, match=r"came damaged|changed while"):
        load_model("hf://me/small@short")
    del hub.sizes["bundle.json"]
    repository.commits["0" * 40] = {"README.md": b"a model of somebody else"}
    repository.branches["other"] = "0" * 40
    with pytest.raises(BadBundle, match=r"is no model of pannsdist: it has no bundle\.json"):
        load_model("hf://me/small@other")


def test_a_card_that_was_edited_on_the_hub_changes_nothing(hub, published):
    edited = {**hub.files("me/small", published), "README.md": b"words of its author"}
    hub.repositories["me/small"].commit("main", edited)
    assert load_model("hf://me/small").labels == ("high", "low")
    assert not any(path.endswith("README.md") for _, path, *_ in hub.asked)


@pytest.mark.usefixtures("published")
def test_a_plugin_that_is_missing_is_named_with_its_installation(monkeypatch):
    monkeypatch.setattr(sys, "path", [one for one in sys.path if not one.endswith("site")])
    with pytest.raises(BadBundle, match=r"(?s)model 'small', which is not installed.*pip install small-parts==1\.0"):
        load_model("hf://me/small")


@pytest.mark.usefixtures("published")
def test_the_commands_of_a_folder_take_the_address(run, tmp_path):
    sound = tmp_path / "a.wav"
    soundfile.write(sound, NOISE, 8000)
    for command in ("predict", "tag", "detect"):
        code, said, complaint = run(command, "--model", "hf://me/small", sound, "--format", "json")
        assert code == 0, complaint
        assert "a.wav" in json.dumps(json.loads(said))
    code, said, complaint = run("evaluate", "--model", "hf://me/small", "-c", "recipe:demo")
    assert (code, "the labels of the dataset differ" in complaint) == (2, True), complaint


@pytest.mark.slow
def test_a_process_without_a_network_predicts_from_the_copy(hub, published, tmp_path):
    copies.model_folder("hf://me/small")
    soundfile.write(tmp_path / "a.wav", NOISE, 8000)
    env = {**os.environ, store.OFFLINE: "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    hub.asked.clear()
    command = [sys.executable, "-m", "pannsdist", "predict", "--model", "hf://me/small", tmp_path / "a.wav"]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=300)
    assert (done.returncode, hub.asked) == (0, []), done.stderr
    assert f"commit {published}, as last asked for" in done.stderr


@pytest.mark.slow
@pytest.mark.usefixtures("hub", "published")
def test_a_server_answers_with_a_model_of_a_hub_by_the_name_of_its_repository(tmp_path):
    pytest.importorskip("uvicorn", reason="not installed: pip install 'pannsdist[serve]'")
    soundfile.write(tmp_path / "a.wav", NOISE, 8000)
    expected = load_model("hf://me/small").predict(tmp_path / "a.wav")[0].scores
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-m", "pannsdist", "serve", "--model", "hf://me/small@main", "--port", "0"]
    with subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as server:
        try:
            address = server.stdout.readline().split()[1]
            with (tmp_path / "a.wav").open("rb") as file, requests.Session() as session:
                session.trust_env = False
                reply = session.post(f"{address}v1/predict", files={"file": file}, timeout=60).json()
        finally:
            server.terminate()
            server.communicate(timeout=60)
    assert reply["model"] == "small"
    assert {one["label"]: one["score"] for one in reply["results"][0]["scores"]} == pytest.approx(expected, abs=1e-6)
