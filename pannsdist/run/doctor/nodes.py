"""The examination of this node, and with several nodes the comparison of all of them."""

from __future__ import annotations

from pannsdist.run.doctor.comparing import NodeReport, compare
from pannsdist.run.doctor.examination import examine
from pannsdist.run.doctor.finding import Finding, error
from pannsdist.run.doctor.meeting import Meeting, NotMet, meet
from pannsdist.run.doctor.probing.node import Wanted, observe
from pannsdist.runtime.errors import SettingsError

REACH = "is doctor running on the node of --master, with the same --nodes, and is its port open there?"


def examine_nodes(wanted: Wanted, nodes: int, join_timeout_s: float) -> tuple[list[NodeReport], list[Finding]]:
    """The reports of all nodes, and the findings about this one and about what differs. One process on each node.

    Raises SettingsError where `nodes` and the meeting point contradict each other.
    """
    if nodes > 1 and wanted.master is None:
        raise SettingsError(f"--nodes is {nodes}, but --master is not given", "give HOST:PORT of one of the nodes")
    facts = observe(wanted)
    findings = examine(facts)
    own = [NodeReport("", facts)]
    if nodes == 1 or wanted.master is None:
        return own, findings
    place = None if facts.folder is None or facts.folder.unwritable else facts.folder.path
    try:
        reports = meet(Meeting(*wanted.master, nodes, join_timeout_s), facts, place)
    except NotMet as reason:
        return own, [*findings, error("nodes", str(reason), REACH)]
    return reports, [*findings, *compare(reports, nodes)]
