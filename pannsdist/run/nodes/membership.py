"""Which nodes train together, decided by the master alone. Knows no socket and no clock: times are arguments."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from pannsdist.runtime.errors import EXIT_STOPPED, EXIT_USER_ERROR

QUIET_S = 5.0
"""Where fewer nodes than MAX suffice, the first round begins when none has come for so long."""
GRACE_S = 5.0
"""What the processes of a round that has failed get to end by themselves: without all of them nothing can be saved."""
SETTLE_S = 8.0
"""How long the others get to notice a lost process themselves, so that the node that lost it can name the cause.

Paddle's launcher looks at its processes every 2 s, and takes up to 4.3 s to end after that, longer on a busy machine.
"""
CONTINUE = "the same command continues from the last checkpoint, if there is one"


@dataclass(frozen=True)
class Expected:
    """A node that is known before it comes: its name or address as it was typed, and the addresses of that name."""

    name: str
    addresses: tuple[str, ...] = ()

    def is_node(self, node: Node) -> bool:
        """Whether this is the node."""
        same_name = node.name.partition(".")[0] == self.name.partition(".")[0] and not self.name[0].isdecimal()
        return same_name or node.host in (self.name, *self.addresses)


@dataclass(frozen=True)
class Rules:
    """How many nodes train together, how often a round is repeated, and how long nodes are waited for.

    `expected` are all of them, if they are known.
    """

    least: int
    most: int
    max_restarts: int
    join_timeout_s: float
    expected: tuple[Expected, ...] = ()

    @property
    def nodes(self) -> str:
        """As it is typed."""
        return str(self.most) if self.least == self.most else f"{self.least}:{self.most}"


@dataclass(eq=False)
class Node:
    """A machine: its name, its address for the processes, and whether it is the master, which writes the run."""

    name: str
    host: str
    is_master: bool = False

    def __str__(self) -> str:
        return self.host if self.name == self.host else f"{self.name} ({self.host})"


@dataclass(frozen=True)
class Report:
    """How the processes of a node ended: exit code of the node, whether one was killed, and the message."""

    code: int
    killed: bool = False
    text: str = ""

    @property
    def can_continue(self) -> bool:
        """Whether another start may go on: a process was killed, or lost another one, or was stopped and saved."""
        return self.killed or self.code == EXIT_STOPPED


@dataclass(frozen=True)
class Begin:
    """These nodes start their processes, in this order."""

    number: int
    nodes: tuple[Node, ...]


@dataclass(frozen=True)
class Halt:
    """These nodes end their processes: after `grace_s`, or without a limit where they are to save."""

    nodes: tuple[Node, ...]
    grace_s: float | None


@dataclass(frozen=True)
class Say:
    """All nodes print a line."""

    text: str


@dataclass(frozen=True)
class Finish:
    """All nodes end with this exit code."""

    code: int
    text: str = ""


Order = Begin | Halt | Say | Finish


@dataclass
class _Round:
    number: int
    reports: dict[Node, Report | None]
    lost: list[str] = field(default_factory=list)
    failed_at: float | None = None
    halted: bool = False
    stopped_by: Node | None = None

    @property
    def running(self) -> tuple[Node, ...]:
        return tuple(node for node, report in self.reports.items() if report is None)


class Membership:
    """The nodes that are there, and the round of training that some of them are in.

    The events are `join`, `leave`, `ended` and `stop`; after them, and from time to time, `orders` says what follows.
    """

    def __init__(self, rules: Rules, now: float) -> None:
        self._rules = rules
        self._nodes: list[Node] = []
        self._gone: list[str] = []
        self._gathering_since = self._changed = now
        self._round: _Round | None = None
        self._rounds = self._restarts = 0
        self._said = ""
        self._finish: Finish | None = None
        self._announced = False

    @property
    def nodes(self) -> tuple[Node, ...]:
        """The nodes that are there, the master first, then in the order in which they came."""
        return tuple(sorted(self._nodes, key=lambda node: not node.is_master))

    @property
    def training(self) -> int:
        """How many nodes train at the moment."""
        return len(self._round.reports) if self._round else 0

    def join(self, node: Node, now: float) -> None:
        """A node has come, or has returned."""
        self._nodes.append(node)
        self._gone = [name for name in self._gone if name != str(node)]
        self._changed = now

    def leave(self, node: Node, reason: str, now: float) -> None:
        """A node is lost; `reason` says how that was seen."""
        self._nodes.remove(node)
        self._gone.append(str(node))
        self._changed = now
        if self._round and self._round.reports.get(node, Report(0)) is None:
            del self._round.reports[node]
            self._round.lost.append(f"node {node} was lost: {reason}")

    def ended(self, node: Node, report: Report) -> None:
        """The processes of a node have ended."""
        if self._round and node in self._round.reports:
            self._round.reports[node] = report

    def stop(self, node: Node) -> None:
        """Somebody stopped the run on a node, as with Ctrl-C; a node that only waits leaves, but the master."""
        if self._round and node in self._round.reports:
            self._round.stopped_by = node
        elif node.is_master:
            self._finish = Finish(EXIT_STOPPED, f"stopped on node {node}; {CONTINUE}")

    def orders(self, now: float) -> Iterator[Order]:
        """What the nodes are to do next; each order is given once."""
        if self._finish is None and self._round:
            yield from self._watched(self._round, now)
        if self._finish is None and not self._round:
            yield from self._gathered(now)
        if self._finish and not self._announced:
            self._announced = True
            yield self._finish

    def _watched(self, current: _Round, now: float) -> Iterator[Order]:
        failed = [report for report in current.reports.values() if report and report.code]
        if failed and current.failed_at is None:
            current.failed_at = now
        alone = current.failed_at is not None and now - current.failed_at >= SETTLE_S
        final = alone or current.stopped_by or current.lost or not all(report.can_continue for report in failed)
        if final and current.running and not current.halted:
            current.halted = True
            yield Halt(current.running, None if current.stopped_by else GRACE_S)
        if current.running:
            return
        self._round = None
        self._gathering_since = now
        self._finish = self._finished(current)
        if self._finish is None:
            self._restarts += 1
            yield Say(f"restart {self._restarts} of {self._rules.max_restarts}: {_cause(current)}")

    def _finished(self, current: _Round) -> Finish | None:
        """How the run ends after a round; None if there is another one."""
        reports = {node: report for node, report in current.reports.items() if report is not None}
        if not current.lost and all(report.code == 0 for report in reports.values()):
            return Finish(0)
        final = [(node, report) for node, report in reports.items() if report.code and not report.can_continue]
        final.sort(key=lambda one: one[1].code != EXIT_USER_ERROR)
        for node, report in final:
            return Finish(report.code, _of(node, report))
        if current.stopped_by:
            return Finish(EXIT_STOPPED, f"stopped on node {current.stopped_by}; {CONTINUE}")
        if self._restarts >= self._rules.max_restarts:
            used = f"--max-restarts {self._rules.max_restarts} is used up" if self._restarts else "--max-restarts is 0"
            return Finish(EXIT_STOPPED, f"{_cause(current)}\n{used}; {CONTINUE}")
        return None

    def _gathered(self, now: float) -> Iterator[Order]:
        nodes, rules = self.nodes, self._rules
        settled = self._rounds > 0 or now - self._changed >= QUIET_S
        enough = len(nodes) >= rules.most or (len(nodes) >= rules.least and settled)
        if enough and nodes[0].is_master:
            self._rounds += 1
            self._said = ""
            chosen = tuple(sorted(nodes[: rules.most], key=_place))
            self._round = _Round(self._rounds, dict.fromkeys(chosen))
            yield Begin(self._rounds, chosen)
        elif now - self._gathering_since > rules.join_timeout_s:
            self._finish = Finish(EXIT_STOPPED, self._absent())
        elif self._said != (line := f"{self._there()}; waiting for {self._missing()}") and len(nodes) < rules.least:
            self._said = line
            yield Say(line)

    def _absent(self) -> str:
        wrong = f"{self._missing()} did not come within --join-timeout {self._rules.join_timeout_s:g} s"
        return f"{wrong}; {self._there()}\nstart the missing ones with the same command; {CONTINUE}"

    def _there(self) -> str:
        nodes = self.nodes
        return f"{len(nodes)} of {self._rules.nodes} nodes are there: {', '.join(map(str, nodes))}"

    def _missing(self) -> str:
        absent = [one.name for one in self._rules.expected if not any(map(one.is_node, self._nodes))]
        if absent:
            return ", ".join(absent)
        count = self._rules.least - len(self._nodes)
        known = f", last seen: {', '.join(self._gone)}" if self._gone else ""
        return f"{count} {'node' if count == 1 else 'nodes'}{known}"


def _place(node: Node) -> tuple[bool, int, list[int], str]:
    """The order of the ranks: the master, then by address, so that a node that returns has its rank again."""
    numbers = [int(part) for part in node.host.split(".") if part.isdecimal()]
    return not node.is_master, len(node.host.split(".")), numbers, node.host


def _cause(current: _Round) -> str:
    """Why a round ended early: a lost node, else a process that was killed, else one that ended; others followed it."""
    if current.lost:
        return current.lost[0]
    reports = [(node, report) for node, report in current.reports.items() if report and report.code]
    return _of(*min(reports, key=lambda one: (not one[1].killed, not one[1].text)))


def _of(node: Node, report: Report) -> str:
    return f"node {node}: {report.text}" if report.text else f"node {node} ended with exit code {report.code}"
