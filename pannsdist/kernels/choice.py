"""Which kernels train on a CPU: decided once, from the setting, the device, the processor and the library."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pannsdist.kernels.library import Library, LibraryError, loaded
from pannsdist.runtime.errors import SettingsError
from pannsdist.settings import SettingsOrigin
from pannsdist.settings.schema import Settings

PADDLE, ONEDNN, AUTO = "paddle", "onednn", "auto"
KEY = "train.cpu_kernels"
VERSION = (3, 6)
"""The version that Paddle 3.3 carries, and that this package is tested with."""
FLOAT, HALF = "float32", "bfloat16"
AVX2, AVX512, BFLOAT16 = 0x7, 0x27, 0xE7
"""Instruction sets as the library numbers them: AVX2, AVX-512, and AVX-512 with products of bfloat16."""

NO_BFLOAT16 = "this processor has no instructions for bfloat16 (avx512_bf16, amx_bf16)"


@dataclass(frozen=True)
class Choice:
    """The kernels of a run, the type of their operands, and why, as a clause.

    Runs with another `name` have other bits: a checkpoint stores it.
    """

    kernels: str
    operands: str
    reason: str

    @property
    def name(self) -> str:
        """Kernels and type, such as `onednn float32`."""
        return f"{self.kernels} {self.operands}"

    def __str__(self) -> str:
        shown = "oneDNN" if self.kernels == ONEDNN else "Paddle's own"
        return f"{shown}, {self.operands}: {self.reason}"


@dataclass(frozen=True)
class Wanted:
    """The settings `train.cpu_kernels` and `train.amp`, and how to change them in a command."""

    kernels: str
    amp: str
    command: str = ""

    @classmethod
    def of(cls, settings: Settings, origin: SettingsOrigin) -> Wanted:
        """Those of the settings of a run."""
        return cls(settings.train.cpu_kernels, settings.train.amp, origin.command)


def choose(wanted: Wanted, device: str, load: Callable[[], Library] = loaded) -> Choice:
    """The kernels for a device: `cpu`, or a GPU, where the setting has no effect.

    The same in processes on equal machines. Raises SettingsError where `train.cpu_kernels=onednn` cannot work.
    """
    if device != "cpu":
        return Choice(PADDLE, FLOAT, f"the device is {device}")
    if wanted.kernels == PADDLE:
        return Choice(PADDLE, FLOAT, f"{KEY} is {PADDLE}")
    try:
        library = load()
        found = _supported(library)
    except LibraryError as error:
        if wanted.kernels == ONEDNN:
            right = f"choose {KEY}={PADDLE}, or leave it out: auto takes what works"
            raise SettingsError(f"{KEY} is {ONEDNN}, but {error}", right, wanted.command) from None
        return Choice(PADDLE, FLOAT, str(error))
    version = ".".join(map(str, library.version))
    if wanted.amp == "bf16" and library.instructions & BFLOAT16 == BFLOAT16:
        return Choice(ONEDNN, HALF, f"version {version} of Paddle's wheel, {found} with bfloat16")
    return Choice(ONEDNN, FLOAT, f"version {version} of Paddle's wheel, {found}")


def _supported(library: Library) -> str:
    """The name of the instruction set. Raises LibraryError for a version or a processor that is not known to gain."""
    version = ".".join(map(str, library.version))
    if library.version[:2] != VERSION:
        known = ".".join(map(str, VERSION))
        raise LibraryError(f"Paddle carries oneDNN {version}, and only {known} is known to work")
    if library.instructions & AVX2 != AVX2:
        raise LibraryError("this processor has no AVX2")
    return "AVX-512" if library.instructions & AVX512 == AVX512 else "AVX2"


def refusal(operands: str, load: Callable[[], Library] = loaded) -> str:
    """Why the library cannot compute with operands of a type here, as a clause; empty where it can."""
    try:
        library = load()
        _supported(library)
    except LibraryError as error:
        return str(error)
    if operands == HALF and library.instructions & BFLOAT16 != BFLOAT16:
        return NO_BFLOAT16
    return ""


def amp_note(choice: Choice, amp: str, device: str) -> str:
    """A note where `train.amp` has no effect, with the reason; empty where it has one, or is none."""
    if amp == "none" or device != "cpu" or choice.operands == HALF:
        return ""
    if amp == "fp16":
        return "train.amp=fp16 has no effect on a CPU: there are no kernels of float16; bf16 may have one"
    if choice.kernels == PADDLE:
        return f"train.amp=bf16 has no effect: Paddle's own kernels have no bfloat16 on a CPU, and {choice.reason}"
    return f"train.amp=bf16 has no effect: {NO_BFLOAT16}"
