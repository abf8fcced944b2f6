"""The GPUs, as nvidia-smi tells them, and where cuDNN and NCCL are."""

from __future__ import annotations

import ctypes.util
import importlib.metadata
import os
import re

from pannsdist.run.doctor import wheel
from pannsdist.run.doctor.facts import CardState, Gpus
from pannsdist.run.launching.devices import VISIBLE

FIELDS = (
    *("index", "driver_version", "memory.total", "memory.free", "ecc.mode.current"),
    *("ecc.errors.uncorrected.volatile.total", "power.limit", "power.default_limit"),
)
LIBRARIES = ("cuDNN", "NCCL")


def gpus() -> Gpus:
    """The GPUs of this machine."""
    rows = {row[0]: row[1:] for row in wheel.query(FIELDS) or ()}
    states = tuple(_state(card, rows.get(card.index, [])) for card in wheel.cards())
    libraries = {name: _library(name.lower()) for name in LIBRARIES} if states else {}
    return Gpus(states, os.environ.get(VISIBLE), libraries)


def _state(card: wheel.Card, row: list[str]) -> CardState:
    """One GPU; a driver that does not know a field tells none of them."""
    if not row:
        return CardState(card)
    driver, memory, free, ecc, errors, power, default = row
    mode = ecc if ecc in ("Enabled", "Disabled") else ""
    return CardState(card, driver, number(memory), number(free), mode, number(errors), number(power), number(default))


def number(text: str) -> float | None:
    """A number of nvidia-smi; None for `[N/A]` and the like."""
    return float(text) if re.fullmatch(r"\d+(\.\d+)?", text) else None


def _library(name: str) -> str:
    """A package of pip that brings it, else the file that the loader finds; empty without either."""
    for distribution in importlib.metadata.distributions():
        title = (distribution.metadata["Name"] or "").lower()
        if title.startswith(f"nvidia-{name}"):
            return f"{title} {distribution.version}"
    return ctypes.util.find_library(name) or ""
