"""The benchmark of recovery: its quick form makes a fault on two hosts, and its table."""

import re
import subprocess
import sys
from pathlib import Path

import network
import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def recovery():
    """The benchmark as a module; its folder is that of a script, where its neighbours are found."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BENCHMARKS))
        import recovery

        yield recovery


@pytest.mark.long
def test_a_lost_host_is_recovered_from_and_the_parts_are_measured():
    if reason := network.missing():
        pytest.skip(reason)
    command = [sys.executable, BENCHMARKS / "recovery.py", "--quick"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    row = re.search(r"^\| node \| (.*) \|$", done.stdout, re.MULTILINE)
    assert row, done.stdout
    cold, ending, gathering, starting, ratio = (float(cell.split()[0]) for cell in row[1].split(" | "))
    assert min(cold, ending, starting, ratio) > 0, row[0]
    assert gathering >= 0, row[0]


def test_recovery_is_the_sum_of_its_parts_and_is_compared_with_the_cold_start_of_its_own_round(recovery):
    found = {"node": [recovery.Times(10.0, 1.0, 1.0, 3.0), recovery.Times(20.0, 5.0, 5.0, 10.0)]}
    assert list(recovery.report(found))[-1] == "| node | 15.0 | 3.0 | 3.0 | 6.5 | 0.75 (0.50-1.00) |"
