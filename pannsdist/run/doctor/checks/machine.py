"""The machine: cores, /dev/shm, limits of a process, and the clock."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from pannsdist.run.doctor.facts import Facts, Machine
from pannsdist.run.doctor.finding import Finding, error, ok, unknown, warning

MIB = 1 << 20
SHM_FOR_NCCL = 1024 * MIB
"""NCCL keeps buffers between GPUs of one machine there, over 30 MB a connection; NVIDIA's images ask for 1 GB."""
SHM_LEAST = 256 * MIB
NEEDED_FILES, USUAL_FILES = 256, 1024
"""Open files of a run with a few worker processes, a run folder and sockets; and the usual limit."""
LOCKED = 64 * MIB
EARLIEST_CLOCK_S = datetime(2025, 1, 1).timestamp()


def check(facts: Facts) -> Iterator[Finding]:
    """Findings about the machine; what GPUs need is an error where several are there."""
    machine, gpus = facts.machine, len(facts.gpus.states)
    yield ok("CPU cores", f"{machine.cores}; {machine.memory_free // MIB} MiB of memory are free")
    yield _shared_memory(machine, gpus)
    yield _memfd(machine)
    yield _files(machine)
    if gpus > 1:
        yield _locked(machine)
    yield _clock(machine)


def _shared_memory(machine: Machine, gpus: int) -> Finding:
    name, right = (
        "/dev/shm",  # noqa: S108 - a name
        "mount -o remount,size=2G /dev/shm; in a container: docker run --shm-size=2g, or --ipc=host",
    )
    found = error if gpus > 1 else warning
    if machine.shm_size is None or machine.shm_free is None:
        return found(name, "not there; NCCL between GPUs needs it", "mount -t tmpfs -o size=2G tmpfs /dev/shm")
    seen = f"{machine.shm_size // MIB} MiB, {machine.shm_free // MIB} MiB free"
    if gpus > 1 and machine.shm_free < SHM_FOR_NCCL:
        return error(name, f"{seen}; NCCL between {gpus} GPUs needs {SHM_FOR_NCCL // MIB} MiB", right)
    if machine.shm_free < SHM_LEAST:
        return warning(name, f"{seen}; enough for one GPU, not for NCCL between several", right)
    return ok(name, seen)


def _memfd(machine: Machine) -> Finding:
    if machine.memfd:
        right = "set TMPDIR to a folder on a fast disk, which they use instead, or data.workers=0"
        return warning("memfd", f"no memory for worker processes to share: {machine.memfd}", right)
    return ok("memfd", "worker processes can share memory")


def _files(machine: Machine) -> Finding:
    name, right = "open files", "ulimit -n 4096; in a container: docker run --ulimit nofile=65536:65536"
    if machine.open_files is None or machine.open_files >= USUAL_FILES:
        return ok(name, f"limit: {machine.open_files or 'none'}")
    seen = f"a process may have {machine.open_files} (ulimit -n)"
    if machine.open_files < NEEDED_FILES:
        return error(name, f"{seen}; a run needs {NEEDED_FILES}", right)
    return warning(name, f"{seen}; {USUAL_FILES} is usual", right)


def _locked(machine: Machine) -> Finding:
    if machine.locked_memory is None or machine.locked_memory >= LOCKED:
        return ok("locked memory", "enough for InfiniBand")
    right = "ulimit -l unlimited; in a container: docker run --ulimit memlock=-1"
    return warning("locked memory", f"limit: {machine.locked_memory // 1024} KiB; InfiniBand needs more", right)


def _clock(machine: Machine) -> Finding:
    moment = datetime.fromtimestamp(machine.clock_s).astimezone().isoformat(timespec="seconds")
    if machine.clock_s < EARLIEST_CLOCK_S:
        return error("clock", f"{moment} is before this version was made", "timedatectl set-ntp true")
    if machine.clock_synchronised is None:
        return unknown("clock", f"{moment}; the kernel does not tell whether it is synchronised")
    if not machine.clock_synchronised:
        return warning("clock", f"{moment}; not synchronised with a time server", "timedatectl set-ntp true")
    return ok("clock", f"{moment}, synchronised with a time server")
