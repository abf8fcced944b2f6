"""What a measurement depends on: processor, instruction sets, versions, load."""

from __future__ import annotations

import os
import platform
import re
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

INSTRUCTION_SETS = ("avx2", "avx512f", "avx512_bf16", "amx_bf16")
PACKAGES = ("pannsdist", "paddlepaddle", "paddlepaddle-gpu", "numpy", "librosa", "onnxruntime")


def describe() -> dict[str, Any]:
    """The machine and the installed versions, as it stands in a file of results."""
    processor = cpuinfo("model name") or platform.processor() or platform.machine()
    flags = cpuinfo("flags").split()
    return {
        "processor": processor,
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "instruction_sets": [name for name in INSTRUCTION_SETS if name in flags],
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "packages": {name: found for name in PACKAGES if (found := installed(name))},
    }


def name(described: dict[str, Any]) -> str:
    """A file name for a machine: its processor and cores."""
    words = re.sub(r"\((R|TM)\)|CPU|Processor|@.*", " ", described["processor"], flags=re.IGNORECASE)
    slug = re.sub(r"[^a-z0-9]+", "-", words.lower()).strip("-")
    best = (described["instruction_sets"] or ["baseline"])[-1].replace("_", "-")
    return f"{slug}-{best}-{described['cores']}-cores"


def load() -> float:
    """Mean number of running processes in the last minute, where the system says so."""
    return round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else float("nan")


def cpuinfo(key: str) -> str:
    """A value of the first processor in Linux's table; empty elsewhere."""
    table = Path("/proc/cpuinfo")
    if not table.is_file():
        return ""
    found = re.search(rf"^{re.escape(key)}\s*:\s*(.*)$", table.read_text(encoding="utf-8"), re.MULTILINE)
    return found[1] if found else ""


def installed(package: str) -> str:
    """The version of a package; empty if it is not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return ""
