"""A finding: one thing that was looked at, how it is, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum


class Verdict(str, Enum):
    """How something is. `UNKNOWN`: it could not be found out."""

    OK = "ok"
    WARNING = "warning"
    ERROR = "error"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Finding:
    """What was looked at, the verdict, what was seen, and the remedy: a command, or what to change."""

    name: str
    verdict: Verdict
    seen: str
    remedy: str = ""


def ok(name: str, seen: str) -> Finding:
    """Nothing to do."""
    return Finding(name, Verdict.OK, seen)


def warning(name: str, seen: str, remedy: str) -> Finding:
    """A run works, and may be slower or end early."""
    return Finding(name, Verdict.WARNING, seen, remedy)


def error(name: str, seen: str, remedy: str) -> Finding:
    """A run fails."""
    return Finding(name, Verdict.ERROR, seen, remedy)


def unknown(name: str, seen: str, remedy: str = "") -> Finding:
    """It could not be found out."""
    return Finding(name, Verdict.UNKNOWN, seen, remedy)


def worst(findings: Iterable[Finding]) -> Verdict:
    """Error before warning; what is unknown is no fault."""
    found = {one.verdict for one in findings}
    return next((verdict for verdict in (Verdict.ERROR, Verdict.WARNING) if verdict in found), Verdict.OK)
