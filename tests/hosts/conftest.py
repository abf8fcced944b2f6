"""Machines of network namespaces, and the run of three processes on one machine that their runs are compared with."""

from pathlib import Path

import fault_table
import jobs
import launching
import network
import pytest
import tiny

from pannsdist.runtime import cpu


@pytest.fixture(scope="session")
def machines():
    """Three machines; a test must leave no process on them."""
    if reason := network.missing():
        pytest.skip(reason)
    with network.hosts(3) as found:
        yield found


@pytest.fixture
def hosts(machines):
    yield machines
    left = {host.namespace: host.processes for host in machines}
    for host in machines:
        host.kill()
        host.plug(True)
    assert not any(left.values()), f"processes are left: {left}"


@pytest.fixture(scope="session")
def faults():
    """The table of the documentation, which gets the figures of the faults of this session."""
    return fault_table.FaultTable()


@pytest.fixture(scope="session")
def env(tmp_path_factory):
    """The plugins of `tiny` are installed; each process has one thread, on which the last digits of a sum depend."""
    one_thread = {cpu.THREADS: "1", cpu.FREE_THREADS: ""}
    return {**tiny.install(tmp_path_factory.mktemp("tiny") / "site"), **one_thread}


@pytest.fixture
def work(tmp_path) -> Path:
    """A new working folder, shared by the machines."""
    return jobs.working_folder(tmp_path)


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory, env):
    """Working folder of a run of three processes on one machine."""
    return _undisturbed(tmp_path_factory.mktemp("undisturbed"), env, jobs.SETTINGS)


@pytest.fixture(scope="session")
def undisturbed_plain(tmp_path_factory, env):
    """That of a run without batch norm."""
    return _undisturbed(tmp_path_factory.mktemp("plain"), env, jobs.PLAIN)


@pytest.fixture(scope="session")
def undisturbed_long(tmp_path_factory, env):
    """That of a run without batch norm, of many steps."""
    return _undisturbed(tmp_path_factory.mktemp("long"), env, jobs.LONG)


@pytest.fixture(scope="session")
def undisturbed_short(tmp_path_factory, env):
    """That of a run of a few steps."""
    return _undisturbed(tmp_path_factory.mktemp("short"), env, jobs.SHORT)


def _undisturbed(folder: Path, env, settings) -> Path:
    work = jobs.working_folder(folder)
    typed = ("train", "-c", "recipe:tones_cnn6", "--nproc", 3, *settings)
    done = launching.pannsdist(*typed, cwd=work, env=env, timeout=network.LIMIT_S)
    assert done.exit_code == 0, done.output
    assert not jobs.lost_clips(work, jobs.newest_step(work))[1]
    return work
