"""MKL's switch for AMD processors is set where it helps, and nowhere else."""

import subprocess
import sys

import pytest

from pannsdist.runtime import cpu

AMD, INTEL = "vendor_id\t: AuthenticAMD\n", "vendor_id\t: GenuineIntel\nmodel name\t: not AuthenticAMD\n"


def write(tmp_path, text):
    path = tmp_path / "cpuinfo"
    path.write_text("processor\t: 0\n" + text, encoding="utf-8")
    return path


@pytest.fixture
def on_x86(monkeypatch):
    monkeypatch.setattr(cpu.platform, "machine", lambda: "x86_64")


@pytest.mark.usefixtures("on_x86")
def test_an_amd_processor_is_known_by_its_vendor(tmp_path):
    assert cpu.is_amd(write(tmp_path, AMD))
    assert not cpu.is_amd(write(tmp_path, INTEL))


def test_another_architecture_is_no_amd(tmp_path, monkeypatch):
    monkeypatch.setattr(cpu.platform, "machine", lambda: "aarch64")
    assert not cpu.is_amd(write(tmp_path, AMD))


@pytest.mark.usefixtures("on_x86")
def test_a_system_without_the_file_is_no_amd(tmp_path):
    assert not cpu.is_amd(tmp_path / "cpuinfo")


def switch_in_a_fresh_python(before="", value=None):
    code = f"""
import os, sys
os.environ.pop("MKL_DEBUG_CPU_TYPE", None)
if {value!r} is not None:
    os.environ["MKL_DEBUG_CPU_TYPE"] = {value!r}
from pannsdist.runtime import cpu
cpu.is_amd = lambda: True
{before}
cpu.use_fast_kernels()
assert "paddle" not in sys.modules or sys.modules["paddle"] is None
print(os.environ.get("MKL_DEBUG_CPU_TYPE"))"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_the_switch_is_set_on_an_amd_processor():
    assert switch_in_a_fresh_python() == "5"


def test_the_switch_is_left_where_the_processor_is_another():
    assert switch_in_a_fresh_python("cpu.is_amd = lambda: False") == "None"


def test_what_the_user_has_set_stays():
    assert switch_in_a_fresh_python(value="0") == "0"


def test_nothing_is_set_once_paddle_is_imported():
    assert switch_in_a_fresh_python("sys.modules['paddle'] = None") == "None"


@pytest.mark.parametrize(
    ("given", "processes", "expected"),
    [("3", 1, 3), ("999", 1, 4), ("abc", 1, 1), ("0", 1, 1), ("-2", 1, 1), ("2,3", 2, 2), ("", 1, 1), (None, 1, 1)],
)
def test_threads_are_those_of_the_environment_and_at_most_the_cores(monkeypatch, given, processes, expected):
    monkeypatch.delenv(cpu.FREE_THREADS, raising=False)
    monkeypatch.delenv(cpu.THREADS, raising=False)
    if given is not None:
        monkeypatch.setenv(cpu.THREADS, given)
    monkeypatch.setattr(cpu, "cores", lambda: 4)
    assert cpu.threads(processes) == expected


@pytest.mark.parametrize(("processes", "expected"), [(1, 4), (2, 2), (3, 1), (8, 1), (0, 4)])
def test_threads_that_nobody_set_are_the_cores_divided_among_the_processes(monkeypatch, processes, expected):
    monkeypatch.setenv(cpu.FREE_THREADS, "1")
    monkeypatch.setenv(cpu.THREADS, "1")
    monkeypatch.setattr(cpu, "cores", lambda: 4)
    assert cpu.threads(processes) == expected


@pytest.mark.parametrize(
    ("given", "left"),
    [("1", 1), ("99999", 4), ("4,2", 4), ("banana", 1), ("", 1), ("-3", 1), ("0", 1), ("9" * 50, 4)],
)
def test_an_impossible_number_of_threads_is_made_a_possible_one(given, left, monkeypatch):
    monkeypatch.delitem(sys.modules, "paddle", raising=False)
    monkeypatch.delenv(cpu.FREE_THREADS, raising=False)
    monkeypatch.setattr(cpu, "cores", lambda: 4)
    monkeypatch.setenv(cpu.THREADS, given)
    cpu.use_fast_kernels()
    assert cpu.os.environ[cpu.THREADS] == str(left)
    assert cpu.FREE_THREADS not in cpu.os.environ


@pytest.mark.parametrize(
    ("flags", "level"),
    [
        ("fpu avx avx2 avx512f avx512_bf16 amx_bf16 amx_tile", "amx"),
        ("fpu avx2 avx512f avx512_bf16", "avx512_bf16"),
        ("fpu avx2 avx512f", "avx512"),
        ("fpu avx avx2", "avx2"),
        ("fpu avx", "other"),
    ],
)
def test_a_processor_is_known_by_its_largest_instruction_set(flags, level, tmp_path):
    text = f"model name\t: Fast 9000: new\nflags\t\t: {flags}\n\nprocessor\t: 1\nmodel name\t: other\nflags\t: fpu\n"
    assert cpu.processor(write(tmp_path, text)) == cpu.Processor("Fast 9000: new", level)


def test_a_processor_of_another_system_is_other(tmp_path):
    assert cpu.processor(tmp_path / "cpuinfo").instructions == "other"


CGROUPS = {
    "version 2": ({"proc/self/cgroup": "0::/a/b", "sys/fs/cgroup/a/b/cpu.max": "250000 100000"}, 2),
    "of a folder above": ({"proc/self/cgroup": "0::/a/b", "sys/fs/cgroup/a/cpu.max": "300000 100000"}, 3),
    "the smallest of several": (
        {"proc/self/cgroup": "0::/a", "sys/fs/cgroup/a/cpu.max": "max 100000", "sys/fs/cgroup/cpu.max": "100000 50000"},
        2,
    ),
    "less than one": ({"proc/self/cgroup": "0::/", "sys/fs/cgroup/cpu.max": "50000 100000"}, 1),
    "version 1, in a container": (
        {
            "proc/self/cgroup": "4:memory:/docker/1\n3:cpu,cpuacct:/docker/1",
            "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "350000",
            "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000",
        },
        3,
    ),
    "version 1, without a limit": (
        {
            "proc/self/cgroup": "3:cpu,cpuacct:/",
            "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1",
            "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000",
        },
        8,
    ),
    "no limit": ({"proc/self/cgroup": "0::/", "sys/fs/cgroup/cpu.max": "max 100000"}, 8),
    "unreadable": ({"proc/self/cgroup": "0::/", "sys/fs/cgroup/cpu.max": "nonsense"}, 8),
    "none": ({}, 8),
}


@pytest.mark.parametrize(("files", "expected"), CGROUPS.values(), ids=CGROUPS)
def test_the_cores_of_a_process_are_those_that_its_cgroups_leave(files, expected, tmp_path, monkeypatch):
    monkeypatch.setattr(cpu.os, "sched_getaffinity", lambda _: set(range(8)))
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text + "\n")
    assert cpu.cores(tmp_path) == expected


def test_idle_threads_of_the_kernels_sleep_unless_the_user_decided(monkeypatch):
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    cpu.wait_passively()
    assert cpu.os.environ["OMP_WAIT_POLICY"] == "PASSIVE"
    assert cpu.waits_passively()
    monkeypatch.setenv("OMP_WAIT_POLICY", "ACTIVE")
    cpu.wait_passively()
    assert cpu.os.environ["OMP_WAIT_POLICY"] == "ACTIVE"
    assert not cpu.waits_passively()
