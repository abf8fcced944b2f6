"""What a server counts, for Prometheus. No label has a value that a client chooses, so their number stays."""

from __future__ import annotations

import os

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest, multiprocess

MULTIPROCESS = "PROMETHEUS_MULTIPROC_DIR"
"""Environment variable of prometheus-client: the folder in which the processes of one server add up."""
SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
WINDOWS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)


class Metrics:
    """The counters of a process; with several processes those of all of them."""

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        self.requests = Counter(
            "pannsdist_requests", "Requests, by route and status", ("route", "status"), registry=registry
        )
        self.seconds = Histogram(
            "pannsdist_request_seconds",
            "From the head of a request to the end of its answer",
            ("route",),
            registry=registry,
            buckets=SECONDS,
        )
        self.pending = Gauge(
            "pannsdist_requests_pending",
            "Requests that are received or computed",
            registry=registry,
            multiprocess_mode="livesum",
        )
        self.batches = Histogram(
            "pannsdist_batch_windows", "Windows of a forward pass", registry=registry, buckets=WINDOWS
        )
        self.sound_seconds = Counter(
            "pannsdist_sound_seconds", "Seconds of sound that were answered", registry=registry
        )

    def text(self) -> bytes:
        """All of them in Prometheus' text format."""
        registry = self._registry
        if os.environ.get(MULTIPROCESS):
            registry = CollectorRegistry()
            multiprocess.MultiProcessCollector(registry)
        found: bytes = generate_latest(registry)
        return found
