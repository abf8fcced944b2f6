"""Which wheel of Paddle a machine can use: the machine code in the wheel against the compute capability of its GPUs.

`make demo` runs this module before anything is installed, as `python -m pannsdist.run.doctor.wheel`: it imports the
standard library and `runtime` alone. It prints `gpu` or `cpu` for the wheels of PyPI; with `--why WHEEL`, the reason.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from pannsdist.runtime.errors import shell_command

PYPI_VERSION, PYPI_CUDA = "2.6.2", "11.8"
PYPI_ARCHS = (61, 70, 75, 80, 86)
"""Machine code in the newest `paddlepaddle-gpu` on PyPI, which has no PTX that a driver could translate for others."""
PADDLE_INDEX = "https://www.paddlepaddle.org.cn/packages/stable/"
INDEX_VERSION = "paddlepaddle-gpu>=3.2,<4"
INDEXES = ((100, "cu129"), (75, "cu126"), (0, "cu118"))
"""Paddle's own index for the GPUs from a compute capability on (times 10), by the CUDA version of its wheels."""
QUERY = ("index", "name", "compute_cap")
QUERY_LIMIT_S = 20.0


@dataclass(frozen=True)
class Card:
    """A GPU: index, name, and compute capability times 10, such as 86; None where the driver does not tell."""

    index: str
    name: str
    capability: int | None

    def __str__(self) -> str:
        return f"GPU {self.index} ({self.name}, compute capability {capability_text(self.capability)})"


def capability_text(capability: int | None) -> str:
    """`8.6` for 86."""
    return "unknown" if capability is None else f"{capability // 10}.{capability % 10}"


def has_code(archs: Sequence[int], capability: int) -> bool:
    """Whether machine code for `archs` runs on a GPU.

    Code for one capability runs on those of the same major version with the same or a higher minor version (NVIDIA,
    CUDA C++ Programming Guide, "Binary Compatibility").
    """
    return any(arch // 10 == capability // 10 and arch <= capability for arch in archs)


def install_command(capability: int | None) -> str:
    """The command that installs a wheel of Paddle's own index for a GPU."""
    folder = next(name for lowest, name in INDEXES if (capability or 86) >= lowest)
    address = f"{PADDLE_INDEX}{folder}/"
    return shell_command("python", "-m", "pip", "install", INDEX_VERSION, "-i", address)


def query(fields: Sequence[str]) -> list[list[str]] | None:
    """The values of `fields` for each GPU, as nvidia-smi prints them; None without nvidia-smi, or where it fails."""
    command = ["nvidia-smi", f"--query-gpu={','.join(fields)}", "--format=csv,noheader,nounits"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=QUERY_LIMIT_S, check=False)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired):
        return None
    if done.returncode != 0:
        return None
    rows = [[cell.strip() for cell in line.split(",")] for line in done.stdout.splitlines() if line.strip()]
    return rows if all(len(row) == len(fields) for row in rows) else None


def capability_of(text: str) -> int | None:
    """86 for `8.6`; None for what is no capability."""
    found = re.fullmatch(r"(\d+)\.(\d)", text)
    return int(found[1]) * 10 + int(found[2]) if found else None


def cards() -> list[Card]:
    """The GPUs of this machine; without a capability where the driver is too old to tell it."""
    rows = query(QUERY)
    if rows is None:
        rows = [[*row, ""] for row in query(QUERY[:2]) or ()]
    return [Card(index, name, capability_of(capability)) for index, name, capability in rows]


@dataclass(frozen=True)
class Choice:
    """The wheel of PyPI to install, `gpu` or `cpu`, the reason, and the command that would serve the GPUs better."""

    wheel: str
    why: str
    instead: str = ""


def choose(found: Sequence[Card]) -> Choice:
    """The wheel of PyPI for these GPUs: the one for the CPU where a GPU would find no machine code in the other."""
    if not found:
        return Choice("cpu", "no NVIDIA GPU was found")
    unserved = [card for card in found if card.capability is not None and not has_code(PYPI_ARCHS, card.capability)]
    if not unserved:
        return Choice("gpu", f"{', '.join(map(str, found))}: PyPI's paddlepaddle-gpu {PYPI_VERSION} serves it")
    codes = ", ".join(map(capability_text, PYPI_ARCHS))
    why = f"PyPI's paddlepaddle-gpu {PYPI_VERSION} has machine code for {codes} and no PTX: not for {unserved[0]}"
    highest = max(card.capability or 0 for card in unserved)
    return Choice("cpu", why, install_command(highest))


def main(arguments: Sequence[str]) -> int:
    """Print the wheel; after `--why WHEEL` print why this is the one, or what is wrong with the one that was chosen."""
    choice = choose(cards())
    if "--why" not in arguments:
        print(choice.wheel)
        return 0
    wheel = arguments[-1]
    print(f"Paddle: the {wheel} wheel of PyPI (PADDLE=cpu or PADDLE=gpu chooses); {choice.why}")
    if choice.instead:
        print("going on with the CPU wheel" if wheel == "cpu" else "this wheel fails on that GPU")
        uninstall = shell_command("python", "-m", "pip", "uninstall", "-y", f"paddlepaddle{'-gpu' * (wheel == 'gpu')}")
        print("Paddle's own index has wheels for that GPU; to use it, once this is installed:")
        print(f"  next: . .venv/bin/activate && {uninstall} && {choice.instead}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
