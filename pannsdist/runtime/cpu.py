"""CPU detection and settings. Nothing here imports paddle: it must be called before that import."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

MKL_SWITCH = "MKL_DEBUG_CPU_TYPE"
"""Environment variable of MKL. The MKL in Paddle's CPU wheels takes a slow path on AMD; 5 selects the AVX2 path.

A training step of panns_cnn10 is about twice as fast with it (benchmarks/README.md).
"""
LEVELS = {"amx_bf16": "amx", "avx512_bf16": "avx512_bf16", "avx512f": "avx512", "avx2": "avx2"}
"""Flags of /proc/cpuinfo and the instruction sets that they stand for, the largest first."""
THREADS, FREE_THREADS = "OMP_NUM_THREADS", "PANNSDIST_FREE_THREADS"
WAIT_POLICY, PASSIVE = "OMP_WAIT_POLICY", "PASSIVE"


@dataclass(frozen=True)
class Processor:
    """Its name, and the largest of the instruction sets in `LEVELS`; `other` without any of them, or if unknown."""

    name: str
    instructions: str


def processor(cpuinfo: Path = Path("/proc/cpuinfo")) -> Processor:
    """The processor of this machine."""
    found: dict[str, str] = {}
    if cpuinfo.is_file():
        with cpuinfo.open(encoding="utf-8", errors="replace") as lines:
            for key, _, value in (line.partition(":") for line in lines):
                found.setdefault(key.strip(), value.strip())
    flags = found.get("flags", "").split()
    name = found.get("model name") or platform.processor() or platform.machine()
    return Processor(name, next((level for flag, level in LEVELS.items() if flag in flags), "other"))


def is_amd(cpuinfo: Path = Path("/proc/cpuinfo")) -> bool:
    """Whether this is an AMD x86-64 processor on Linux."""
    if platform.machine() not in ("x86_64", "AMD64") or not cpuinfo.is_file():
        return False
    with cpuinfo.open(encoding="utf-8", errors="replace") as lines:
        return any("AuthenticAMD" in line for line in lines if line.startswith("vendor_id"))


def use_fast_kernels() -> None:
    """Select MKL's AVX2 path on an AMD processor, unless the user set it. Call this before paddle is imported.

    It also notes, for this process and those that it starts, that the user did not set a number of threads: to import
    paddle sets it to 1. A number that is more than the cores is lowered to them, since the libraries would start so
    many threads, or end the process; what is no number counts as 1, as in Paddle.
    """
    if "paddle" in sys.modules:
        return
    if MKL_SWITCH not in os.environ and is_amd():
        os.environ[MKL_SWITCH] = "5"
    if THREADS not in os.environ:
        os.environ[FREE_THREADS] = "1"
    elif not os.environ.get(FREE_THREADS):
        os.environ[THREADS] = str(threads(1))


def wait_passively() -> None:
    """Have idle threads of the kernels and engines sleep, unless the user decided. Call it before paddle is imported.

    By default they spin for a while after each pass, on cores that a server needs to decode the next sounds: with one
    client, mn04 on two cores took 46 ms of CPU time a request, and 15 ms when they sleep.
    """
    os.environ.setdefault(WAIT_POLICY, PASSIVE)


def waits_passively() -> bool:
    """Whether idle threads sleep, by `wait_passively` or the user."""
    return os.environ.get(WAIT_POLICY, "").upper() == PASSIVE


def threads(processes: int) -> int:
    """Threads for the kernels of one of so many processes of this host: OMP_NUM_THREADS, at most one per core.

    If the user did not set it, the cores are divided among the processes. A value that is no number counts as 1, as
    in Paddle.
    """
    if os.environ.get(FREE_THREADS):
        return max(1, cores() // max(1, processes))
    first = os.environ.get(THREADS, "").partition(",")[0].strip()
    return max(1, min(int(first), cores())) if first.isdecimal() else 1


def cores(root: Path = Path("/")) -> int:
    """Number of CPU cores that this process may use, by its affinity and by the limits of its cgroups (containers).

    A limit of 2.5 cores counts as 2: a third thread would be stopped half of the time, and the others wait for it.
    `root` is the folder of /proc and /sys.
    """
    own = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min([own, *(int(limit) for limit in _limits(root))]))


def _limits(root: Path) -> Iterator[float]:
    """The cores that each cgroup of this process has, as far as it is limited. Of both versions of cgroups."""
    membership = root / "proc/self/cgroup"
    for line in membership.read_text(encoding="utf-8").splitlines() if membership.is_file() else ():
        _, controllers, group = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        top = root / "sys/fs/cgroup" / ("cpu" if controllers else "")
        folder = top / group.lstrip("/")  # of the host, perhaps: in a container it may be the top one that is there
        for place in (folder, *folder.parents):
            if not place.is_relative_to(top):
                break
            yield from _limit(place)


def _limit(cgroup: Path) -> Iterator[float]:
    try:
        if (cgroup / "cpu.max").is_file():
            quota, period = (cgroup / "cpu.max").read_text(encoding="utf-8").split()
        else:
            quota, period = (
                (cgroup / f"cpu.cfs_{name}_us").read_text(encoding="utf-8") for name in ("quota", "period")
            )
        if quota != "max" and int(quota) > 0:
            yield int(quota) / int(period)
    except (OSError, ValueError):  # not limited, or no cgroup of this system
        return
