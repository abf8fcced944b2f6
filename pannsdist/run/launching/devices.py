"""How many processes a run gets on this machine, and on which GPUs. Only `this_machine` looks at the machine."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pannsdist.runtime import cpu
from pannsdist.runtime.errors import SettingsError
from pannsdist.settings.schema import TrainSettings

VISIBLE = "CUDA_VISIBLE_DEVICES"


@dataclass(frozen=True)
class Machine:
    """CPU cores, visible GPUs by index or UUID, and whether the installed Paddle is built for GPUs.

    `hides_gpus`: the environment asks a Paddle that is built for GPUs to use none.
    """

    cores: int
    gpus: tuple[str, ...] = ()
    built_for_gpus: bool = False
    hides_gpus: bool = False

    @property
    def usable_gpus(self) -> tuple[str, ...]:
        """The GPUs that this Paddle can use."""
        return self.gpus if self.built_for_gpus else ()


@dataclass(frozen=True)
class Devices:
    """The processes of a run on one machine: one for each of `gpus`, or all on the CPU; and the reason."""

    processes: int
    gpus: tuple[str, ...]
    reason: str

    def __str__(self) -> str:
        noun = "process" if self.processes == 1 else "processes"
        place = f"GPU {','.join(self.gpus)}" if self.gpus else "the CPU"
        return f"{self.processes} {noun} on {place} ({self.reason})"

    @contextmanager
    def selected(self) -> Iterator[None]:
        """Context in which this process, if it has not imported Paddle, and those that it starts see these GPUs alone.

        Without any the variable is removed for several processes: an empty list is a GPU for Paddle 3.3.1's launcher.
        """
        before = os.environ.get(VISIBLE)
        if self.gpus:
            os.environ[VISIBLE] = ",".join(self.gpus)
        elif self.processes > 1:
            os.environ.pop(VISIBLE, None)
        try:
            yield
        finally:
            os.environ.pop(VISIBLE, None)
            if before is not None:
                os.environ[VISIBLE] = before


def choose_devices(
    machine: Machine, train: TrainSettings, nproc: int | None, gpus: Sequence[str], nodes: Sequence[int] = (1,)
) -> Devices:
    """One process for each GPU, or for each core without a GPU; by itself never more than divide a batch equally.

    `nodes` are the numbers of machines, each with so many processes, with which that has to hold.
    Raises SettingsError where `nproc` or `gpus` asks for GPUs that are not there.
    """
    if gpus:
        return _on_named_gpus(machine, nproc, tuple(gpus))
    found = machine.usable_gpus
    if machine.hides_gpus:
        if (nproc or 1) > 1:
            wrong = f"--nproc is {nproc}, but {VISIBLE} hides the GPUs, which Paddle's launcher would use nevertheless"
            raise SettingsError(wrong, "--nproc 1; several processes on the CPU need Paddle's wheel for the CPU")
        return Devices(1, (), f"{VISIBLE} hides the GPUs")
    if nproc:
        if found and nproc > len(found):
            wrong = f"--nproc is {nproc}, but {len(found)} GPUs are visible: {', '.join(found)}"
            raise SettingsError(wrong, "one process for each GPU, at most")
        return Devices(nproc, found[:nproc], "--nproc")
    available = len(found) or machine.cores
    fitting = (size for size in range(available, 0, -1) if all(_fits(train, number * size) for number in nodes))
    count = next(fitting, 1)
    kind = "one for each GPU" if found else "one for each core"
    if count < available:
        units = f"{available} {'GPUs' if found else 'cores'}"
        kind = f"of {units}, as many as divide train.batch_size={train.batch_size} equally"
    return Devices(count, found[:count], f"{kind}; --nproc N for another number")


def _on_named_gpus(machine: Machine, nproc: int | None, gpus: tuple[str, ...]) -> Devices:
    if not machine.built_for_gpus:
        raise SettingsError(f"--gpus {','.join(gpus)}: the installed Paddle is built for the CPU", "leave --gpus out")
    unknown = [name for name in gpus if name not in machine.gpus]
    if unknown:
        wrong = f"--gpus has {unknown[0]}, which is not a visible GPU"
        raise SettingsError(wrong, f"visible: {', '.join(machine.gpus) or 'none'}")
    if nproc not in (None, len(gpus)):
        wrong = f"--gpus has {len(gpus)} GPUs, but --nproc is {nproc}"
        raise SettingsError(wrong, "one process for each GPU: leave --nproc out")
    return Devices(len(gpus), gpus, "--gpus")


def _fits(train: TrainSettings, size: int) -> bool:
    return train.batch_size % size == 0 and train.batch_size // size % train.accumulate_steps == 0


def this_machine() -> Machine:
    """What is visible to this process; imports no Paddle."""
    gpus, built_for_gpus = _visible_gpus(), _built_for_gpus()
    return Machine(cpu.cores(), gpus, built_for_gpus, built_for_gpus and VISIBLE in os.environ and not gpus)


def _visible_gpus() -> tuple[str, ...]:
    """What CUDA_VISIBLE_DEVICES has up to the first -1, as CUDA reads it; without it, what nvidia-smi lists."""
    named = os.environ.get(VISIBLE)
    if named is not None:
        names = [name.strip() for name in named.split(",")]
        return tuple(filter(None, names[: names.index("-1")] if "-1" in names else names))
    try:
        listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, check=False)  # noqa: S607
    except OSError:
        return ()
    return tuple(re.findall(r"^GPU (\d+):", listed.stdout, re.MULTILINE))


def _built_for_gpus() -> bool:
    """Whether Paddle's version file names a CUDA; importing Paddle takes seconds."""
    found = importlib.util.find_spec("paddle")
    if found is None or not found.origin:
        return False
    text = Path(found.origin).with_name("version").joinpath("__init__.py").read_text(encoding="utf-8")
    cuda = re.search(r"^cuda_version\s*=\s*'(.*)'", text, re.MULTILINE)
    return cuda is not None and cuda[1] != "False"
