"""An engine on a device of its own."""

from __future__ import annotations

import numpy as np

from pannsdist.inference.engines.engine import Engine
from pannsdist.runtime import devices


class OnDevice:
    """Selects a device for each run, and then the one that was selected before."""

    def __init__(self, engine: Engine, device: str) -> None:
        self._engine, self._device = engine, device

    def run(self, output: str, waveforms: np.ndarray) -> np.ndarray:
        """See Engine."""
        with devices.selected(self._device):
            return self._engine.run(output, waveforms)
