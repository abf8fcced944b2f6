"""Packets that are late or lost change nothing but the time that a run takes."""

import subprocess
import sys

import jobs
import pytest
import relay

pytestmark = pytest.mark.long

ECHO = """
import socket
with socket.create_server(("", 4000), family=socket.AF_INET) as server:
    print("ready", flush=True)
    end, _ = server.accept()
    while received := end.recv(100):
        end.sendall(received)
"""
CALL = """
import socket, sys, time
start = time.monotonic()
with socket.create_connection((sys.argv[1], 4000)) as end:
    for _ in range(10):
        end.sendall(b"x")
        end.recv(100)
print(time.monotonic() - start)
"""


@pytest.fixture
def far(hosts):
    if reason := relay.missing():
        pytest.skip(reason)
    with relay.relayed(hosts, relay.Weather(delay_s=0.2, loss=0.05, seed=1)) as found:
        yield found


def test_a_run_whose_packets_are_late_and_lost_has_the_same_weights(far, work, env, undisturbed_short, faults):
    commands = jobs.start(far, "3", cwd=work, env=env, settings=jobs.SHORT)
    codes = [one.wait() for one in commands]
    output = "\n\n".join(one.output for one in commands)
    assert codes == [0, 0, 0], output
    assert "restart" not in output
    assert f"--ips {','.join(host.address for host in far)}" in commands[0].output
    faults.compare("delay and loss", work, undisturbed_short)


def test_each_packet_is_late(far):
    """Eleven times there and back, the first of them for the connection."""
    enter = ["ip", "netns", "exec", far[1].namespace, sys.executable, "-c", ECHO]
    with subprocess.Popen(enter, stdout=subprocess.PIPE, text=True) as echo:
        assert echo.stdout.readline() == "ready\n"
        enter = ["ip", "netns", "exec", far[0].namespace, sys.executable, "-c", CALL, far[1].address]
        assert float(subprocess.run(enter, stdout=subprocess.PIPE, check=True, timeout=60).stdout) >= 11 * 0.4
