"""How the process of a command treats memory that it has freed: kept for the next array, in large pages.

A training step allocates and frees the same large arrays again and again. By default glibc takes each one from the
kernel and returns it, so the kernel fills every page of it with zeros in every step, page by page.
"""

from __future__ import annotations

import ctypes
import os
import resource
from functools import cache
from typing import Any

MMAP_MAX, TRIM_THRESHOLD, ARENA_MAX = -4, -1, -8
"""Parameters of glibc's `mallopt` (malloc.h)."""
MADV_HUGEPAGE = 14
HUGE_PAGE = 2 << 20
VARIABLES = ("GLIBC_TUNABLES", "MALLOC_MMAP_MAX_", "MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_")
"""Environment variables by which a user decides about glibc's memory."""
PART_OF_MEMORY = 2


@cache
def keep_freed_memory() -> bool:
    """Keep freed memory in this process, in large pages where Linux has them; returns whether that was possible.

    Called once at the start of a process that is ours, never in a user's Python. It changes no result. Nothing happens
    with another C library than glibc, where the user has set one of `VARIABLES`, and under a limit of address space.
    The addresses of large pages are requested for half of the machine's memory; memory is taken when it is used.
    """
    if any(name in os.environ for name in VARIABLES) or resource.getrlimit(resource.RLIMIT_AS)[0] >= 0:
        return False
    library = _glibc()
    if library is None or not (library.mallopt(MMAP_MAX, 0) and library.mallopt(TRIM_THRESHOLD, -1)):
        return False
    reserved = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // PART_OF_MEMORY
    if (start := library.malloc(reserved)) is not None:
        first = -(-start // HUGE_PAGE) * HUGE_PAGE
        library.madvise(first, (start + reserved - first) // HUGE_PAGE * HUGE_PAGE, MADV_HUGEPAGE)
        library.free(start)
    return True


def use_one_arena() -> None:
    """Let all threads allocate from one place, unless the user decided. Call this before any thread is started.

    By default each of up to eight threads a core has an arena, and memory that is freed in one serves no other: that
    of a server with a tiny network grew by 4 MB from request 1,000 to 3,500, and not at all with one arena, of 45 MB
    less. Python's threads rarely wait for each other there: they hold its lock. Nothing happens without glibc.
    """
    if "MALLOC_ARENA_MAX" not in os.environ and (library := _glibc()) is not None:
        library.mallopt(ARENA_MAX, 1)


def _glibc() -> Any:
    """The C library with the types of the functions used here; None if it is another one."""
    library = ctypes.CDLL(None)
    if not (hasattr(library, "gnu_get_libc_version") and hasattr(library, "mallopt")):
        return None
    library.malloc.argtypes, library.malloc.restype = [ctypes.c_size_t], ctypes.c_void_p
    library.free.argtypes, library.free.restype = [ctypes.c_void_p], None
    library.madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    return library
