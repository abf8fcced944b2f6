"""Machines of network namespaces, and the run of three processes on one machine that their runs are compared with."""

from pathlib import Path

import fault_table
import jobs
import launching
import network
import pytest
import tiny


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
    """The table of the documentation, which gets the seconds of the faults of this session."""
    table = fault_table.FaultTable()
    yield table
    table.write()


@pytest.fixture(scope="session")
def env(tmp_path_factory):
    """The plugins of `tiny` are installed."""
    return tiny.install(tmp_path_factory.mktemp("tiny") / "site")


@pytest.fixture
def work(tmp_path) -> Path:
    """An empty working folder, shared by the machines."""
    folder = tmp_path / "work"
    folder.mkdir()
    return folder


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory, env):
    """Working folder of a run of three processes on one machine."""
    work = tmp_path_factory.mktemp("undisturbed") / "work"
    work.mkdir()
    done = launching.pannsdist("train", "-c", "recipe:tones_cnn6", "--nproc", 3, *jobs.SETTINGS, cwd=work, env=env)
    assert done.exit_code == 0, done.output
    return work
