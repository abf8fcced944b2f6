"""What reading one weight file may cost. Every reader spends from one budget before it makes a value."""

from __future__ import annotations

from pannsdist.weights.formats.errors import Refused

MAX_STEPS = 300_000
"""Pickle instructions of one file, and pairs that it passes to a call; CNN14's weights need 2,000."""
MEMORY_FACTOR, SPARE_BYTES = 2, 32 << 20
"""Memory for the objects of pickles: twice the file, and a fixed part for small files."""
MAX_AXES = 32
MAX_SIZE = 2**63 - 1
MAX_DEPTH = 100
MAX_LONG_BYTES = 1024
MAX_WIDE_TEXT_BYTES = 1 << 16
"""Text with letters outside of Latin-1 takes four bytes for each; longer text has to be within it."""
MAX_SHARING = 4
"""The values of all tensors, shared ones counted for each, as a multiple of the file."""


class Budget:
    """Instructions and bytes of memory that one file may still use, in proportion to its size."""

    def __init__(self, file_bytes: int) -> None:
        self.steps = MAX_STEPS
        self.memory = MEMORY_FACTOR * file_bytes + SPARE_BYTES

    def step(self, count: int = 1) -> None:
        """Count instructions. Raises `Refused` above MAX_STEPS."""
        self.steps -= count
        if self.steps < 0:
            raise Refused(f"its pickle takes more than {MAX_STEPS:,} instructions")

    def spend(self, size_bytes: int) -> None:
        """Count memory. Raises `Refused` where the file would take more than it can need."""
        self.memory -= size_bytes
        if self.memory < 0:
            raise Refused("it would take more memory than a file of this size needs")
