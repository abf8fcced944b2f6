"""A proof that is stopped leaves no process and no file behind."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pannsdist.run.launching.process_tree import descendants

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_proof_that_is_stopped_leaves_nothing_behind(tmp_path, number):
    command = [sys.executable, "-W", "ignore", "-m", "pannsdist", "doctor", "--prove"]
    proof = subprocess.Popen(
        command, env={**os.environ, "TMPDIR": str(tmp_path)}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    while not (started := descendants(proof.pid)) or not list(tmp_path.iterdir()):
        assert proof.poll() is None, proof.stdout.read()
        time.sleep(0.05)
    proof.send_signal(number)
    proof.communicate()
    assert proof.returncode == 128 + number
    assert not [child for child in started if Path(f"/proc/{child}").exists()]
    assert not list(tmp_path.iterdir())
