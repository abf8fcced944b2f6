"""The table of faults on docs/*/several_nodes.md: its rows are here, its figures come from tests that make the faults.

Seconds go from the fault, or from the repeated command where all nodes have ended, to a checkpoint of a later step.
Lost are the clips that an epoch of the whole run was not trained on exactly once, and what the weights differ by from
those of a run that was not disturbed. With the environment variable WRITE_FAULT_TABLE the figures are written into both
pages; rows whose tests did not run keep theirs.
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
GOES_ON = ("it goes on", "自行继续")
ENDS = ("all nodes end with 75; the same command continues", "所有节点以 75 结束，同一命令继续")

OTHERS_GO_ON = ("the others go on; it ends with 75, and can return", "其他节点继续；它以 75 结束，可以再回来")
NOTHING_ENDS = ("nothing ends", "没有进程结束")


@dataclass(frozen=True)
class Row:
    """A fault, and what happens, in each language."""

    fault: tuple[str, str]
    happens: tuple[str, str] = GOES_ON


ROWS = {
    "rank": Row(("SIGKILL of one process", "一个进程被 SIGKILL")),
    "stopped rank": Row(("SIGSTOP of one process", "一个进程被 SIGSTOP")),
    "node": Row(("SIGKILL of all processes of a node, of 2:3", "一个节点的所有进程被 SIGKILL（2:3）")),
    "stopped node": Row(
        (
            "SIGSTOP of all processes of a node, of 2:3; then SIGCONT",
            "一个节点的所有进程被 SIGSTOP（2:3），之后 SIGCONT",
        ),
        ("the others go on; it waits as a spare node", "其他节点继续；它作为备用节点等待"),
    ),
    "master": Row(
        ("SIGKILL of all processes of the master, started again", "主节点的所有进程被 SIGKILL，再次启动"),
        ("the others wait for it, and it goes on", "其他节点等待它，然后继续"),
    ),
    "stopped master": Row(("SIGSTOP of all processes of the master", "主节点的所有进程被 SIGSTOP"), ENDS),
    "all nodes": Row(
        ("SIGKILL of all processes of all nodes", "所有节点的所有进程被 SIGKILL"),
        ("the same command continues", "同一命令继续"),
    ),
    "link 5 s": Row(("link of a node down for 5 s", "一个节点断网 5 s"), NOTHING_ENDS),
    "link 60 s": Row(("link of a node down for 60 s, of 2:3", "一个节点断网 60 s（2:3）")),
    "link in training": Row(
        ("link of a node cut for good in training, of 2:3", "训练中一个节点永久断网（2:3）"),
        OTHERS_GO_ON,
    ),
    "link in evaluation": Row(
        ("link of a node cut for good in an evaluation, of 2:3", "评估中一个节点永久断网（2:3）"),
        OTHERS_GO_ON,
    ),
    "link in a save": Row(
        ("link of a node cut for good while a checkpoint is written, of 2:3", "写检查点时一个节点永久断网（2:3）"),
        OTHERS_GO_ON,
    ),
    "link of the master": Row(
        ("link of the master cut for good while a checkpoint is written", "写检查点时主节点永久断网"), ENDS
    ),
    "delay and loss": Row(
        ("each packet 200 ms late, 5 % of them lost", "每个数据包延迟 200 ms，丢失 5 %"),
        NOTHING_ENDS,
    ),
    "full disk": Row(
        ("full disk on the main node", "主节点磁盘写满"),
        ("all nodes end with 2; with room, the same command continues", "所有节点以 2 结束；腾出空间后同一命令继续"),
    ),
    "clock": Row(
        (
            "SIGKILL of one process, clocks an hour ahead and an hour behind",
            "一个进程被 SIGKILL，时钟快一小时和慢一小时",
        )
    ),
    "late node": Row(("a node joins late, is killed, returns, of 2:3", "一个节点迟到、被杀死、再回来（2:3）")),
    "kills and joins": Row(
        ("20 kills and joins of processes, launchers and nodes, of 2:3", "20 次进程、启动器与节点的杀死与加入（2:3）")
    ),
}


@dataclass(frozen=True)
class Loss:
    """Clips that were lost, of how many, and the largest difference of a weight."""

    clips: int
    of: int
    difference: float

    def text(self, number: int) -> str:
        """In the language of this number."""
        weights = f"{self.difference:.0e}" if self.difference else ""
        if number == 0:
            same = f"weights within {weights}" if weights else "weights equal"
            return f"{self.clips} of {self.of} clips; {same}"
        same = f"权重相差不超过 {weights}" if weights else "权重逐位相同"
        return f"{self.of} 个片段中 {self.clips} 个；{same}"


def page(language: str) -> Path:
    return launching.PROJECT / "docs" / language / "several_nodes.md"


@dataclass
class FaultTable:
    """Seconds and losses by the key of the row."""

    seconds: dict[str, float] = field(default_factory=dict)
    losses: dict[str, Loss] = field(default_factory=dict)

    @contextmanager
    def measured(self, key: str, commands, work: Path) -> Iterator[None]:
        """Context in which a fault happens; ends when a later step has been saved. Of several, the longest counts.

        `commands` is a function where others go on than have begun.
        """
        start = time.monotonic()
        yield
        jobs.wait_for_steps(commands() if callable(commands) else commands, work, 2)  # one may have been on its way
        self.seconds[key] = max(time.monotonic() - start, self.seconds.get(key, 0.0))

    def compare(self, key: str, work: Path, other: Path, tolerance: float = 0.0) -> None:
        """Assert that nothing was lost in comparison with a run that was not disturbed, and note the figures."""
        steps = jobs.newest_step(other)
        clips, missing = jobs.lost_clips(work, steps)
        difference = jobs.difference(work, other, steps, tolerance)
        known = self.losses.get(key, Loss(0, 0, 0.0))
        self.losses[key] = Loss(len(missing) + known.clips, clips + known.of, max(difference, known.difference))
        assert not missing, missing
        self._write()

    def _write(self) -> None:
        """Write the figures into the pages, where that is wished."""
        if os.environ.get(WRITE):
            for number, language in enumerate(("en", "zh")):
                text = page(language).read_text(encoding="utf-8")
                page(language).write_text(with_figures(text, self.seconds, self.losses, number), encoding="utf-8")


def with_figures(text: str, seconds: Mapping[str, float], losses: Mapping[str, Loss], number: int) -> str:
    """A page with these figures in its table; `number` is that of its language in ROWS."""
    for key in losses:
        row = ROWS[key]
        took = f"{seconds[key]:.0f} s" if key in seconds else "—"
        line = f"| {row.fault[number]} | {row.happens[number]} | {took} | {losses[key].text(number)} |"
        text, count = re.subn(rf"^\| {re.escape(row.fault[number])} \| .*\|$", line, text, flags=re.MULTILINE)
        assert count == 1, f"no row of {row.fault[number]!r}"
    return text
