"""The processor that Paddle finds itself on. Nothing here imports paddle: it must be called before that import."""

from __future__ import annotations

import os
import platform
import sys
from pathlib import Path

MKL_SWITCH = "MKL_DEBUG_CPU_TYPE"
"""Paddle's CPU wheels carry an MKL that takes a slow path on AMD processors; the value 5 selects the AVX2 path.

Measured in benchmarks/README.md: a training step of panns_cnn10 is about twice as fast with it.
"""


def is_amd(cpuinfo: Path = Path("/proc/cpuinfo")) -> bool:
    """Whether this is an AMD x86-64 processor under Linux."""
    if platform.machine() not in ("x86_64", "AMD64") or not cpuinfo.is_file():
        return False
    with cpuinfo.open(encoding="utf-8", errors="replace") as lines:
        return any("AuthenticAMD" in line for line in lines if line.startswith("vendor_id"))


def use_fast_kernels() -> None:
    """Set MKL's switch on an AMD processor, unless the user has set it. Call it before paddle is imported."""
    if MKL_SWITCH not in os.environ and "paddle" not in sys.modules and is_amd():
        os.environ[MKL_SWITCH] = "5"


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
