"""Freed memory stays in the process of a command: no page of a large array is fetched anew in every step."""

import os
import subprocess
import sys

import pytest

from pannsdist.runtime import heap

ARRAYS, MEGABYTES = 20, 64
PAGES = ARRAYS * MEGABYTES * 2**20 // os.sysconf("SC_PAGE_SIZE")
CODE = f"""
import ctypes, json, resource, sys
from pannsdist.runtime import heap
{{before}}
kept = heap.keep_freed_memory() if {{calls}} else None
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_void_p]
libc.memset.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t]
first = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range({ARRAYS}):
    array = libc.malloc(ctypes.c_size_t({MEGABYTES} << 20))
    libc.memset(array, 1, {MEGABYTES} << 20)
    libc.free(array)
print(json.dumps([kept, resource.getrusage(resource.RUSAGE_SELF).ru_minflt - first]))
"""


def measured(calls=True, before="", **variables):
    """Whether memory is kept, and how many pages were fetched."""
    inherited = {name: value for name, value in os.environ.items() if name not in heap.VARIABLES}
    code = CODE.format(calls=calls, before=before)
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env={**inherited, **variables})
    kept, pages = done.stdout.strip("[]\n").split(", ")
    return {"true": True, "false": False, "null": None}[kept], int(pages)


@pytest.fixture(scope="module")
def plain():
    """Pages that are fetched without the function."""
    kept, pages = measured(calls=False)
    if kept is None and pages < PAGES // 2:
        pytest.skip("this C library or kernel keeps freed memory by itself")
    return pages


def test_the_pages_of_freed_arrays_are_used_again(plain):
    kept, pages = measured()
    assert kept
    assert pages < plain / 10


@pytest.mark.parametrize("name", heap.VARIABLES)
def test_a_user_who_decides_about_memory_is_left_alone(name):
    value = "glibc.malloc.perturb=0" if name == "GLIBC_TUNABLES" else "131072"
    kept, _ = measured(**{name: value})
    assert kept is False


def test_a_limit_of_address_space_is_left_alone():
    kept, _ = measured(before="resource.setrlimit(resource.RLIMIT_AS, (8 << 30, resource.RLIM_INFINITY))")
    assert kept is False


def test_another_c_library_is_left_alone(monkeypatch):
    monkeypatch.setattr(heap.ctypes, "CDLL", lambda _: object())
    for name in heap.VARIABLES:
        monkeypatch.delenv(name, raising=False)
    assert heap.keep_freed_memory.__wrapped__() is False


THREADS = """
import ctypes, pathlib, sys, threading
from pannsdist.runtime import heap
if {calls}:
    heap.use_one_arena()
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.fopen.restype = ctypes.c_void_p, ctypes.c_void_p
libc.malloc_info.argtypes, libc.fclose.argtypes = [ctypes.c_int, ctypes.c_void_p], [ctypes.c_void_p]
together = threading.Barrier(4)
threads = [threading.Thread(target=lambda: (together.wait(), libc.malloc(10_000))) for _ in range(4)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
file = libc.fopen(sys.argv[1].encode(), b"w")
libc.malloc_info(0, file)
libc.fclose(file)
print(pathlib.Path(sys.argv[1]).read_text().count("<heap nr="))
"""


@pytest.mark.parametrize(
    ("calls", "set_by_user", "is_one"),
    [(True, {}, True), (False, {}, False), (True, {"MALLOC_ARENA_MAX": "4"}, False)],
    ids=["asked", "not-asked", "user"],
)
def test_threads_allocate_from_one_arena(tmp_path, calls, set_by_user, is_one):
    command = [sys.executable, "-c", THREADS.format(calls=calls), tmp_path / "info.xml"]
    variables = {key: value for key, value in os.environ.items() if not key.startswith("MALLOC_")}
    done = subprocess.run(command, env={**variables, **set_by_user}, capture_output=True, text=True, check=True)
    assert (int(done.stdout) == 1) == is_one
