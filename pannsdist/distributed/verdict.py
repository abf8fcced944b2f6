"""Why a run cannot go on: processes that hang, or one that has ended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pannsdist.runtime import launcher
from pannsdist.runtime.errors import PeerLost


@dataclass(frozen=True)
class Verdict:
    """The processes at fault by rank, and what is known of each; whether they hang, or have ended."""

    hangs: bool
    reasons: Mapping[int, str]

    def message(self) -> dict[str, Any]:
        """As `Connection.send` takes it."""
        return {"hangs": self.hangs, "reasons": {str(rank): reason for rank, reason in self.reasons.items()}}

    @staticmethod
    def of(message: Mapping[str, Any]) -> Verdict:
        """What `message` returned."""
        return Verdict(bool(message["hangs"]), {int(rank): str(text) for rank, text in message["reasons"].items()})

    def error(self) -> PeerLost:
        """The error that every other process ends with."""
        if not self.hangs:
            ((rank, reason),) = self.reasons.items()
            return peer_lost(rank, reason)
        first, *others = self.reasons
        if others:
            ranks = ", ".join(map(str, self.reasons))
            reason = "\n".join(f"rank {rank}: {reason}" for rank, reason in self.reasons.items())
            return _lost(f"the processes of ranks {ranks} hang", f"{reason}\n{_log(first)}{_STACKS}")
        return _lost(f"the process of rank {first} hangs: {self.reasons[first]}", f"{_log(first)}{_STACKS}")


_STACKS = "each process has written its stack into its log; distributed.hang_timeout_s is the limit\n"


def ended(rank: int) -> Verdict:
    """A process that has ended before its run was over."""
    return Verdict(False, {rank: "has ended"})


def peer_lost(rank: int | None, reason: str) -> PeerLost:
    """The error of the remaining processes; `rank` is None where only the connection is known to be lost."""
    if rank is None:
        return _lost(f"the connection to another of the {launcher.size()} processes was lost: {reason}", "")
    return _lost(f"the process of rank {rank} {reason}", _log(rank))


def _log(rank: int) -> str:
    path = launcher.log_of(rank)
    return "" if path is None else f"its log: {path}\n"


def _lost(wrong: str, right: str) -> PeerLost:
    right += "checkpoints are complete: the same command continues from the last one, if there is one"
    return PeerLost(wrong, right, launcher.command())
