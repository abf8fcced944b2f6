"""The whole examination: this node, the comparison with the others, and what is measured or proved here."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from pannsdist.run.doctor import examination
from pannsdist.run.doctor.comparing import NodeReport, compare
from pannsdist.run.doctor.facts import Facts, to_plain
from pannsdist.run.doctor.finding import Finding, error
from pannsdist.run.doctor.probing.node import Wanted, observe
from pannsdist.run.doctor.proving.running import measured_all_reduce, prove
from pannsdist.run.doctor.rendezvous import NoRendezvous, Rendezvous, compared
from pannsdist.run.launching.devices import this_machine
from pannsdist.runtime import console
from pannsdist.runtime.errors import SettingsError

REACH = "is doctor running on the node of --master, with the same --nodes, and is its port open there?"


@dataclass(frozen=True)
class Examination:
    """What to examine: with `nodes` above 1 all of them; with `nproc` all-reduce, with `proves` every claim."""

    wanted: Wanted
    nodes: int = 1
    join_timeout_s: float = 60.0
    nproc: int | None = None
    proves: bool = False


@dataclass(frozen=True)
class Outcome:
    """The findings, and what they follow from as plain data."""

    findings: list[Finding]
    plain: dict[str, Any] = field(default_factory=dict)


def examine(chosen: Examination) -> Outcome:
    """Examine this node, and compare it with the others. One process on each node must call this.

    Raises SettingsError where the number of nodes and the rendezvous contradict each other.
    """
    if chosen.nodes > 1 and chosen.wanted.master is None:
        raise SettingsError(f"--nodes is {chosen.nodes}, but --master is not given", "give HOST:PORT of one of them")
    left_s = chosen.join_timeout_s
    if chosen.nodes > 1 and chosen.wanted.master is not None:
        left_s = chosen.wanted.master.wait_for_name(left_s, console.note_main)
    facts = observe(chosen.wanted)
    reports, compared = _compared(chosen, facts, left_s)
    findings, plain = [*examination.examine(facts), *compared], {"nodes": [to_plain(one) for one in reports]}
    if chosen.proves:
        proof = prove(this_machine(), chosen.nproc)
        plain["figures"] = [to_plain(one) for one in (proof.one, proof.several, proof.runs)]
        findings += proof.findings
    elif chosen.nproc is not None:
        findings.append(measured_all_reduce(this_machine(), chosen.nproc))
    return Outcome(findings, plain)


def _compared(chosen: Examination, facts: Facts, join_s: float) -> tuple[list[NodeReport], list[Finding]]:
    """The reports of all nodes, and what differs; of this node alone, nothing."""
    own = [NodeReport("", facts)]
    if chosen.nodes == 1 or chosen.wanted.master is None:
        return own, []
    place = None if facts.folder is None or facts.folder.unwritable else facts.folder.path
    try:
        reports = compared(Rendezvous(chosen.wanted.master, chosen.nodes, join_s), facts, place)
    except NoRendezvous as reason:
        return own, [error("nodes", str(reason), REACH)]
    return reports, compare(reports, chosen.nodes)
