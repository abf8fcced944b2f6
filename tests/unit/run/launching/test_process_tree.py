"""Processes below this one, also those whose parent has ended, and none left behind."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pannsdist.run.launching import process_tree
from pannsdist.run.launching.job_pool import Job, JobPool

SLEEPS = "import time; time.sleep(600)"
WITH_CHILD = f"""
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", {SLEEPS!r}])
print(child.pid, flush=True)
time.sleep(600)
"""
ADOPTS = f"""
import os, subprocess, sys
from pannsdist.run.launching import process_tree
process_tree.adopt_orphans()
parent = subprocess.Popen([sys.executable, "-c", {WITH_CHILD!r}], stdout=subprocess.PIPE, text=True)
orphan = int(parent.stdout.readline())
parent.kill()
parent.wait()
print(orphan in process_tree.descendants(os.getpid()))
process_tree.kill_descendants(os.getpid())
process_tree.reap()
print(process_tree.descendants(os.getpid()))
"""
TIED = f"""
import subprocess, sys, time
from pannsdist.run.launching import process_tree
child = subprocess.Popen([sys.executable, "-c", {SLEEPS!r}], preexec_fn=process_tree.end_with_parent)
print(child.pid, flush=True)
time.sleep(600)
"""

pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")


def is_running(number):
    try:
        return Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def wait_until_gone(number):
    limit = time.monotonic() + 20
    while is_running(number):
        assert time.monotonic() < limit
        time.sleep(0.01)


def test_children_of_children_are_found_and_killed():
    with subprocess.Popen([sys.executable, "-c", WITH_CHILD], stdout=subprocess.PIPE, text=True) as parent:
        child = int(parent.stdout.readline())
        assert process_tree.descendants(parent.pid) == [child]
        process_tree.kill_descendants(parent.pid)
        wait_until_gone(child)
        assert parent.poll() is None
        parent.kill()


def test_an_orphan_is_found_and_killed():
    done = subprocess.run([sys.executable, "-c", ADOPTS], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.split() == ["True", "[]"]


def test_a_tied_process_ends_with_its_parent():
    with subprocess.Popen([sys.executable, "-c", TIED], stdout=subprocess.PIPE, text=True) as parent:
        child = int(parent.stdout.readline())
        os.kill(parent.pid, signal.SIGKILL)
        wait_until_gone(child)


class KillsAtFirstLine:
    """Kills the jobs of a pool as soon as one has printed."""

    def __init__(self, pool):
        self.pool, self.results = pool, []

    def on_start(self, job):
        pass

    def on_poll(self, job):
        if job.log.read_text():
            self.pool.kill()

    def on_end(self, result):
        self.results.append(result)


def test_a_pool_kills_its_jobs_with_all_that_they_started(tmp_path):
    pool = JobPool([{}])
    watching = KillsAtFirstLine(pool)
    pool.run([Job("one", [sys.executable, "-c", WITH_CHILD], tmp_path / "log", tied=True)], watching)
    assert watching.results[0].exit_code == 128 + signal.SIGKILL
    wait_until_gone(int((tmp_path / "log").read_text()))
