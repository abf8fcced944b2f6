"""The facts of this machine, with real limits, ports, folders and mounts."""

import errno
import fcntl
import json
import os
import resource
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from observed import WELL, on_gpu

from pannsdist.run.doctor.checks import folder as folder_checks
from pannsdist.run.doctor.checks import machine as machine_checks
from pannsdist.run.doctor.checks import network as network_checks
from pannsdist.run.doctor.facts import Facts, from_plain, to_plain
from pannsdist.run.doctor.finding import Verdict
from pannsdist.run.doctor.probing.folder import folder
from pannsdist.run.doctor.probing.gpus import FIELDS, gpus
from pannsdist.run.doctor.probing.machine import machine
from pannsdist.run.doctor.probing.network import network
from pannsdist.run.doctor.probing.software import of_version_file
from pannsdist.run.doctor.wheel import PYPI_ARCHS
from pannsdist.run.nodes.master import Master

pytestmark = pytest.mark.any_paddle
GPU_WHEEL = "full_version = '{}'\ncuda_version = '{}'\ncudnn_version = '{}'\n"


def faults(check, **parts):
    """The findings of a check that are not ok, with these parts observed."""
    facts = Facts(**{**vars(WELL), "settings": None, "folder": None, **parts})
    return {one.name: one for one in check(facts) if one.verdict not in (Verdict.OK, Verdict.UNKNOWN)}


def test_facts_become_json_and_return():
    for facts in (WELL, on_gpu(), Facts(WELL.software, gpus(), machine(), network(Master("127.0.0.1", 1)))):
        assert from_plain(Facts, json.loads(json.dumps(to_plain(facts)))) == facts


@pytest.mark.parametrize(
    "change",
    [
        lambda plain: plain.pop("machine"),
        lambda plain: plain.update(more=1),
        lambda plain: plain["machine"].update(cores="8"),
        lambda plain: plain["machine"].update(cores=True),
        lambda plain: plain["software"].update(python=[3]),
        lambda plain: plain["software"].update(plugins={"a": 1}),
        lambda plain: plain["software"].update(plugins=[]),
        lambda plain: plain["gpus"].update(states={}),
        lambda plain: plain["network"].update(addresses=["1"] * 6000),
        lambda plain: plain["network"].update(host="x" * 30_000),
    ],
)
def test_facts_of_another_shape_are_refused(change):
    plain = json.loads(json.dumps(to_plain(WELL)))
    change(plain)
    with pytest.raises(ValueError, match="Facts"):
        from_plain(Facts, plain)


def test_the_version_file_of_a_wheel_is_read():
    of_pypi = of_version_file(GPU_WHEEL.format("2.6.2", "11.8", "8.6.0"), {})
    assert (of_pypi.cuda, of_pypi.cudnn, of_pypi.archs) == ("11.8", "8.6.0", PYPI_ARCHS)
    assert of_version_file(GPU_WHEEL.format("2.6.2", "12.0", "8.9.1"), {}).archs is None
    newer = GPU_WHEEL.format("3.3.1", "12.6", "9.5.1") + "nccl_version = '22304'\ncompiled_cuda_archs = [75, 80, 90]\n"
    found = of_version_file(newer, {"paddlepaddle-gpu": "3.3.1"})
    assert (found.archs, found.nccl, found.is_for_gpus) == ((75, 80, 90), "22304", True)
    assert not of_version_file(GPU_WHEEL.format("3.3.1", "False", "False"), {}).is_for_gpus


def test_a_limit_of_64_files_is_seen():
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    used = len(list(Path("/proc/self/fd").iterdir()))
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(64, used + 40), before[1]))
    try:
        found = faults(machine_checks.check, machine=machine())
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    assert found["open files"].verdict is Verdict.ERROR


def in_own_mounts(*commands):
    """What these shell commands print, as root in a mount namespace of their own."""
    if os.geteuid() != 0:
        pytest.skip("only root may mount a file system")
    words = ["unshare", "--mount", "sh", "-ec", "\n".join(commands)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if "unshare" in done.stderr or "mount:" in done.stderr:
        pytest.skip(f"no file system can be mounted here: {done.stderr}")
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_shm_of_64_mb_is_seen():
    look = "import os; s = os.statvfs('/dev/shm'); from pannsdist.run.doctor.probing.machine import machine; "
    look += "print(machine().shm_size, machine().memfd)"
    printed = in_own_mounts("mount -t tmpfs -o size=64M tmpfs /dev/shm", f'"{sys.executable}" -c "{look}"')
    assert printed.split() == [str(64 << 20)]


def test_a_port_that_is_taken_and_an_address_of_the_loopback_are_seen():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        found = faults(network_checks.check, network=network(Master("localhost", taken.getsockname()[1])))
    assert "Address already in use" in found["port of the master"].seen
    assert "127.0.0.1" in found["address of the master"].seen


def test_another_machines_address_is_not_here():
    master = network(Master("192.0.2.1", 9000)).master
    assert (master.is_here, master.refused) == (False, "")


def test_a_run_folder_is_tried_without_a_trace(tmp_path):
    found = folder(tmp_path / "runs" / "new")
    assert list(tmp_path.iterdir()) == []
    assert (found.exists, found.unwritable, found.locks, found.renames, found.links) == (False, "", "", "", "")
    assert faults(folder_checks.check, folder=found) == {}


def test_a_file_system_without_locks_is_seen(tmp_path, monkeypatch):
    def flock(*_):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", flock)
    assert "No locks available" in faults(folder_checks.check, folder=folder(tmp_path))["locks"].seen
    monkeypatch.setattr(fcntl, "flock", lambda *_: None)
    assert "locked twice" in faults(folder_checks.check, folder=folder(tmp_path))["locks"].seen


def test_a_folder_that_cannot_be_written_is_seen(tmp_path):
    (tmp_path / "file").write_text("")
    assert "Not a directory" in faults(folder_checks.check, folder=folder(tmp_path / "file" / "run"))["run folder"].seen


def test_a_clock_an_hour_slow_is_seen_by_the_files_of_the_folder(tmp_path, monkeypatch):
    (tmp_path / "scores.jsonl").write_text("")
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now - 3600)
    found = faults(folder_checks.check, folder=folder(tmp_path))["clock of the run folder"]
    assert found.verdict is Verdict.ERROR
    assert "3600 s ahead" in found.seen


def test_what_nvidia_smi_tells_of_a_card_is_read(tmp_path, monkeypatch):
    answers = {
        "index,name,compute_cap": "0, Tesla T4, 7.5",
        ",".join(FIELDS): "0, 535.104.05, 15360, 15000, Enabled, 2, [N/A], 70.00",
    }
    cases = "".join(f'--query-gpu={fields}) echo "{answer}";;\n' for fields, answer in answers.items())
    (tmp_path / "nvidia-smi").write_text(f'#!/bin/sh\ncase "$1" in\n{cases}esac\n')
    (tmp_path / "nvidia-smi").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    (state,) = gpus().states
    assert (state.card.capability, state.driver, state.memory_mib, state.free_mib) == (75, "535.104.05", 15360, 15000)
    assert (state.ecc, state.ecc_errors, state.power_w, state.default_power_w) == ("Enabled", 2, None, 70)
