"""A full disk on the main node, and clocks that are off by an hour, on machines that share no disk."""

import json
import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import jobs
import ledger
import pytest
import small_disks

pytestmark = pytest.mark.long

HOUR_S = 3600
LIBRARY = Path(__file__).with_name("wrong_clock.c")


@pytest.fixture
def start(hosts, work, env):
    """Starts the command on all machines, each with a working folder of its own; they note in the one ledger."""
    folders = [work]
    for number in (2, 3):
        folder = work.parent / f"disk_{number}" / "work"
        folder.mkdir(parents=True)
        (folder / ledger.FOLDER).symlink_to(work / ledger.FOLDER)
        folders.append(folder)

    def start(*environments):
        typed = jobs.command("3", hosts[0].address)
        settings = environments or ({}, {}, {})
        places = zip(hosts, folders, settings, strict=True)
        return [host.start(*typed, cwd=folder, env={**env, **own}) for host, folder, own in places]

    return start


@pytest.fixture
def runs(work):
    """The folder of the runs of the main node, on a small disk of its own."""
    folder = work / "runs"
    folder.mkdir()
    if not small_disks.mount(folder, "8M"):
        pytest.skip("a small disk needs the right to mount it")
    yield folder
    small_disks.unmount(folder)


def fill(path):
    with path.open("wb", buffering=0) as file:
        for size in (1 << 20, 1 << 12, 1):
            try:
                while file.write(bytes(size)) == size:
                    pass
            except OSError:
                continue


def test_after_a_full_disk_the_same_command_continues(start, work, runs, undisturbed, faults):
    commands = start()
    jobs.wait_for_steps(commands, work, 3)
    fill(runs / "filler")
    codes = [one.wait() for one in commands]
    output = "\n\n".join(one.output for one in commands)
    assert codes == [2, 2, 2], output
    for one in commands:
        assert re.search(r"cannot write runs/hosts/\S+: No space left on device", one.output), output
        assert re.search("free disk space|make room in", one.output), output
        assert "Traceback" not in one.output
    (runs / "filler").unlink()
    again = start()
    with faults.measured("full disk", again, work):
        pass
    codes = [one.wait() for one in again]
    assert codes == [0, 0, 0], "\n\n".join(one.output for one in again)
    faults.compare("full disk", work, undisturbed)


@pytest.fixture(scope="session")
def clock(tmp_path_factory):
    """Makes the environment of processes whose clock is ahead by so many seconds."""
    if (compiler := shutil.which("cc")) is None:
        pytest.skip("no C compiler")
    library = tmp_path_factory.mktemp("clock") / "wrong_clock.so"
    subprocess.run([compiler, "-shared", "-fPIC", "-O2", "-o", library, LIBRARY], check=True)
    return lambda seconds: {"LD_PRELOAD": str(library), "CLOCK_AHEAD_S": str(seconds)}


def test_clocks_that_are_off_by_an_hour_change_nothing(hosts, start, work, *, undisturbed, clock, faults):
    commands = start(clock(-HOUR_S), clock(HOUR_S), {})
    jobs.wait_for_steps(commands, work, 3)
    with faults.measured("clock", commands, work):
        os.kill(hosts[1].ranks[0], signal.SIGKILL)
    codes = [one.wait() for one in commands]
    assert codes == [0, 0, 0], "\n\n".join(one.output for one in commands)
    assert "restart 1 of 3" in commands[0].output
    faults.compare("clock", work, undisturbed)
    for host, command in zip(hosts, commands, strict=True):
        assert abs(noted_s(host, command) - (time.time() - HOUR_S)) < HOUR_S / 2, "not by the clock of the main node"


def noted_s(host, command):
    """When a process of a machine printed its last line, as its supervisor noted that."""
    times = command.cwd / "runs" / "hosts" / "log" / f"node-{host.address}" / "times.jsonl"
    return json.loads(times.read_text().splitlines()[-1])["time"]
