"""What an engine is."""

from __future__ import annotations

from typing import Protocol

import numpy as np


class Engine(Protocol):
    """Computes the outputs of one network by name: `scores`, `logits`, `embedding`, `framewise`, see `output_layer`."""

    def run(self, output: str, waveforms: np.ndarray) -> np.ndarray:
        """Waveforms (B, S) float32 -> (B, C), (B, E) or (B, T, C) float32.

        Raises UserError for an output that the network does not have.
        """
        ...
