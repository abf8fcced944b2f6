"""The history of a run: commands, software, and the commit of a checkout, with and without git."""

import json
import os
import subprocess

import pytest

from pannsdist.run import history
from pannsdist.runtime.errors import BadRunFolder


def git(folder, *arguments):
    own = {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null"}
    author = ("-c", "user.name=a", "-c", "user.email=a@example.org")
    subprocess.run(["git", *author, *arguments], cwd=folder, check=True, capture_output=True, env=os.environ | own)


def test_a_start_has_the_commit_of_the_checkout_and_a_mark_for_changed_files(tmp_path, monkeypatch):
    (tmp_path / "work").mkdir()
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    assert history.commit(tmp_path / "work") == ""
    git(tmp_path, "init", "-q")
    assert history.commit(tmp_path) == ""
    (tmp_path / "file").write_text("one")
    git(tmp_path, "add", "file")
    git(tmp_path, "commit", "-q", "-m", "first")
    found = history.commit(tmp_path)
    assert len(found) == 12
    (tmp_path / "file").write_text("two")
    assert history.commit(tmp_path) == f"{found}+"


def test_a_slow_or_missing_git_holds_no_run(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert history.commit(tmp_path) == ""
    slow = tmp_path / "git"
    slow.write_text("#!/bin/sh\n/bin/sleep 3\necho 0123456789ab\n")
    slow.chmod(0o755)
    monkeypatch.setattr(history, "GIT_LIMIT_S", 0.2)
    assert history.commit(tmp_path) == ""


def test_starts_are_added_and_a_new_one_is_not_finished(tmp_path, monkeypatch):
    monkeypatch.setenv("PANNSDIST_COMMAND", "pannsdist train -c https://me:secret@example.org/a.yaml")
    assert history.read_history(tmp_path) == history.History()
    history.add_start(tmp_path)
    history.set_finished(tmp_path)
    assert history.read_history(tmp_path).is_finished
    history.add_start(tmp_path)
    found = history.read_history(tmp_path)
    assert (len(found.starts), found.is_finished) == (2, False)
    assert found.starts[0].command == "pannsdist train -c https://***@example.org/a.yaml"
    monkeypatch.setattr(history, "KEPT_STARTS", 3)
    for _ in range(3):
        history.add_start(tmp_path)
    assert len(history.read_history(tmp_path).starts) == 3
    assert history.read_history(tmp_path).starts[0] == found.starts[0]


@pytest.mark.parametrize(
    "content", ["", "[]", '{"format": 1}', json.dumps({"format": 1, "starts": [{}], "finished": 1})]
)
def test_a_damaged_history_is_named(tmp_path, content):
    (tmp_path / "history.json").write_text(content)
    with pytest.raises(BadRunFolder, match=r"history\.json"):
        history.read_history(tmp_path)
