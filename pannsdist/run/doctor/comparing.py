"""What differs between the nodes of a job, from the reports of all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from pannsdist.run.doctor.checks.folder import CLOCK_S, FAR_S
from pannsdist.run.doctor.checks.record import versions_of
from pannsdist.run.doctor.facts import Facts
from pannsdist.run.doctor.finding import Finding, error, ok, unknown, warning

ABSENT = "-"


@dataclass(frozen=True)
class Link:
    """Whether this node reached the node `to` at the address that it listens on: `fault` is empty if so."""

    to: int
    fault: str = ""
    latency_ms: float | None = None
    mib_per_s: float | None = None


@dataclass(frozen=True)
class Token:
    """The file that the node `of` wrote into the run folder and holds locked: what this node sees of it."""

    of: int
    is_seen: bool
    lock_fault: str = ""


@dataclass(frozen=True)
class Sight:
    """What a node sees of the others; `fault` is why it could not look, or not write its own file."""

    links: tuple[Link, ...] = ()
    tokens: tuple[Token, ...] = ()
    fault: str = ""


@dataclass(frozen=True)
class NodeReport:
    """A node: its address, facts, clock against that of the first node, and what it saw of the others."""

    address: str
    facts: Facts
    clock_ahead_s: float = 0.0
    sight: Sight = Sight()

    @property
    def name(self) -> str:
        """Host name and address."""
        return f"{self.facts.network.host} ({self.address})"


def compare(reports: Sequence[NodeReport], expected: int) -> list[Finding]:
    """Findings about the nodes together; empty parts of a single report are not compared."""
    found = [_present(reports, expected)]
    reports = [_of_these(one, len(reports)) for one in reports]
    if len(reports) > 1:
        found += [*_equal(reports), _clocks(reports), *_links(reports), *_folder(reports)]
    return found


def _of_these(report: NodeReport, count: int) -> NodeReport:
    """The report without what is said of nodes that are not there; it came over the network."""
    links = tuple(link for link in report.sight.links if 0 <= link.to < count)
    tokens = tuple(token for token in report.sight.tokens if 0 <= token.of < count)
    return replace(report, sight=replace(report.sight, links=links, tokens=tokens))


def _present(reports: Sequence[NodeReport], expected: int) -> Finding:
    came = ", ".join(one.name for one in reports)
    if len(reports) == expected:
        return ok("nodes", f"all {expected} came: {came}")
    missing = expected - len(reports)
    right = "start the same command on the others; is the port of --master open there? See what doctor says on them"
    return error("nodes", f"{missing} of {expected} did not come; these did: {came or 'none'}", right)


SINGLE: Mapping[str, Callable[[Facts], str]] = {
    "Paddle": lambda facts: facts.software.paddle.version,
    "CUDA of the wheel": lambda facts: facts.software.paddle.cuda or "none",
    "cuDNN of the wheel": lambda facts: facts.software.paddle.cudnn or "none",
    "NCCL of the wheel": lambda facts: facts.software.paddle.nccl or "none",
    "Python": lambda facts: ".".join(facts.software.python.split(".")[:2]),
}
"""What must be equal on all nodes, one value each."""
SEVERAL: Mapping[str, Callable[[Facts], Mapping[str, str]]] = {
    "package": lambda facts: facts.software.packages,
    "plugin": lambda facts: versions_of(facts.software),
    "settings": lambda facts: facts.settings.values if facts.settings else {},
}
"""What must be equal on all nodes, by name."""
INSTALL = "install the same versions on every node"
REMEDIES = {"settings": "give every node the same settings file and the same key=value"}


def _equal(reports: Sequence[NodeReport]) -> Iterator[Finding]:
    for name, value in SINGLE.items():
        values = [value(one.facts) for one in reports]
        yield _difference(f"same {name}", reports, values) or ok(f"same {name}", values[0])
    for name, values_of in SEVERAL.items():
        by_node = [values_of(one.facts) for one in reports]
        keys = sorted(set().union(*by_node))
        lists = {key: [values.get(key, ABSENT) for values in by_node] for key in keys}
        faults = [_difference(f"same {name}: {key}", reports, values, name) for key, values in lists.items()]
        found = [fault for fault in faults if fault is not None]
        yield from found or [ok(f"same {name}", f"{len(keys)} equal on all nodes")]
    for name, value in (("GPUs", _cards), ("NVIDIA driver", _driver)):
        values = [value(one.facts) for one in reports]
        if len(set(values)) > 1:
            seen = _by_node(reports, values)
            yield warning(f"same {name}", seen, "use nodes of one kind: every step waits for the slowest")


def _cards(facts: Facts) -> str:
    names = [state.card.name for state in facts.gpus.states]
    return ", ".join(f"{names.count(name)} x {name}" for name in sorted(set(names))) or "none"


def _driver(facts: Facts) -> str:
    return ", ".join(sorted({state.driver for state in facts.gpus.states})) or "none"


def _difference(name: str, reports: Sequence[NodeReport], values: Sequence[str], kind: str = "") -> Finding | None:
    if len(set(values)) == 1:
        return None
    return error(name, _by_node(reports, values), REMEDIES.get(kind, INSTALL))


def _by_node(reports: Sequence[NodeReport], values: Sequence[str]) -> str:
    """`3.3.1 on a, b; 2.6.2 on c`, the most frequent value first."""
    nodes: dict[str, list[str]] = {}
    for report, value in zip(reports, values, strict=True):
        nodes.setdefault(value, []).append(report.name)
    ordered = sorted(nodes.items(), key=lambda item: -len(item[1]))
    return "; ".join(f"{value} on {', '.join(names)}" for value, names in ordered)


def _clocks(reports: Sequence[NodeReport]) -> Finding:
    name = "clocks of the nodes"
    slow, fast = (pick(reports, key=lambda one: one.clock_ahead_s) for pick in (min, max))
    apart_s = fast.clock_ahead_s - slow.clock_ahead_s
    if apart_s <= CLOCK_S:
        return ok(name, f"at most {apart_s:.1f} s between them")
    report = error if apart_s > FAR_S else warning
    seen = f"the clock of {fast.name} is {apart_s:.0f} s ahead of that of {slow.name}"
    return report(name, seen, "timedatectl set-ntp true, on both")


def _links(reports: Sequence[NodeReport]) -> Iterator[Finding]:
    name = "connections"
    faults = {
        (number, link.to): link.fault for number, one in enumerate(reports) for link in one.sight.links if link.fault
    }
    for (source, target), fault in faults.items():
        one_way = (target, source) not in faults
        seen = f"{reports[source].name} cannot reach {reports[target].name}: {fault}"
        seen += ", though the other way works" if one_way else ""
        right = "open all TCP ports between the nodes in both directions: gloo and NCCL take free ports by themselves"
        yield error(name, seen, right)
    links = [link for one in reports for link in one.sight.links]
    if not links:
        yield unknown(name, "no node reported any")
    elif not faults:
        latency = max(link.latency_ms or 0.0 for link in links)
        speed = min(link.mib_per_s or 0.0 for link in links)
        yield ok(name, f"each to each; slowest: {latency:.2f} ms there and back, {speed:.0f} MiB/s in one stream")


def _folder(reports: Sequence[NodeReport]) -> Iterator[Finding]:
    if not all(one.facts.folder and (one.sight.tokens or one.sight.fault) for one in reports):
        yield unknown("shared run folder", "not given on every node", "give -c FILE or --run-folder DIR")
        return
    blind = [(one, token) for one in reports for token in one.sight.tokens if not token.is_seen]
    writers = [one for one in reports if one.sight.fault]
    right = "give runs=DIR or --run-folder DIR on a disk that all nodes mount at the same path"
    for one in writers:
        yield error("shared run folder", f"{one.name}: {one.sight.fault}", right)
    for one, token in blind[:3]:
        folder = one.facts.folder.path if one.facts.folder else ""
        seen = f"{one.name} does not see in {folder} what {reports[token.of].name} wrote there"
        yield error("shared run folder", f"{seen}: without the disk of the first node a run cannot go on", right)
    if not blind and not writers:
        yield ok("shared run folder", "every node sees what the others write")
    unlocked = [(one, token) for one in reports for token in one.sight.tokens if token.is_seen and token.lock_fault]
    for one, token in unlocked[:3]:
        seen = f"{one.name} can lock what {reports[token.of].name} has locked ({token.lock_fault})"
        yield error("locks between nodes", seen, "mount it with locks that reach the server (NFS: without nolock)")
    if not unlocked and not blind and not writers:
        yield ok("locks between nodes", "honoured")
