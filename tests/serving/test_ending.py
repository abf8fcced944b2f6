"""How a server starts and ends."""

import os
import shutil
import signal
import subprocess
import threading
import time

import psutil
import pytest
import requests
import served
from served_models import write_model


def options(folders, *more):
    return ("--model", folders["plain"], "--engine", "dygraph", *more)


def test_sigterm_answers_what_is_under_way_refuses_the_rest_and_ends_with_0(folders, environment, slow):
    with served.Server(*options(folders), env=environment) as server:
        found = []
        asking = threading.Thread(target=lambda: found.append(_posted(server, slow)))
        asking.start()
        server.wait_for("pannsdist_requests_pending", 1)
        server.process.send_signal(signal.SIGTERM)
        until = time.monotonic() + served.END_S
        while (ready := server.ask("GET", "/readyz")).status == 200:
            assert time.monotonic() < until
        assert (ready.status, ready.code) == (503, "stopping")
        refused = server.post("/v1/predict", ("a.wav", b"x"))
        assert (refused.status, refused.code, refused.headers["Retry-After"]) == (503, "stopping", "1")
        asking.join()
        assert found[0].status_code == 200
        assert found[0].json()["results"][0]["scores"]
        assert server.process.wait(served.END_S) == 0
        with pytest.raises(OSError):
            server.connected()


def _posted(server, path):
    with path.open("rb") as file:
        return requests.post(f"{server.address}/v1/predict", files={"file": file}, timeout=served.END_S)


def test_a_model_folder_replaced_while_serving_changes_nothing(tmp_path, environment, sounds):
    folder = write_model(tmp_path / "run" / "best_model", "TinyEmbedded", 5)
    with served.Server("--model", folder, env=environment) as server:
        (before,) = server.results("/v1/predict", sounds[0])
        write_model(folder, "TinyEmbedded", 6)
        (after,) = server.results("/v1/predict", sounds[0])
        assert [one["score"] for one in after["scores"]] == pytest.approx([one["score"] for one in before["scores"]])
        shutil.rmtree(folder)
        assert server.results("/v1/embed", sounds[0])
        assert server.stop() == 0
    write_model(folder, "TinyEmbedded", 6)
    with served.Server("--model", folder, env=environment) as server:
        (new,) = server.results("/v1/predict", sounds[0])
    assert new["scores"] != before["scores"]


def test_workers_share_the_port_add_up_their_counters_and_one_that_dies_is_replaced(folders, environment, sounds):
    with served.Server(*options(folders, "--workers", "2"), env=environment) as server:
        workers = _workers(server.process)
        assert len(workers) == 2
        for _ in range(20):
            assert server.results("/v1/predict", sounds[0])
            server.session.close()  # another connection, which either of them may take
        assert server.metric("pannsdist_sound_seconds_total") == pytest.approx(20 * 3.3, abs=0.1)
        workers[0].kill()
        until = time.monotonic() + served.START_S
        while len(replaced := _workers(server.process)) < 2 or workers[0] in replaced:
            assert time.monotonic() < until
            time.sleep(0.05)
        assert server.results("/v1/predict", sounds[0])
        assert server.stop() == 0
        assert not [worker for worker in replaced if worker.is_running()]
        assert "another one starts" in server.errors


def test_sigterm_while_workers_are_started_ends_all_of_them(folders, environment):
    words = [*served.COMMAND, *map(str, options(folders, "--workers", "9"))]
    env = {**os.environ, **environment}
    with subprocess.Popen(words, stderr=subprocess.PIPE, env=env, start_new_session=True) as process:
        until = time.monotonic() + served.START_S
        while not (workers := _workers(process)):
            assert time.monotonic() < until
        process.send_signal(signal.SIGTERM)
        try:
            _, errors = process.communicate(timeout=served.END_S)
        finally:
            process.kill()
    assert (process.returncode, b"Traceback" in errors) == (0, False), errors
    assert psutil.wait_procs(workers, served.END_S)[1] == []


def _workers(process):
    children = psutil.Process(process.pid).children()
    alive = [child for child in children if child.status() != psutil.STATUS_ZOMBIE]
    return [child for child in alive if "resource_tracker" not in " ".join(child.cmdline())]


@pytest.mark.parametrize(
    ("arguments", "env", "said"),
    [
        ("--model {plain} --model {plain}", {}, "two models have the name 'plain'"),
        ("--model none/best_model", {}, "none/best_model"),
        ("--model {plain} --host 256.1.1.1", {}, "cannot listen on 256.1.1.1"),
        ("--model {plain} --port {taken}", {}, "cannot listen on 127.0.0.1, port"),
        ("--model {plain}", {"PANNSDIST_TOKEN": ""}, "PANNSDIST_TOKEN is empty"),
        ("--model {plain} --timeout-s 0", {}, "too little"),
        ("", {}, "--model"),
    ],
    ids=["names", "folder", "host", "port", "token", "limit", "model"],
)
def test_what_cannot_be_served_is_refused_with_exit_code_2(refused, names, arguments, env, said):
    printed = refused(arguments.format(**names), env)
    assert said in printed
    assert "Traceback" not in printed


@pytest.fixture
def names(folders, server):
    """A model folder, and a port that is taken."""
    return {"plain": folders["plain"], "taken": server.port}


@pytest.fixture
def refused(environment, tmp_path):
    """Runs the command with these arguments; gives what it prints."""

    def run(arguments, env):
        words, env = [*served.COMMAND, *arguments.split()], {**os.environ, **environment, **env}
        how = {"capture_output": True, "text": True, "timeout": served.START_S}
        ended = subprocess.run(words, cwd=tmp_path, env=env, check=False, **how)
        assert ended.returncode == 2, ended.stdout + ended.stderr
        return ended.stderr

    return run


def test_without_the_extra_the_command_says_what_to_install(refused, folders, environment, tmp_path):
    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.modules['uvicorn'] = None\n")
    found = f"{tmp_path}:{environment['PYTHONPATH']}"
    printed = refused(f"--model {folders['plain']}", {"PYTHONPATH": found})
    assert "the server needs uvicorn" in printed
    assert "next: pip install 'pannsdist[serve]'" in printed
