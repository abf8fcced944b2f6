"""The oneDNN that Paddle's wheel carries, called through ctypes: `libdnnl.so.3` beside `libpaddle`.

No compiler and no further package is needed. Nothing here runs on import. oneDNN: Intel's library of operators of
neural networks (Apache-2.0), https://github.com/uxlfoundation/oneDNN.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from ctypes import POINTER, byref, c_char_p, c_float, c_int, c_int64, c_size_t, c_uint, c_void_p
from functools import cache
from pathlib import Path
from typing import Any, Protocol

from pannsdist.kernels import codes

LIBRARY = "libdnnl.so.3"
Handle = int
"""An object of the library: a pointer."""
DIMS = c_int64 * 12
_OUT, _DIMS = POINTER(c_void_p), POINTER(c_int64)
_H = c_void_p

SIGNATURES: Mapping[str, Sequence[Any]] = {
    "engine_create": (_OUT, c_int, c_size_t),
    "stream_create": (_OUT, _H, c_uint),
    "stream_wait": (_H,),
    "memory_desc_create_with_strides": (_OUT, c_int, _DIMS, c_int, _DIMS),
    "memory_desc_create_with_tag": (_OUT, c_int, _DIMS, c_int, c_int),
    "memory_desc_destroy": (_H,),
    "memory_create": (_OUT, _H, _H, c_void_p),
    "memory_set_data_handle": (_H, c_void_p),
    "memory_destroy": (_H,),
    "primitive_create": (_OUT, _H),
    "primitive_execute": (_H, _H, c_int, c_void_p),
    "primitive_destroy": (_H,),
    "primitive_desc_destroy": (_H,),
    "primitive_attr_create": (_OUT,),
    "primitive_attr_set_post_ops": (_H, _H),
    "primitive_attr_destroy": (_H,),
    "post_ops_create": (_OUT,),
    "post_ops_append_eltwise": (_H, c_int, c_float, c_float),
    "post_ops_destroy": (_H,),
    "reorder_primitive_desc_create": (_OUT, _H, _H, _H, _H, _H),
    "convolution_forward_primitive_desc_create": (_OUT, _H, c_int, c_int, *(_H,) * 4, *(_DIMS,) * 4, _H),
    "convolution_backward_data_primitive_desc_create": (_OUT, _H, c_int, *(_H,) * 3, *(_DIMS,) * 4, _H, _H),
    "convolution_backward_weights_primitive_desc_create": (_OUT, _H, c_int, *(_H,) * 4, *(_DIMS,) * 4, _H, _H),
    "batch_normalization_forward_primitive_desc_create": (_OUT, _H, c_int, _H, _H, c_float, c_uint, _H),
    "batch_normalization_backward_primitive_desc_create": (_OUT, _H, c_int, *(_H,) * 3, c_float, c_uint, _H, _H),
    "eltwise_forward_primitive_desc_create": (_OUT, _H, c_int, c_int, _H, _H, c_float, c_float, _H),
    "eltwise_backward_primitive_desc_create": (_OUT, _H, c_int, *(_H,) * 3, c_float, c_float, _H, _H),
    "pooling_forward_primitive_desc_create": (_OUT, _H, c_int, c_int, _H, _H, *(_DIMS,) * 5, _H),
    "pooling_backward_primitive_desc_create": (_OUT, _H, c_int, _H, _H, *(_DIMS,) * 5, _H, _H),
    "matmul_primitive_desc_create": (_OUT, *(_H,) * 6),
    "binary_primitive_desc_create": (_OUT, _H, c_int, _H, _H, _H, _H),
}
"""Functions that return a status, without their prefix `dnnl_`: the types of their arguments."""
QUERIES: Mapping[str, tuple[Any, Sequence[Any]]] = {
    "primitive_desc_query_md": (c_void_p, (_H, c_int, c_int)),
    "memory_desc_get_size": (c_size_t, (_H,)),
    "memory_desc_equal": (c_int, (_H, _H)),
    "get_effective_cpu_isa": (c_int, ()),
}
"""Functions that return a value: its type, and those of their arguments."""


class _Version(ctypes.Structure):
    _fields_ = (
        ("major", c_int),
        ("minor", c_int),
        ("patch", c_int),
        ("hash", c_char_p),
        ("cpu_runtime", c_uint),
        ("gpu_runtime", c_uint),
    )


class LibraryError(Exception):
    """The library is missing, is another one, or refused a call; the message is a clause."""


class Refused(LibraryError):
    """The library has no implementation of an operator for these shapes."""


class Symbols(Protocol):
    """A loaded library: its functions by name. Raises AttributeError for one that it lacks."""

    def __getattr__(self, name: str) -> Any:
        """The function of this name."""
        ...


class Library:
    """Typed access to a loaded oneDNN, with one CPU engine and one stream.

    `process` is the id of the process that it serves: the threads of a library do not survive a fork. `threads` is the
    number of threads that it computes with. Raises LibraryError if a function is missing.
    """

    def __init__(self, symbols: Symbols) -> None:
        self._functions: dict[str, Any] = {}
        for name, arguments in SIGNATURES.items():
            self._functions[name] = _function(symbols, name, c_int, arguments)
        for name, (result, arguments) in QUERIES.items():
            setattr(self, name, _function(symbols, name, result, arguments))
        self.version, self.process = version_of(symbols), os.getpid()
        self.threads = 1
        self.instructions = int(self.get_effective_cpu_isa())
        self.engine = self.new("engine_create", codes.CPU_ENGINE, 0)
        self.stream = self.new("stream_create", self.engine, codes.IN_ORDER)

    primitive_desc_query_md: Any
    memory_desc_get_size: Any
    memory_desc_equal: Any
    get_effective_cpu_isa: Any

    def call(self, name: str, *arguments: Any) -> None:
        """Call a function of `SIGNATURES`. Raises Refused where nothing is implemented, LibraryError otherwise."""
        status = self._functions[name](*arguments)
        if status:
            kind = Refused if status in (2, 3, 4) else LibraryError
            raise kind(f"oneDNN's {name} says: {codes.STATUS.get(status, status)}")

    def new(self, name: str, *arguments: Any) -> Handle:
        """Call a function that creates an object; returns its handle. Raises as `call`."""
        created = c_void_p()
        self.call(name, byref(created), *arguments)
        return created.value or 0


def _function(symbols: Symbols, name: str, result: Any, arguments: Sequence[Any]) -> Any:
    try:
        function = getattr(symbols, f"dnnl_{name}")
    except AttributeError:
        raise LibraryError(f"this oneDNN has no function dnnl_{name}") from None
    function.restype, function.argtypes = result, list(arguments)
    return function


def version_of(symbols: Symbols) -> tuple[int, int, int]:
    """(major, minor, patch). Raises LibraryError if the library does not give it."""
    version = _function(symbols, "version", POINTER(_Version), ())().contents
    return version.major, version.minor, version.patch


def symbols() -> Symbols:
    """The library of the installed Paddle, which has loaded it already. Raises LibraryError if there is none."""
    try:
        return ctypes.CDLL(str(_folder() / LIBRARY))
    except OSError as error:
        raise LibraryError(f"Paddle carries no {LIBRARY} ({error})") from error


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Within the block OpenMP computes with so many threads, for the thread that calls this; then with those of before.

    Paddle's own operators keep their number, on which their sums, as of features, depend. oneDNN names GNU's OpenMP; in
    Paddle's process its calls go to Intel's, which Paddle loads first.
    """
    runtimes = _openmp()
    before = [one.omp_get_max_threads() for one in runtimes]
    for one in runtimes:
        one.omp_set_num_threads(count)
    try:
        yield
    finally:
        for one, number in zip(runtimes, before, strict=True):
            one.omp_set_num_threads(number)


@cache
def _openmp() -> list[Any]:
    return [ctypes.CDLL(str(path)) for name in ("libiomp5.so", LIBRARY) if (path := _folder() / name).is_file()]


def _folder() -> Path:
    import paddle

    return Path(paddle.__file__).parent / "libs"


@cache
def loaded() -> Library:
    """The library, loaded once per process. Raises LibraryError."""
    return Library(symbols())


def dims(*values: int) -> Any:
    """Sizes as the library takes them."""
    return DIMS(*values)
