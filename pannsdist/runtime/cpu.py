"""CPU detection and settings. Nothing here imports paddle: it must be called before that import."""

from __future__ import annotations

import os
import platform
import sys
from pathlib import Path

MKL_SWITCH = "MKL_DEBUG_CPU_TYPE"
"""Environment variable of MKL. The MKL in Paddle's CPU wheels takes a slow path on AMD; 5 selects the AVX2 path.

A training step of panns_cnn10 is about twice as fast with it (benchmarks/README.md).
"""


def is_amd(cpuinfo: Path = Path("/proc/cpuinfo")) -> bool:
    """Whether this is an AMD x86-64 processor on Linux."""
    if platform.machine() not in ("x86_64", "AMD64") or not cpuinfo.is_file():
        return False
    with cpuinfo.open(encoding="utf-8", errors="replace") as lines:
        return any("AuthenticAMD" in line for line in lines if line.startswith("vendor_id"))


def use_fast_kernels() -> None:
    """Select MKL's AVX2 path on an AMD processor, unless the user set it. Call this before paddle is imported."""
    if MKL_SWITCH not in os.environ and "paddle" not in sys.modules and is_amd():
        os.environ[MKL_SWITCH] = "5"


def cores() -> int:
    """Number of CPU cores available to this process."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
