"""Which kernels are chosen, and what is said about it."""

import ctypes
import os
import subprocess
import sys

import pytest
from layers import IS_KNOWN
from paddle import nn

from pannsdist.kernels import install
from pannsdist.kernels.choice import Wanted, amp_note, choose
from pannsdist.kernels.library import Library, LibraryError, loaded, symbols
from pannsdist.runtime.errors import SettingsError

known = pytest.mark.skipif(not IS_KNOWN, reason="Paddle carries another oneDNN, which is not used")


class Symbols:
    """The real library, with some of its functions missing or exchanged."""

    def __init__(self, **exchanged):
        self._exchanged = exchanged

    def __getattr__(self, name):
        if name in self._exchanged:
            if self._exchanged[name] is None:
                raise AttributeError(name)
            return self._exchanged[name]
        return getattr(symbols(), name)


def with_instructions(isa):
    return Symbols(dnnl_get_effective_cpu_isa=ctypes.CFUNCTYPE(ctypes.c_int)(lambda: isa))


def chosen(wanted="auto", amp="none", device="cpu", given=None):
    return choose(Wanted(wanted, amp, "pannsdist train"), device, lambda: Library(given or symbols()))


@known
def test_auto_is_the_library_of_the_wheel():
    choice = chosen(given=with_instructions(0x27))
    assert (choice.kernels, choice.operands) == ("onednn", "float32")
    assert str(choice).startswith("oneDNN, float32: version 3.6.") and "AVX-512" in str(choice)


@known
@pytest.mark.parametrize(
    ("isa", "amp", "operands", "note"),
    [
        (0xFEF, "bf16", "bfloat16", ""),
        (0xE7, "bf16", "bfloat16", ""),
        (0x67, "bf16", "float32", "no instructions for bfloat16"),
        (0x7, "bf16", "float32", "no instructions for bfloat16"),
        (0xFEF, "fp16", "float32", "no kernels of float16"),
        (0xFEF, "none", "float32", ""),
    ],
)
def test_half_precision_needs_a_processor_that_has_it(isa, amp, operands, note):
    choice = chosen(amp=amp, given=with_instructions(isa))
    assert choice.operands == operands
    said = amp_note(choice, amp, "cpu")
    assert note in said and bool(note) == bool(said)


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (Symbols(dnnl_convolution_forward_primitive_desc_create=None), "no function dnnl_convolution_forward"),
        (Symbols(dnnl_version=None), "no function dnnl_version"),
        (with_instructions(0x1), "AVX2"),
    ],
)
def test_what_is_missing_is_said_and_paddle_is_used(given, reason):
    choice = chosen(given=given)
    if not IS_KNOWN:
        assert choice.kernels == "paddle"
        return
    assert choice.kernels == "paddle" and reason in str(choice)
    with pytest.raises(SettingsError, match=r"train.cpu_kernels is onednn, but .*" + reason):
        chosen("onednn", given=given)


def test_no_library_at_all():
    def missing():
        raise LibraryError("Paddle carries no libdnnl.so.3")

    choice = choose(Wanted("auto", "bf16"), "cpu", missing)
    assert choice.kernels == "paddle"
    assert "no libdnnl" in amp_note(choice, "bf16", "cpu")


@pytest.mark.parametrize(("wanted", "device"), [("paddle", "cpu"), ("auto", "gpu:0"), ("onednn", "gpu:1")])
def test_the_setting_and_the_device_come_first(wanted, device):
    choice = chosen(wanted, device=device)
    assert choice.kernels == "paddle"
    layer = nn.Conv2D(1, 2, 3)
    assert install(layer, choice) == 0 and "forward" not in vars(layer)


def test_another_version_is_not_used():
    if IS_KNOWN:
        choice = choose(Wanted("auto", "none"), "cpu", lambda: other_version(loaded()))
        assert "carries oneDNN 3.2.1" in choice.reason
    else:
        choice = choose(Wanted("auto", "none"), "cpu")
    assert choice.kernels == "paddle"


def other_version(library):
    other = Library.__new__(Library)
    other.version, other.instructions = (3, 2, 1), library.instructions
    return other


SETUP = """
import os, numpy as np, paddle
from paddle import nn
from pannsdist.kernels import install
from pannsdist.kernels.choice import Choice
layer = nn.Conv2D(8, 16, 3)
install(layer, Choice("onednn", "float32", ""))
given = paddle.ones([4, 8, 50, 50])
expected = layer(given).numpy()
"""


def printed(program, threads):
    """What a process prints that has computed a convolution, with so many threads."""
    environment = {**os.environ, "OMP_NUM_THREADS": threads}
    environment.pop("PANNSDIST_FREE_THREADS", None)
    command = [sys.executable, "-c", SETUP + program]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=300).stdout


@known
def test_a_forked_process_is_computed_by_paddle():
    """With one thread: Paddle's own kernels may wait for ever in a fork of a process that has used several."""
    program = """
child = os.fork()
if child == 0:
    os._exit(0 if np.allclose(layer(given).numpy(), expected, atol=1e-6) else 3)
print("ended with", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    assert "ended with 0" in printed(program, "1")


@known
def test_64_threads_are_as_many_as_cores():
    count = int(printed('print("threads", len(os.listdir("/proc/self/task")))', "64").split("threads")[1].split()[0])
    assert count < 40
