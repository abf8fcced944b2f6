"""The benchmark of several processes: its quick form with two, and how it sums up what the processes measured."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def scaling():
    """The benchmark as a module; its folder is that of a script, where its neighbours are found."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BENCHMARKS))
        import scaling

        yield scaling


def test_the_step_of_two_processes_is_split_into_parts():
    command = [sys.executable, BENCHMARKS / "scaling.py", "--quick", "--arms", "2 processes"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    row = re.search(r"^\| 2 processes \| (.*) \|$", done.stdout, re.MULTILINE)
    assert row, done.stdout
    speed, compute, communication, waiting, cpu = (float(cell.split()[0]) for cell in row[1].split(" | "))
    assert speed > 0 and compute > 0 and communication > 0 and waiting >= 0 and cpu > 0, row[0]


def test_the_parts_of_a_step_are_means_over_processes_and_their_speeds_add_up(scaling):
    processes = [
        {"step": [2.0, 4.0], "communication": [0.25, 0.25], "waiting": [0.5, 0.5], "cpu": [1.0, 2.0]},
        {"step": [1.0, 2.0], "communication": [0.75, 0.75], "waiting": [0.0, 0.0], "cpu": [0.5, 0.5]},
    ]
    assert scaling.combined(processes, clips=6) == scaling.Step(1.5, 0.5, 0.25, clips_per_s=2.0 + 4.0, cpu=1.0)


def test_two_processes_of_a_run_are_compared_with_two_independent_ones_within_each_round(scaling):
    steps = {
        name: [scaling.Step(1.0, 0.1, 0.1, speed, 20.0 / speed) for speed in speeds] for name, speeds in SPEEDS.items()
    }
    found = {scaling.ARMS[name]: values for name, values in steps.items()}
    lines = [line.strip() for line in scaling.report(found)]
    assert "clips/s of 2 processes of one run to 2 independent, median of the rounds: 0.90 (0.50-0.95)" in lines
    assert (
        "clips per CPU second of 2 processes of one run to 2 independent, median of the rounds: 0.90 (0.50-0.95)"
        in lines
    )
    parts = "1000 (1000-1000) | 100 (100-100) | 100 (100-100) | 1000 (500-2000)"
    assert f"| 2 independent | 20.0 (10.0-40.0) | {parts} |" in lines


SPEEDS = {"2 independent": [10.0, 20.0, 40.0], "2 processes": [9.0, 19.0, 20.0]}


def test_one_that_fails_ends_the_arm_although_another_would_go_on(scaling):
    started = [subprocess.Popen([sys.executable, "-c", code]) for code in ("import time; time.sleep(600)", "exit(3)")]
    try:
        with pytest.raises(RuntimeError, match="a process failed with code 3"):
            scaling.wait(started)
    finally:
        for process in started:
            process.kill()
            process.wait()
