"""Each session of the tests has a folder of its own, and removes what killed ones left."""

import os
import subprocess
import sys

import session_folder


def test_two_sessions_have_two_folders(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTEST_DEBUG_TEMPROOT", str(tmp_path))
    first, second = session_folder.make(), session_folder.make()
    assert first != second
    session_folder.remove(first)
    assert list(tmp_path.iterdir()) == [second]


def test_what_a_killed_session_left_is_removed_later_and_that_of_a_living_one_is_not(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTEST_DEBUG_TEMPROOT", str(tmp_path))
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    killed, recent, living = (
        tmp_path / f"{session_folder.PREFIX}{name}"
        for name in (f"{ended.pid}-old", f"{ended.pid}-new", f"{os.getpid()}-old")
    )
    for folder in (killed, recent, living):
        (folder / "deep").mkdir(parents=True)
    for folder in (killed, living):
        os.utime(folder, (0, 0))
    made = session_folder.make()
    assert set(tmp_path.iterdir()) == {recent, living, made}


def test_this_session_uses_it(request, tmp_path):
    given = request.config.invocation_params.args
    if not any(str(one).startswith("--basetemp") for one in given) and not hasattr(request.config, "workerinput"):
        assert any(part.startswith(session_folder.PREFIX) for part in tmp_path.parts)
