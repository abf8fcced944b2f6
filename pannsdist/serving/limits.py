"""The limits of a server."""

from __future__ import annotations

from dataclasses import dataclass

MB = 1_000_000


@dataclass(frozen=True)
class Limits:
    """What one worker accepts.

    `max_wait_ms` is how long a window waits for others that are on their way. `max_queue` requests are received or
    computed at a time, with bodies of `max_body_mb` MB each, and of eight times that together; `max_length_s` seconds
    of sound are in one. `timeout_s` is the time for receiving a body, and again for its answer; `head_s` that for
    receiving a head of at most `max_head_bytes`.
    """

    max_wait_ms: float = 10.0
    max_queue: int = 64
    max_body_mb: float = 32.0
    max_length_s: float = 600.0
    timeout_s: float = 60.0
    head_s: float = 10.0
    idle_s: float = 10.0
    linger_s: float = 5.0
    max_head_bytes: int = 65536
    max_connections: int = 1000
    max_sounds: int = 64

    @property
    def max_body_bytes(self) -> int:
        """The largest body."""
        return int(self.max_body_mb * MB)

    @property
    def max_held_bytes(self) -> int:
        """The largest sum of all bodies that are in memory at a time."""
        return 8 * self.max_body_bytes
