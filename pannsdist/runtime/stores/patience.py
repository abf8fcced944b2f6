"""How long a store is asked again after passing faults: with growing pauses, within a limit from the environment."""

from __future__ import annotations

import math
import os
import random
import time
from collections.abc import Callable
from typing import TypeVar

from pannsdist.runtime.errors import SettingsError
from pannsdist.runtime.foreign import excerpt
from pannsdist.runtime.redaction import without_credentials
from pannsdist.runtime.stores.failures import Passing, StoreError
from pannsdist.runtime.stores.urls import Url

T = TypeVar("T")
PATIENCE = "PANNSDIST_STORE_PATIENCE_S"
"""The variable that says for how many seconds a request is repeated after passing faults."""
PATIENCE_S = 120.0
SILENT_S = 30.0
"""A server that sends nothing for this long does not answer any more."""
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.1, 20.0
_jitter = random.Random()  # noqa: S311 of its own: no number of a run is drawn from it


def number_of(variable: str, default: float) -> float:
    """A variable of the environment that holds a number from 0 on. Raises SettingsError."""
    text = os.environ.get(variable, "").strip()
    try:
        number = float(text or default)
    except ValueError:
        number = math.nan
    if not (math.isfinite(number) and number >= 0):
        raise SettingsError(f"{variable} is '{excerpt(text)}'", "it is a number from 0 on", f"unset {variable}")
    return number


def silent_s() -> float:
    """The time-out for a server that sends nothing, in seconds."""
    return max(0.1, min(SILENT_S, number_of(PATIENCE, PATIENCE_S)))


def persistent(url: Url, attempt: Callable[[], T]) -> T:
    """The result of `attempt`, called again after each `Passing`, with pauses that double, while the patience lasts.

    A server that names a wait gets it. Raises StoreError after the last attempt, and what `attempt` raises else.
    """
    ends, pause_s, tries = time.monotonic() + number_of(PATIENCE, PATIENCE_S), FIRST_PAUSE_S, 0
    while True:
        tries += 1
        try:
            return attempt()
        except Passing as fault:
            wait_s = max(fault.wait_s, pause_s * _jitter.uniform(0.5, 1.0))
            if time.monotonic() + wait_s > ends:
                wants = f", which asks to wait {fault.wait_s:.0f} s" if fault.wait_s > pause_s else ""
                why = f"{without_credentials(str(fault))}{wants}, after {tries} attempt(s) (see {PATIENCE})"
                raise StoreError(url, why) from fault
        time.sleep(wait_s)
        pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
