"""The launcher's files are closed first of all; a folder that it did not make is left as it is."""

import os
import stat
import subprocess
import sys

from launching import PROJECT, TRAIN

LAUNCHER = """
import os, subprocess, sys, time
time.sleep(0.1)
os.umask(0o022)
place = os.environ["PADDLE_LOG_DIR"]
os.makedirs(place, exist_ok=True)
for name in ("envlog.0", "workerlog.0", "workerlog.init.1", "backup_env.1.json", "job.pod123.log"):
    open(os.path.join(place, name), "a").write("AWS_SECRET=1")
sys.exit(subprocess.call(sys.argv[2:]))
"""
"""Does what Paddle's launcher does before it starts a process; the last argument of its own makes it look like it."""
OTHERS = ("notes.2024.log", "job.other1.log", "workerlog.txt")


def launch(place, *command, **env):
    arguments = [sys.executable, "-c", LAUNCHER, "paddle.distributed.launch", sys.executable, *map(str, command)]
    environment = {"PADDLE_LOG_DIR": str(place), "POD_NAME": "pod123", "PADDLE_TRAINERS_NUM": "2", **env}
    return subprocess.run(
        arguments, env={**os.environ, **environment}, cwd=PROJECT, capture_output=True, text=True, check=False
    )


def close(place, **env):
    done = launch(place, "-c", "from pannsdist.runtime import launcher_logs; launcher_logs.close()", **env)
    assert done.returncode == 0, done.stderr


def modes(place):
    return {path.name: stat.S_IMODE(path.lstat().st_mode) for path in place.iterdir()}


def test_the_launchers_own_folder_is_closed_with_its_files(tmp_path):
    close(tmp_path / "log")
    assert stat.S_IMODE((tmp_path / "log").stat().st_mode) == 0o700
    assert set(modes(tmp_path / "log").values()) == {0o600}
    assert len(modes(tmp_path / "log")) == 5


def test_a_folder_that_was_there_keeps_its_mode_and_what_is_not_the_launchers(tmp_path):
    place = tmp_path / "shared"
    place.mkdir()
    place.chmod(0o775)
    for name in OTHERS:
        (place / name).touch(0o644)
    (tmp_path / "elsewhere").touch(0o644)
    (place / "envlog.7").symlink_to("../elsewhere")
    close(place)
    assert stat.S_IMODE(place.stat().st_mode) == 0o775
    found = modes(place)
    assert {name: found.pop(name) for name in OTHERS} == dict.fromkeys(OTHERS, 0o644)
    del found["envlog.7"]
    assert stat.S_IMODE((tmp_path / "elsewhere").stat().st_mode) == 0o644
    assert set(found.values()) == {0o600}


def test_settings_that_are_refused_leave_nothing_open(tmp_path):
    done = launch(tmp_path / "log", TRAIN, "-c", tmp_path / "nowhere.yaml")
    assert (done.returncode, "no settings file" in done.stderr) == (2, True)
    assert set(modes(tmp_path / "log").values()) == {0o600}


def test_the_users_umask_is_restored_after_a_private_start(tmp_path):
    code = "import os; from pannsdist.runtime import launcher_logs; launcher_logs.close(); open({!r}, 'w')"
    code += "; assert 'PANNSDIST_UMASK' not in os.environ"
    made = tmp_path / "made"
    command = [sys.executable, "-c", "import os; os.umask(0o077)\n" + code.format(str(made))]
    subprocess.run(command, env={**os.environ, "PANNSDIST_UMASK": "0002"}, cwd=PROJECT, check=True)
    assert stat.S_IMODE(made.stat().st_mode) == 0o664
