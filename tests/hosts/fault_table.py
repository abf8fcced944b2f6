"""The table of faults on docs/*/several_nodes.md: its rows are here, its seconds come from tests that make the faults.

The tests measure from the fault to a checkpoint of a later step. With the environment variable WRITE_FAULT_TABLE they
write the seconds into both pages; rows whose tests did not run keep theirs.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import jobs
import launching

WRITE = "WRITE_FAULT_TABLE"
ROWS = {
    "rank": ("SIGKILL of one process", "一个进程被 SIGKILL"),
    "stopped rank": ("SIGSTOP of one process", "一个进程被 SIGSTOP"),
    "node": ("SIGKILL of all processes of a node, of 2:3", "一个节点的所有进程被 SIGKILL（2:3）"),
    "link 60 s": ("link of a node down for 60 s, of 2:3", "一个节点断网 60 s（2:3）"),
}
LOSS = {"en": "none", "zh": "无"}


def page(language: str) -> Path:
    return launching.PROJECT / "docs" / language / "several_nodes.md"


@dataclass
class FaultTable:
    """Seconds by the key of the row."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def measured(self, key: str, commands, work: Path) -> Iterator[None]:
        """Context in which a fault happens; ends when a later step has been saved."""
        assert key in ROWS
        start = time.monotonic()
        yield
        jobs.wait_for_steps(commands, work, 2)  # one may have been on its way
        self.seconds[key] = time.monotonic() - start

    def write(self) -> None:
        """Write the seconds into the pages, where that is wished."""
        if os.environ.get(WRITE):
            for number, language in enumerate(("en", "zh")):
                text = page(language).read_text(encoding="utf-8")
                page(language).write_text(with_seconds(text, self.seconds, number), encoding="utf-8")


def with_seconds(text: str, seconds: Mapping[str, float], number: int) -> str:
    """A page with these seconds in its table; `number` is that of its language in ROWS."""
    for key, value in seconds.items():
        fault = re.escape(ROWS[key][number])
        text, count = re.subn(rf"^(\| {fault} \| )[^|]*( \|)", rf"\g<1>{value:.0f} s\g<2>", text, flags=re.MULTILINE)
        assert count == 1, f"no row of {ROWS[key][number]!r}"
    return text
