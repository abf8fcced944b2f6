"""The findings of one node from its facts, and the table of them."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Sequence

from pannsdist.run.doctor.checks import folder, gpus, machine, network, record, software
from pannsdist.run.doctor.facts import Facts
from pannsdist.run.doctor.finding import Finding, Verdict
from pannsdist.runtime.names import shown

CHECKS = (software.check, gpus.check, machine.check, network.check, folder.check, record.check)
WIDTH = 140


def examine(facts: Facts) -> list[Finding]:
    """What follows from the facts of one node."""
    return [finding for check in CHECKS for finding in check(facts)]


def table(findings: Sequence[Finding]) -> Iterator[str]:
    """One line for each finding, its remedy below it, and a summary."""
    if not findings:
        return
    width = max(len(one.name) for one in findings)
    for one in findings:
        head = f"{one.verdict.value:<7}  {one.name:<{width}}  "
        yield from textwrap.wrap(
            f"{head}{shown(one.seen)}",
            WIDTH,
            subsequent_indent=" " * len(head),
            break_long_words=False,
            break_on_hyphens=False,
        )
        if one.remedy:
            yield f"{'':<{len(head)}}next: {shown(one.remedy)}"
    yield summary(findings)


def summary(findings: Iterable[Finding]) -> str:
    """`12 ok, 1 warning`."""
    found = list(findings)
    counts = {verdict: sum(one.verdict is verdict for one in found) for verdict in Verdict}
    return ", ".join(f"{count} {verdict.value}" for verdict, count in counts.items() if count)
