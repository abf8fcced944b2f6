"""Memory that processes share: a file without a name, divided into slots that grow.

The file is a memfd: it exists while a process has it open, so nothing is left after SIGKILL, and the size of /dev/shm,
64 MB in a container, does not bound it. Room is allocated before it is written: where there is none that is an error,
and no SIGBUS.
"""

from __future__ import annotations

import mmap
import os
import tempfile

import numpy as np

from pannsdist.runtime import console
from pannsdist.runtime.errors import UserError

SPAN = 1 << 34
"""Bytes of a slot at most: slot n begins at n * SPAN. The file is sparse: what was not allocated takes no memory."""
GRANULE = 1 << 20
NOEXEC = 0x8
"""MFD_NOEXEC_SEAL of Linux 6.3: some systems refuse a memfd without it (vm.memfd_noexec)."""


def create_shared_file() -> int:
    """The descriptor of a new file without a name, in memory where the system has memfd, else in the temporary folder.

    Raises UserError where neither can be had.
    """
    found = shared_memory()
    if not isinstance(found, str):
        return found
    folder = tempfile.gettempdir()
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            console.note_main(f"workers share a file in {folder} in place of memory, since there is no memfd: {found}")
            return os.dup(file.fileno())
    except OSError as error:
        wrong = f"no memory that processes share: neither a memfd ({found}) nor a file in {folder} ({error})"
        raise UserError(wrong, "set TMPDIR to a folder that can be written, or data.workers=0") from error


def shared_memory() -> int | str:
    """The descriptor of a new memfd; or why there is none."""
    if not hasattr(os, "memfd_create"):
        return "this Python was built without it"
    for flags in (os.MFD_CLOEXEC | NOEXEC, os.MFD_CLOEXEC):
        try:
            return os.memfd_create("pannsdist-batches", flags)
        except OSError as error:
            refused = error.strerror or str(error)
    return refused


class Slot:
    """One process's view of a slot. It grows, by whoever needs more room; the views of the others follow it."""

    def __init__(self, file: int, number: int) -> None:
        self.number, self._file = number, file
        self.size = 0
        self._mapping: mmap.mmap | None = None

    def reserve(self, size: int) -> None:
        """Have at least `size` bytes. Raises UserError where there is no room."""
        if size <= self.size:
            return
        wanted = -(-size // GRANULE) * GRANULE
        try:
            if wanted > SPAN:
                raise OSError(f"more than {SPAN >> 30} GiB")
            os.posix_fallocate(self._file, self.number * SPAN, wanted)
        except OSError as error:
            wrong = f"no room for a batch of {size >> 20} MiB in the memory that workers share: {error}"
            right = "a smaller batch, fewer data.workers, or more memory; data.workers=0 shares none"
            raise UserError(wrong, right, "free -h; ulimit -f") from error
        self.follow(wanted)

    def follow(self, size: int) -> None:
        """Map what another process has reserved."""
        if size > self.size:
            self._mapping, self.size = mmap.mmap(self._file, size, offset=self.number * SPAN), size

    def memory(self) -> np.ndarray:
        """The whole slot: (size,) uint8. Every call makes an array, which lives as long as one that is made of it."""
        return np.frombuffer(self._mapping or b"", np.uint8)
